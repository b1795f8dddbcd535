package difftest

import "fmt"

// class is a set of encodings: the words for which word&mask == value, less
// those left out.
type class struct {
	name        string
	mask, value uint32

	// skip, if set, says why a word is left out: "" when it is not. Forms that
	// are CONSTRAINED UNPREDICTABLE, and extensions that the machine does not
	// have, are skipped; words that are UNDEFINED are not.
	skip func(w uint32) string

	// fix, if set, makes a random word of the class a more useful one.
	fix func(s *source, w uint32) uint32

	// prefix, if set, is what has to be executed before.
	prefix func(s *source, w uint32) []uint32

	kind kind
}

// kind is what a class needs from the generator.
type kind uint8

const (
	plain      kind = iota // registers to registers
	memory                 // base register in Rn
	atomic                 // memory, and wants the address aligned
	zeroes                 // address in Rt
	branch                 // may go on elsewhere
	ends                   // does not go on, or may not
	anyAddress             // as memory, but not for blocks
)

// draw makes a word of the class.
func (c *class) draw(s *source) (uint32, error) {
	for range 1000 {
		w := s.fields()
		if c.fix != nil {
			w = c.fix(s, w)
		}
		w = w&^c.mask | c.value
		if c.skip == nil || c.skip(w) == "" {
			return w, nil
		}
	}
	return 0, fmt.Errorf("class %s: no word that is not left out", c.name)
}

// fields are random bits in which registers are likely to be the same or 31,
// and the rest is sometimes all zeros or all ones.
func (s *source) fields() uint32 {
	const regs = 31<<16 | 31<<5 | 31
	w := s.uint32()
	switch s.n(8) {
	case 0:
		w &= regs
	case 1:
		w |= ^uint32(regs)
	case 2:
		w &= s.uint32() | regs
	}
	if s.one(4) {
		r := uint32(s.n(32))
		if s.one(3) {
			r = 31
		}
		for _, lsb := range []int{0, 5, 10, 16} {
			if s.one(2) {
				w = w&^(31<<lsb) | r<<lsb
			}
		}
	}
	return w
}

// Fields of a word.
func rd(w uint32) uint32 { return w & 31 }
func rn(w uint32) uint32 { return w >> 5 & 31 }
func ra(w uint32) uint32 { return w >> 10 & 31 } // also Rt2
func rm(w uint32) uint32 { return w >> 16 & 31 } // also Rs

func bits(w uint32, lsb, n int) uint32 { return w >> lsb & (1<<n - 1) }

// signed is a field, sign-extended.
func signed(w uint32, lsb, n int) uint64 { return uint64(int64(uint64(w)<<(64-lsb-n)) >> (64 - n)) }

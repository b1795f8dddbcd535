package difftest

import (
	"fmt"
	"slices"
)

const (
	maxBlock   = 16 // words, not counting what belongs to the last
	maxInBlock = 80 // instructions executed, as branches go back too
)

// Registers that hold addresses throughout a block: nothing in it writes them
// but a base's writeback.
const (
	firstPointer = 19
	pointers     = 4
	elsewhere    = 8 // what makes a pointer's number another register's
)

// block makes a case of some instructions with branches among them, forward and
// back, and stops it anywhere.
func block(s *source) (*testCase, error) {
	b := &blockMaker{source: s, testCase: testCase{regs: s.registers()}}
	for i := range pointers {
		b.regs.X[firstPointer+i] = s.good()
	}
	b.regs.SP = s.good()
	for n := 2 + s.n(maxBlock-1); len(b.words) < n; {
		var err error
		switch s.n(8) {
		case 0:
			err = b.jump(pick(s, jumping))
		case 1:
			err = b.idiom(pick(s, idioms))
		default:
			err = b.emit(pick(s, straight))
		}
		if err != nil {
			return nil, err
		}
	}
	b.starts = append(b.starts, len(b.words))
	for _, from := range b.jumps {
		to := pick(s, b.starts)
		if s.one(2) { // forward
			to = pick(s, b.starts[slices.IndexFunc(b.starts, func(at int) bool { return at > from }):])
		}
		b.words[from] = jumpTo(b.words[from], to-from)
	}
	b.budget = uint64(1 + s.n(maxInBlock))
	return &b.testCase, nil
}

type blockMaker struct {
	*source
	testCase
	starts []int // words at which something begins: not in the middle of what belongs together
	jumps  []int // words that are branches
}

// emit appends an instruction of a class and what it needs before it.
func (b *blockMaker) emit(class int) error {
	c := &classes[class]
	for range 100 { // bytes that are used up give the same word again and again
		w, err := c.draw(b.source)
		if err != nil {
			return err
		}
		w = b.inBlock(c.kind, w)
		if w&c.mask != c.value || c.skip != nil && c.skip(w) != "" || isNarrowMinMax(w) {
			continue
		}
		b.starts = append(b.starts, len(b.words))
		if c.prefix != nil {
			b.words = append(b.words, c.prefix(b.source, w)...)
		}
		b.append(class, w)
		return nil
	}
	return fmt.Errorf("class %s: no word for a block", c.name)
}

func (b *blockMaker) append(class int, w uint32) {
	b.words = append(b.words, w)
	b.classes = append(b.classes, class)
}

// jump appends a branch whose target is found later.
func (b *blockMaker) jump(class int) error {
	w, err := classes[class].draw(b.source)
	b.starts, b.jumps = append(b.starts, len(b.words)), append(b.jumps, len(b.words))
	b.append(class, w)
	return err
}

// idiom is a pair that compilers write, and that an engine may execute as one:
// a comparison and a branch on it, or a constant in two steps.
type idiom struct {
	first, second []string
	constant      bool // the second adds to the register that the first wrote
}

var idioms = []idiom{
	{[]string{"subs (immediate)", "subs (shifted register)", "adds (immediate)", "ands (immediate)", "ands (shifted register)"}, []string{"b.cond"}, false},
	{[]string{"subs (immediate)", "subs (shifted register)"}, []string{"b.cond"}, false},
	{[]string{"movz", "movn"}, []string{"movk"}, true},
	{[]string{"adrp", "adr", "movz"}, []string{"add (immediate)", "movk"}, true},
}

func (b *blockMaker) idiom(i idiom) error {
	first, second := classByName(pick(b.source, i.first)), classByName(pick(b.source, i.second))
	if err := b.emit(first); err != nil {
		return err
	}
	if !i.constant {
		if b.one(3) { // a comparison, which only sets flags
			b.words[len(b.words)-1] |= 31
		}
		return b.jump(second)
	}
	w, err := classes[second].draw(b.source)
	if err != nil {
		return err
	}
	d := rd(b.words[len(b.words)-1])
	w = w&^31 | d
	if classes[second].name != "movk" {
		w = w&^(31<<5) | d<<5
	}
	if b.one(2) { // of one width
		w = w&^(1<<31) | b.words[len(b.words)-1]&(1<<31)
	}
	b.starts = append(b.starts, len(b.words))
	b.append(second, w)
	return nil
}

var classNumbers = func() map[string]int {
	m := map[string]int{}
	for i := range classes {
		m[classes[i].name] = i
	}
	return m
}()

func classByName(name string) int { return classNumbers[name] }

// jumpTo sets the offset of a branch, in words.
func jumpTo(w uint32, by int) uint32 {
	n := uint32(by)
	switch {
	case w&0x7c000000 == 0x14000000: // b
		return w&^(1<<26-1) | n&(1<<26-1)
	case w&0x7e000000 == 0x36000000: // tbz, tbnz
		return w&^(0x3fff<<5) | n<<5
	}
	return w&^(0x7ffff<<5) | n&0x7ffff<<5
}

// inBlock keeps pointers in place, and takes addresses from them.
func (s *source) inBlock(k kind, w uint32) uint32 {
	fields := []int{0}
	if k == memory || k == atomic {
		fields = []int{0, 10, 16}
		w = w&^(31<<5) | (firstPointer+uint32(s.n(pointers)))<<5
		switch {
		case w&0x3b000000 == 0x39000000:
			return keepOff(w&^(0xfc0<<10), 0) // a small unsigned offset
		case w&0x3f200c00 == 0x38200800:
			return keepOff(w|31<<16, 0)
		case w&0x3f000000 == 0x38000000 || w&0x3f000000 == 0x19000000:
			fields = []int{0}
			if k == atomic {
				fields = []int{0, 16}
			}
		case w&0x3a000000 == 0x28000000:
			fields = []int{0, 10}
		}
	}
	if k == zeroes {
		return w&^31 | (firstPointer + uint32(s.n(pointers)))
	}
	return keepOff(w, fields...)
}

// keepOff makes a register field that names a pointer name another register.
func keepOff(w uint32, fields ...int) uint32 {
	for _, lsb := range fields {
		if r := w >> lsb & 31; r >= firstPointer && r < firstPointer+pointers {
			w ^= elsewhere << lsb
		}
	}
	return w
}

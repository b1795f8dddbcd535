package guest

import (
	"encoding/binary"

	"callops/check/internal/weak"
)

// state is all that is a task's own while it executes.
type state struct {
	x     [31]uint64
	sp    uint64
	pc    uint64
	flags uint32
	after [31]weak.Time // what each register's value depends on
	seen  Counts
	call  int

	// stack holds the words from sp up to where the stack begins. Those below
	// sp are dead: an interrupt may overwrite them at any time.
	stack []slot

	// own are the words of its task_struct and its CPU's area that it has
	// stored to, in address order.
	own []ownWord
}

type slot struct {
	value uint64
	after weak.Time
}

type ownWord struct {
	addr uint64
	slot
}

func (s *state) clone() *state {
	c := *s
	c.stack = append([]slot(nil), s.stack...)
	c.own = append([]ownWord(nil), s.own...)
	return &c
}

// key identifies the state among those of its CPU.
func (s *state) key(b []byte) []byte {
	put := func(v uint64) { b = binary.LittleEndian.AppendUint64(b, v) }
	for i, v := range s.x {
		put(v)
		b = binary.LittleEndian.AppendUint16(b, uint16(s.after[i]))
	}
	put(s.sp)
	put(s.pc)
	put(uint64(s.flags))
	put(uint64(s.seen))
	put(uint64(s.call))
	for _, w := range s.stack {
		put(w.value)
		b = binary.LittleEndian.AppendUint16(b, uint16(w.after))
	}
	for _, w := range s.own {
		put(w.addr)
		put(w.value)
		b = binary.LittleEndian.AppendUint16(b, uint16(w.after))
	}
	return b
}

// reg returns x0..x30, and sp for 31, as an address sees it.
func (s *state) reg(n uint8) uint64 {
	if n == 31 {
		return s.sp
	}
	return s.x[n]
}

// setOwn sets a word of the task's own.
func (s *state) setOwn(addr uint64, w slot) {
	i := 0
	for i < len(s.own) && s.own[i].addr < addr {
		i++
	}
	if i == len(s.own) || s.own[i].addr != addr {
		s.own = append(s.own, ownWord{})
		copy(s.own[i+1:], s.own[i:])
	}
	s.own[i] = ownWord{addr, w}
}

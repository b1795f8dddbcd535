package asm

import (
	"encoding/binary"
	"fmt"
)

// Label is a handle to a place in one Builder's program, or to an address
// outside it. The zero value belongs to no builder and is invalid.
type Label struct {
	b *Builder
	n int
}

func (l Label) String() string {
	if l.b == nil {
		return "no label"
	}
	return fmt.Sprintf("label %q", l.b.labels[l.n].name)
}

// fixup is where in an item the address of its label goes.
type fixup uint8

const (
	fixNone fixup = iota
	fixBranch26
	fixCond19
	fixTest14
	fixAdr
	fixAdrp
	fixLiteral19
	fixLo12
	fixLo12x4
	fixLo12x8
	fixAbs64 // a whole quad
)

// resolve returns the item's bits at pc with the address filled in.
func (i Inst) resolve(pc, target uint64) (uint64, error) {
	var field uint32
	var err error
	switch i.fix {
	case fixNone:
	case fixAbs64:
		return target, nil
	case fixBranch26:
		field, err = i.words(pc, target, BranchReach)
		field &= 1<<26 - 1
	case fixCond19:
		field, err = i.words(pc, target, CondBranchReach)
		field = field & (1<<19 - 1) << 5
	case fixLiteral19:
		field, err = i.words(pc, target, LiteralReach)
		field = field & (1<<19 - 1) << 5
	case fixTest14:
		field, err = i.words(pc, target, TestBranchReach)
		field = field & (1<<14 - 1) << 5
	case fixAdr:
		field, err = pcRelative(i.op, pc, target, AdrReach)
		field = adrFields(field)
	case fixAdrp:
		field, err = i.pages(pc, target)
		field = adrFields(field)
	case fixLo12:
		field = uint32(target&0xfff) << 10
	case fixLo12x4:
		field, err = i.scaled(target, 2)
	case fixLo12x8:
		field, err = i.scaled(target, 3)
	}
	return i.bits | uint64(field), err
}

// words is the distance in instructions.
func (i Inst) words(pc, target uint64, reach int64) (uint32, error) {
	if target%4 != 0 {
		return 0, fmt.Errorf("%s from %#x to %#x: %w", i.op, pc, target, ErrMisaligned)
	}
	d, err := pcRelative(i.op, pc, target, reach)
	return d >> 2, err
}

// pages is the distance in 4 KiB pages, from the page of pc.
func (i Inst) pages(pc, target uint64) (uint32, error) {
	d := int64(target&^0xfff - pc&^0xfff)
	if d < -AdrpReach || d >= AdrpReach {
		return 0, &RangeError{Op: i.op, From: pc &^ 0xfff, To: target &^ 0xfff, Min: -AdrpReach, Max: AdrpReach}
	}
	return uint32(d >> 12), nil
}

// adrFields splits 21 bits into immlo (30:29) and immhi (23:5).
func adrFields(v uint32) uint32 { return v&3<<29 | v>>2&(1<<19-1)<<5 }

func (i Inst) scaled(target uint64, size uint) (uint32, error) {
	if target&(1<<size-1) != 0 {
		return 0, fmt.Errorf("%s of %#x: offset is scaled by %d: %w", i.op, target, 1<<size, ErrMisaligned)
	}
	return uint32(target&0xfff) >> size << 10, nil
}

// put writes an item's bits, low byte first as all A64 code is.
func (i Inst) put(p []byte, bits uint64) {
	if i.kind == kindQuad {
		binary.LittleEndian.PutUint64(p, bits)
		return
	}
	binary.LittleEndian.PutUint32(p, uint32(bits))
}

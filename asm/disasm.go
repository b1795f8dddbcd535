package asm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/arch/arm64/arm64asm"
)

// Disassemble returns the instruction in GNU syntax. Targets of PC-relative
// operands are absolute addresses at pc, followed by <name> where sym, which
// can be nil, gives one. An unknown word is .inst 0x....
func Disassemble(word uint32, pc uint64, sym func(addr uint64) string) string {
	if s, ok := disasmPCRel(word, pc, sym); ok {
		return s
	}
	if s, ok := disasmOwn(word); ok {
		return s
	}
	if s, ok := disasmArch(word); ok && !reserved(word) {
		return s
	}
	return fmt.Sprintf(".inst 0x%08x", word)
}

// archMu guards arm64asm.Decode, which notes in a package variable which rows
// of its table were used.
var archMu sync.Mutex

// disasmArch asks golang.org/x/arch. Its tables are not proof against every
// word, so a panic counts as unknown.
func disasmArch(word uint32) (s string, ok bool) {
	archMu.Lock()
	defer archMu.Unlock()
	defer func() {
		if recover() != nil {
			s, ok = "", false
		}
	}()
	var code [4]byte
	binary.LittleEndian.PutUint32(code[:], word)
	inst, err := arm64asm.Decode(code[:])
	if err != nil {
		return "", false
	}
	s = tidy(arm64asm.GNUSyntax(inst))
	isSelect, isCompare := word&0x1fe00000 == 0x1a800000, word&0x1fe00410 == 0x1a400000
	if (isSelect || isCompare) && Cond(word>>12&15) == NV {
		// x/arch has one name for the two encodings of always.
		s = strings.TrimSuffix(s, "al") + "nv"
	}
	return s, true
}

// reserved reports whether the word is unallocated although x/arch decodes it:
// an extended register shifted by more than 4, and bitmask immediates of all
// ones.
func reserved(w uint32) bool {
	switch {
	case w&0x1fe00000 == 0x0b200000:
		return w>>10&7 > 4
	case w&0x1f800000 == 0x12000000:
		_, ok := DecodeBitmask(w>>22&1, w>>16&63, w>>10&63, w>>31 != 0)
		return !ok
	}
	return false
}

// tidy sets a space after each comma, as GNU does and x/arch does not inside
// brackets, and none at the end.
func tidy(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, ", ", ","), ",", ", ")
	return strings.TrimSpace(s)
}

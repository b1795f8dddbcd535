package textdiff

import (
	"encoding/binary"
	"slices"

	"callops/asm"
)

// tables are what a kernel tells of single instructions.
type tables struct {
	jumps    map[uint64]jump
	alts     []alternative
	literals map[uint64]uint64 // sizes of those that another function loads, by address
}

// jump is an entry of __jump_table: a static branch (include/linux/jump_label.h).
type jump struct{ target, key uint64 }

// The sizes of table entries: struct jump_entry; struct alt_instr
// (arch/arm64/include/asm/alternative.h), in which the replacement's length is 0 where a
// function makes it.
const (
	jumpEntrySize = 16
	altInstrSize  = 12
)

// table is what lies between two symbols of the linker script; nil where there are none.
func (s *space) table(start, end string, size int) (addr uint64, b []byte) {
	first, last := s.symbol(start), s.symbol(end)
	if first == 0 || last < first {
		return 0, nil
	}
	b = s.bytes(first)
	n := min(last-first, uint64(len(b)))
	return first, b[:n-n%uint64(size)]
}

func (s *space) symbol(name string) uint64 {
	if i, ok := s.index[name]; ok {
		return s.syms[i].Addr
	}
	return 0
}

// jumps reads the static branches, by the address of their instruction.
func (s *space) jumps() map[uint64]jump {
	at, b := s.table("__start___jump_table", "__stop___jump_table", jumpEntrySize)
	jumps := make(map[uint64]jump, len(b)/jumpEntrySize)
	for ; len(b) > 0; at, b = at+jumpEntrySize, b[jumpEntrySize:] {
		code := at + distance(b)
		target := at + 4 + distance(b[4:])
		key := at + 8 + binary.LittleEndian.Uint64(b[8:])
		w, ok := s.word(code)
		if ok && (asm.IsNop(w) || asm.IsB(w)) {
			jumps[code] = jump{target, key &^ 3} // the low bits: whether it is likely, and in init text
		}
	}
	return jumps
}

func distance(b []byte) uint64 { return uint64(int64(int32(binary.LittleEndian.Uint32(b)))) }

// alternative is an entry of .altinstructions: other instructions for a CPU that has a
// capability.
type alternative struct {
	at, source uint64 // source: the instructions, or the function that writes them
	capability uint16 // with ARM64_CB_BIT set for a function
	size, room uint8  // bytes: of the other instructions, and of those replaced
}

// alternatives reads the table, sorted by address.
func (s *space) alternatives() []alternative {
	at, b := s.table("__alt_instructions", "__alt_instructions_end", altInstrSize)
	var list []alternative
	for ; len(b) > 0; at, b = at+altInstrSize, b[altInstrSize:] {
		list = append(list, alternative{
			at: at + distance(b), source: at + 4 + distance(b[4:]), capability: binary.LittleEndian.Uint16(b[8:]),
			room: b[10], size: b[11],
		})
	}
	slices.SortStableFunc(list, func(a, b alternative) int {
		if a.at != b.at {
			if a.at < b.at {
				return -1
			}
			return 1
		}
		return int(a.capability) - int(b.capability)
	})
	return list
}

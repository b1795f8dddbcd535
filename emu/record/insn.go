package record

import (
	"encoding/binary"
	"fmt"

	"callops/asm/effects"
	"callops/emu"
)

// Insn is an instruction that was executed. One that faults is not, even where it has
// stored to one of two pages.
type Insn struct {
	PC     uint64
	Word   uint32
	Before emu.Regs // the registers that it began with
	effects.Operands

	// Maintained is the address that Cache is about.
	Maintained uint64

	// Accesses are those to memory, in address order. One that reads and writes
	// is a load and a store. A store that was not made, by an exclusive or a
	// compare and swap that failed, is not among them.
	Accesses []Access
}

// Access is a load or a store of 1, 2, 4 or 8 bytes. It is single-copy atomic
// where the address is a multiple of the size.
type Access struct {
	Addr  uint64
	Size  uint64
	Store bool
	Value uint64 // what was loaded or stored
	Old   uint64 // of a store: what was there
}

// maxAccess is the largest access of one register.
const maxAccess = 8

// decode notes what the instruction is about to do, and what memory holds where it does.
// It reports whether its accesses are known.
func (in *Insn) decode(mem *emu.Memory, regs *emu.Regs, word uint32) (known bool) {
	in.PC, in.Word, in.Before, in.Accesses, in.Maintained = regs.PC, word, *regs, in.Accesses[:0], 0
	if in.Operands, known = effects.Decode(word); !known {
		return false
	}
	addr := in.Address(in.PC, in.Reg)
	if in.Cache != effects.NoCacheOp {
		in.Maintained = addr
	}
	// DC ZVA stores more than any register holds.
	size, count := uint64(in.Size), uint64(in.Count)
	if size > maxAccess {
		size, count = maxAccess, count*size/maxAccess
	}
	for i := range count {
		at := addr + i*size
		// What can't be read faults when it is executed.
		v, _ := load(mem, at, size)
		if in.Access != effects.Stores {
			in.Accesses = append(in.Accesses, Access{Addr: at, Size: size, Value: v})
		}
		if in.Access != effects.Loads {
			in.Accesses = append(in.Accesses, Access{Addr: at, Size: size, Store: true, Old: v})
		}
	}
	return true
}

// executed notes what was stored.
func (in *Insn) executed(mem *emu.Memory, after *emu.Regs) error {
	switch in.Access {
	case effects.NoAccess, effects.Loads:
		return nil
	case effects.Stores:
		if !in.stored(mem, after) {
			in.Accesses = in.Accesses[:0]
		}
	case effects.LoadsAndStores:
		if in.isCompare() && !in.compared() {
			in.onlyLoaded()
		}
	}
	for i := range in.Accesses {
		a := &in.Accesses[i]
		if !a.Store {
			continue
		}
		var err error
		if a.Value, err = load(mem, a.Addr, a.Size); err != nil {
			return err
		}
	}
	return nil
}

// stored reports whether a store was made. An exclusive one may not have been; where
// it has WZR for its status, what it changed tells.
func (in *Insn) stored(mem *emu.Memory, after *emu.Regs) bool {
	switch {
	case in.Status == effects.NoReg:
		return true
	case in.Status < 31:
		return after.X[in.Status]&1 == 0
	}
	for _, a := range in.Accesses {
		if v, err := load(mem, a.Addr, a.Size); err == nil && v != a.Old {
			return true
		}
	}
	return false
}

// Reg returns x0 to x30, and sp for 31, as the instruction began with them.
func (in *Insn) Reg(n uint8) uint64 {
	if n == 31 {
		return in.Before.SP
	}
	return in.Before.X[n]
}

// data is Reg with the zero register for 31.
func (in *Insn) data(n uint8) uint64 {
	if n == 31 {
		return 0
	}
	return in.Before.X[n]
}

// isCompare reports whether it is CAS or CASP, which read the register that the old
// value goes to.
func (in *Insn) isCompare() bool { return in.Word&0x3f000000 == 0x08000000 }

// compared reports whether memory held what a CAS compares it with.
func (in *Insn) compared() bool {
	i := 0
	for _, a := range in.Accesses {
		if a.Store {
			continue
		}
		want := in.data(in.Data[i])
		if a.Size < maxAccess {
			want &= 1<<(8*a.Size) - 1
		}
		if a.Value != want {
			return false
		}
		i++
	}
	return true
}

func (in *Insn) onlyLoaded() {
	loads := in.Accesses[:0]
	for _, a := range in.Accesses {
		if !a.Store {
			loads = append(loads, a)
		}
	}
	in.Accesses = loads
}

// load reads up to eight bytes, whatever their alignment.
func load(mem *emu.Memory, addr, size uint64) (uint64, error) {
	var b [maxAccess]byte
	if err := mem.Read(addr, b[:size]); err != nil {
		return 0, fmt.Errorf("%d bytes at %#x: %w", size, addr, err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

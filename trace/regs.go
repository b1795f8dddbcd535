package trace

import (
	"fmt"

	"callops/emu"
)

// RegChanges lists the registers, other than pc, in which two states differ.
func RegChanges(before, after *emu.Regs) (list []RegChange) {
	reg := func(name string, was, is uint64) {
		if was != is {
			list = append(list, RegChange{Reg: name, Value: fmt.Sprintf("%#x", is)})
		}
	}
	for i := range after.X {
		reg(fmt.Sprintf("x%d", i), before.X[i], after.X[i])
	}
	reg("sp", before.SP, after.SP)
	reg("sp_el0", before.SPEL0, after.SPEL0)
	reg("tpidr_el0", before.TPIDREL0, after.TPIDREL0)
	reg("tpidr_el1", before.TPIDREL1, after.TPIDREL1)
	if before.NZCV != after.NZCV {
		list = append(list, RegChange{Reg: "nzcv", Value: flagLetters(after.NZCV)})
	}
	return list
}

// flagLetters writes the flags that are set in capitals.
func flagLetters(nzcv uint32) string {
	s := []byte("nzcv")
	for i := range s {
		if nzcv>>(31-i)&1 != 0 {
			s[i] -= 'a' - 'A'
		}
	}
	return string(s)
}

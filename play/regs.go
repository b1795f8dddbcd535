package play

import (
	"fmt"

	"callops/emu"
)

// changes lists the registers, pc apart, that differ; all of them where before is nil.
func changes(before, after *emu.Regs) []Reg {
	var list []Reg
	was, is := values(before), values(after)
	for i := range is {
		if was == nil || was[i] != is[i] {
			list = append(list, is[i])
		}
	}
	return list
}

func values(r *emu.Regs) []Reg {
	if r == nil {
		return nil
	}
	var list []Reg
	for i, v := range r.X {
		list = append(list, Reg{fmt.Sprintf("x%d", i), hex(v)})
	}
	return append(list, Reg{"sp", hex(r.SP)}, Reg{"nzcv", fmt.Sprintf("%04b", r.NZCV>>28)}, Reg{"sp_el0", hex(r.SPEL0)})
}

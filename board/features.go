package board

import (
	"callops/asm"
	"callops/emu/isa"
)

// features are what ID registers say of a board's CPUs beside what package isa does.
var features = []struct {
	register asm.SysReg
	bits     uint64
}{
	{isa.ID(3, 0, 0, 7, 0), 1 << 20},       // ID_AA64MMFR0_EL1.TGran16: pages of 16K
	{isa.ID(3, 0, 0, 4, 0), 1<<56 | 1<<60}, // ID_AA64PFR0_EL1.CSV2 and CSV3: nothing is speculative, so the kernel needs no second set of tables
	{asm.CTR_EL0, 1 << 28},                 // CTR_EL0.IDC: there are no data caches to clean
}

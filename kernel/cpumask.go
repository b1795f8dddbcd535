package kernel

import (
	"encoding/binary"
	"fmt"

	"callops/asm"
)

// initCPUMasks has a Linux kernel know how many CPUs there are, all of them online
// (kernel/cpu.c: boot_cpu_init, bringup_nonboot_cpus; kernel/smp.c: setup_nr_cpu_ids).
// What it has no symbol of stays as it is.
func (k *Kernel) initCPUMasks() error {
	if k.Image.Linux() == nil {
		return nil
	}
	n := uint64(len(k.CPUs))
	mask := ^uint64(0) >> (MaxCPUs - n) // in one word of a cpumask
	k.onlineMask = k.findOnlineMask()
	for _, v := range []struct {
		name  string
		addr  uint64
		size  int
		value uint64
	}{
		{"cpu_possible_mask", k.variable("__cpu_possible_mask"), 8, mask},
		{"cpu_present_mask", k.variable("__cpu_present_mask"), 8, mask},
		{"cpu_online_mask", k.onlineMask, 8, mask},
		{"cpu_active_mask", k.variable("__cpu_active_mask"), 8, mask},
		{"num_online_cpus", k.variable("__num_online_cpus"), 4, n},
		{"nr_cpu_ids", k.variable("nr_cpu_ids"), 4, n},
	} {
		if v.addr == 0 {
			continue
		}
		if err := k.Mem.Write(v.addr, binary.LittleEndian.AppendUint64(nil, v.value)[:v.size]); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// OnlineMask is the address of the struct cpumask of the CPUs that are online; 0 where
// the image does not tell.
func (k *Kernel) OnlineMask() uint64 { return k.onlineMask }

// variable is the address of a variable; 0 where there is no symbol of it.
func (k *Kernel) variable(name string) uint64 {
	sym, err := k.Symbols.Lookup(name)
	if err != nil || sym.Func {
		return 0
	}
	return sym.Addr
}

// findOnlineMask finds cpu_online_mask. A kernel whose kallsyms has functions only passes it as
// the first argument from smp_call_function on (kernel/smp.c): an ADRP and an ADD.
func (k *Kernel) findOnlineMask() uint64 {
	if addr := k.variable("__cpu_online_mask"); addr != 0 {
		return addr
	}
	fn, err := k.Symbols.Lookup("smp_call_function")
	if err != nil || !fn.Func {
		return 0
	}
	sym, _, _ := k.Symbols.At(fn.Addr)
	var page uint64
	for pc := sym.Addr; pc < sym.Addr+sym.Size; pc += 4 {
		w, err := k.Mem.Load32(pc)
		if err != nil {
			return 0
		}
		if rd, addr, isPage, ok := asm.DecodeAdr(pc, w); ok && isPage && rd == asm.X0 {
			page = addr
		} else if rd, rn, imm, ok := asm.DecodeAddImm(w); ok && page != 0 && rd == asm.X0 && rn == asm.X0 {
			return k.dataAt(page + imm)
		}
	}
	return 0
}

// dataAt is addr where it is data of the image that can be written; 0 elsewhere.
func (k *Kernel) dataAt(addr uint64) uint64 {
	if r := k.Mem.Region(addr); r == nil || !k.Image.Bounds().Contains(addr) {
		return 0
	}
	return addr
}

package kernel

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// dynamicPerCPU is the room in each CPU's area for variables that are allocated, in
// bytes.
const dynamicPerCPU = 1 << 20

// perCPUSize is the size of a CPU's area up to where that room begins, in bytes.
func (k *Kernel) perCPUSize() uint64 { return k.pages(uint64(k.Layout.PerCPU.Size) + modulePerCPU) }

// dynamicPerCPU is how far into a CPU's area that room begins: behind a guard page.
func (k *Kernel) dynamicPerCPU() uint64 { return k.pages(k.perCPUSize() + guardSize) }

// AllocPerCPU allocates a variable of which each CPU has its own, all of them zeroed
// (mm/percpu.c). addr plus a CPU's PerCPU is where that CPU's is. ENOMEM: there is no
// room. On the heap it is the first CPU's that counts.
func (k *Kernel) AllocPerCPU(name string, size, align uint64) (addr uint64, err error) {
	if k.perCPU == nil {
		if err := k.mapPerCPU(); err != nil {
			return 0, err
		}
	}
	first, err := k.perCPU.AllocAligned(name, size, align)
	if err != nil {
		return 0, err
	}
	return first - k.CPUs[0].PerCPU, k.copyPerCPU(first)
}

// mapPerCPU maps the room for variables that are allocated.
func (k *Kernel) mapPerCPU() error {
	if len(k.CPUs) == 0 {
		return fmt.Errorf("per-CPU variables without a CPU: %w", errno.EINVAL)
	}
	for i, c := range k.CPUs {
		at := c.PerCPU + k.Layout.PerCPU.Start + k.dynamicPerCPU()
		r, err := k.Mem.Map(fmt.Sprintf("percpu%d, allocated", i), at, dynamicPerCPU, emu.Read|emu.Write)
		if err != nil {
			return err
		}
		if i == 0 {
			k.perCPU = k.Heap.Extend(r)
		}
	}
	return nil
}

// FreePerCPU poisons every CPU's copy of a variable; EINVAL where it is no live one.
func (k *Kernel) FreePerCPU(addr uint64) error {
	first := addr + k.CPUs[0].PerCPU
	if k.perCPU == nil {
		return fmt.Errorf("no per-CPU variable was allocated: %w", errno.EINVAL)
	}
	if err := k.perCPU.Free(first); err != nil {
		return err
	}
	return k.copyPerCPU(first)
}

// copyPerCPU has all CPUs' copies of an object be as the first one's.
func (k *Kernel) copyPerCPU(first uint64) error {
	o, ok := k.perCPU.Lookup(first)
	if !ok {
		return nil
	}
	b := make([]byte, o.Size)
	if err := k.Mem.Read(first, b); err != nil {
		return err
	}
	for _, c := range k.CPUs[1:] {
		if err := k.Mem.Write(first-k.CPUs[0].PerCPU+c.PerCPU, b); err != nil {
			return err
		}
	}
	return nil
}

package kernel

import "callops/kernelimage"

// Own are a CPU's task_struct and its per-CPU area. With the stack they are what code on that
// CPU alone writes.
func (k *Kernel) Own(c *CPU) []kernelimage.Range {
	l := k.Layout
	return []kernelimage.Range{
		{Start: c.Task, End: c.Task + uint64(l.Task.Size)},
		{Start: c.PerCPU + l.PerCPU.Start, End: c.PerCPU + l.PerCPU.Start + uint64(l.PerCPU.Size)},
	}
}

package kernelimage

import (
	"fmt"
	"slices"

	"callops/kernelimage/internal/btfsection"
)

// mostPerCPU bounds the section of per-CPU variables.
const mostPerCPU = 16 << 20

// structures fills the layout from the image's own BTF.
func (l *rawLoad) structures() error {
	b, at, err := l.btfSection()
	if err != nil {
		return err
	}
	if b == nil {
		return l.withoutBTF()
	}
	l.info.BTF, l.img.btf = len(b), l.base+uint64(at)
	t, err := readBTF(b)
	if err != nil {
		return fmt.Errorf("%s: BTF at %#x: %w", l.name, at, err)
	}
	layout, err := t.layout()
	if err != nil {
		return fmt.Errorf("%s: BTF at %#x: %w", l.name, at, err)
	}
	l.info.Assumed = t.assumed
	l.direct = layout.Ops.DirectCall != Absent || layout.Ops.SubopList != Absent
	return l.perCPU(layout, t)
}

// assumedOps is what [Linux.Assumed] names where the layout of ops is not known.
const assumedOps = "struct ftrace_ops"

// KnowsOps reports whether the layout of the structures that the kernel's own
// ftrace keeps is known, so that its own code can run. BTF tells it.
func (l *Linux) KnowsOps() bool { return !slices.Contains(l.Assumed, assumedOps) }

// taskRoom is more than a task_struct takes up.
const taskRoom = 16 << 10

// withoutBTF takes the structures that callops itself keeps, and the first
// words of a task, for those of 6.12. What the kernel's own code keeps is not
// known: its ftrace is not run.
func (l *rawLoad) withoutBTF() error {
	layout := layout612
	layout.Task.Size, layout.PerCPU.ContextState = taskRoom, Absent
	l.assumed = true
	l.info.Assumed = []string{assumedOps, "struct ftrace_hash", "struct ftrace_func_entry", "struct ftrace_regs", "struct task_struct"}
	return l.perCPU(&layout, &btfTypes{})
}

// perCPU completes the layout with the section of per-CPU variables.
func (l *rawLoad) perCPU(layout *Layout, t *btfTypes) (err error) {
	if l.info.PerCPU, err = l.perCPUSection(t); err != nil {
		return err
	}
	size := l.info.PerCPU.End - l.info.PerCPU.Start
	if size > mostPerCPU || l.info.PerCPU.Start%l.info.PageSize != 0 {
		return l.fail("kallsyms", l.info.PerCPU.Start, size, "the per-CPU section is not aligned to a page or too large, size")
	}
	// After the kernel's own variables, those of callops.
	ring := alignUp(l.info.PerCPU.End, 8)
	state := ring + 8
	layout.PerCPU.Start = l.info.PerCPU.Start
	layout.PerCPU.Size = int(state + 8 - l.info.PerCPU.Start)
	layout.PerCPU.RingBuffer = int(ring)
	if at := l.perCPUVar(t, "context_tracking"); at != 0 && layout.PerCPU.ContextState != Absent {
		layout.PerCPU.ContextState += int(at)
	} else {
		layout.PerCPU.ContextState = int(state)
		l.info.Assumed = append(l.info.Assumed, "context_tracking.state")
	}
	l.info.CPUNumber = l.perCPUVar(t, "cpu_number")
	l.img.layout = *layout
	return nil
}

// perCPUVar returns where a per-CPU variable is linked; 0 where nothing tells.
func (l *rawLoad) perCPUVar(t *btfTypes, name string) uint64 {
	if off, ok := t.perCPUVar(name); ok {
		return l.info.PerCPU.Start + uint64(off)
	}
	return l.marks[name]
}

// btfSection returns the BTF, and its place in the file; nil where there is none.
func (l *rawLoad) btfSection() (b []byte, at int, err error) {
	if l.marks["__start_BTF"] != 0 || l.marks["__stop_BTF"] != 0 {
		b, err = l.bytesAt("__start_BTF", "__stop_BTF")
		return b, int(l.marks["__start_BTF"] - l.base), err
	}
	b, at = btfsection.Find(l.b)
	return b, at, nil
}

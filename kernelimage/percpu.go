package kernelimage

import "callops/kernelimage/internal/percpu"

// perCPUSection returns where the per-CPU variables were linked. Symbols say it,
// or the kernel's code does. Where neither does, as in Debian's 5.10, all that
// they are linked among stands for them: each CPU gets a copy of more than it
// needs.
func (l *rawLoad) perCPUSection(t *btfTypes) (Range, error) {
	r := Range{l.marks["__per_cpu_start"], l.marks["__per_cpu_end"]}
	if r.Start == 0 && r.End == 0 {
		var ok bool
		if r, ok = l.findPerCPU(t); !ok {
			r, l.info.OneCPU = l.initData(), true
			l.info.Assumed = append(l.info.Assumed, "the per-CPU variables: all data of init stands for them")
		}
		return r, nil
	}
	return l.span("__per_cpu_start", "__per_cpu_end")
}

// initData is what lies between the init text and the kernel's own relocations.
func (l *rawLoad) initData() Range {
	return Range{alignUp(l.initText.End, l.info.PageSize), l.perCPULimit()}
}

// perCPULimit is what the per-CPU variables lie before.
func (l *rawLoad) perCPULimit() uint64 {
	if l.rela.Len() > 0 {
		return l.base + uint64(l.rela.Offset())
	}
	return l.base + uint64(len(l.b))
}

// findPerCPU finds the section by what BTF tells of it and the code makes of its
// variables' addresses. It lies before the kernel's own relocations.
func (l *rawLoad) findPerCPU(t *btfTypes) (Range, bool) {
	const slack = 1 << 20 // what the linker script may put between it and .rela.dyn
	vars, size := t.perCPUVars()
	if size > mostPerCPU {
		return Range{}, false
	}
	high := l.perCPULimit()
	low := max(l.initText.End, high-min(high-l.base, size+slack))
	used := make(map[uint64]int)
	for _, text := range l.img.text {
		percpu.Addresses(l.b[text.Start-l.base:text.End-l.base], text.Start, low, high, used)
	}
	start, ok := percpu.Find(percpu.Section{Vars: vars, Size: size}, low, high, l.info.PageSize, used)
	return Range{start, start + size}, ok
}

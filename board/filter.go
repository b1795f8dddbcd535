package board

import (
	"fmt"
	"slices"

	"callops/internal/errno"
	"callops/kernelimage"
)

// FilterIndex is the number of a function of the kernel in available_filter_functions, from 1 on, which set_ftrace_filter takes in the place of its
// name: it takes the kernel 20,000 instructions to find one by that, and 76 million by name, for which it looks up the names of all. ENOENT
// where there is no such function, or it can't be traced; modules' are not known.
func (m *Machine) FilterIndex(name string) (int, error) {
	addr, err := m.Symbol(name)
	if err != nil {
		return 0, err
	}
	kept := slices.DeleteFunc(m.img.Sites(), func(s kernelimage.Site) bool { return s.Init })
	i := slices.IndexFunc(kept, func(s kernelimage.Site) bool { return s.Func() == addr })
	if i < 0 {
		return 0, fmt.Errorf("%s can't be traced: %w", name, errno.ENOENT)
	}
	return i + 1, nil
}

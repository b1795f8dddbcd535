package textdiff

import (
	"slices"

	"callops/kernelimage"
)

// Text is a function of ftrace in a kernel.
type Text struct {
	Name string
	File string // the source file
	kernelimage.Range
	Calls []uint64 // the functions that it branches to, by their start
}

// Ftrace returns a kernel's functions of ftrace, in address order: those that [Compare]
// compares.
func Ftrace(img *kernelimage.Image) ([]Text, error) {
	s, err := newSpace(img)
	if err != nil {
		return nil, err
	}
	labels := make(map[string]bool)
	s.labels(labels)
	d := newSide(s, labels)
	files := d.relevant()
	calls := make(map[int][]uint64)
	for to, callers := range d.callers {
		for _, from := range callers {
			calls[from] = append(calls[from], d.funcs[to].Start)
		}
	}
	var found []Text
	for _, i := range keys(files) {
		slices.Sort(calls[i])
		f := &d.funcs[i]
		found = append(found, Text{Name: f.name, File: files[i], Range: f.Range, Calls: slices.Compact(calls[i])})
	}
	return found, nil
}

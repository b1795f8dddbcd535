package main

import (
	"context"
	"path/filepath"
	"slices"

	"callops/internal/text"
	"callops/kernelimage"
)

// benchRun is one image to measure, with its own ftrace or with callops'.
type benchRun struct {
	name  string
	image *kernelimage.Image // nil: the built-in kernel
	own   bool
}

type benchRuns []benchRun

// runs opens the images. The caller closes them.
func (b *benchFlags) runs(ctx context.Context) (runs benchRuns, err error) {
	for _, file := range append([]string{b.image}, b.beside...) {
		if file == "" || file == builtin {
			runs = append(runs, benchRun{name: builtin})
			continue
		}
		img, err := kernelimage.Open(ctx, file, nil)
		if err != nil {
			runs.close()
			return nil, err
		}
		runs = append(runs, benchRun{name: text.Printable(filepath.Base(file)), image: img, own: b.trampoline.value == trampolineImage})
	}
	if b.trampoline.value != both {
		return runs, nil
	}
	for i := range runs {
		r := &runs[i]
		r.own = r.image != nil && hasFtrace(r.image)
	}
	if runs[0].own && !b.oneCode {
		runs = append(runs, benchRun{name: runs[0].name, image: runs[0].image})
	}
	return runs, nil
}

// hasFtrace reports whether an image has an ftrace of its own.
func hasFtrace(img *kernelimage.Image) bool {
	return slices.ContainsFunc(img.SymbolTable().Called("ftrace_caller"), func(s kernelimage.Symbol) bool { return s.Func })
}

func (r benchRuns) close() {
	for _, run := range r {
		if run.image != nil {
			_ = run.image.Close() // it was only read
		}
	}
}

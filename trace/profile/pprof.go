package profile

import (
	"io"
	"math"

	"github.com/google/pprof/profile"

	"callops/kernelimage"
)

// WritePprof writes the profile for `go tool pprof`: a sample for each instruction in each
// stack, of the image of that name. lines may be nil.
func (p *Profile) WritePprof(w io.Writer, image string, lines *kernelimage.Lines) error {
	if lines == nil {
		lines = &kernelimage.Lines{}
	}
	b := &builder{
		p: p, lines: lines, locations: make(map[uint64]*profile.Location), functions: make(map[uint64]*profile.Function),
		out: &profile.Profile{
			SampleType: []*profile.ValueType{{Type: "instructions", Unit: "count"}},
			PeriodType: &profile.ValueType{Type: "instructions", Unit: "count"},
			Period:     1,
			// pprof is told all names, so that it does not look for the file.
			Mapping: []*profile.Mapping{{ID: 1, Limit: math.MaxUint64, File: image, HasFunctions: true, HasFilenames: true, HasLineNumbers: true}},
		},
	}
	callers := make(map[*node][]*profile.Location) // of a node's functions
	p.root.each(func(n *node) {
		if n.parent != &p.root {
			callers[n] = append([]*profile.Location{b.location(n.call, n.parent.fn)}, callers[n.parent]...)
		}
		for i, count := range n.counts {
			if count == 0 {
				continue
			}
			at := b.location(n.fn+uint64(i)*4, n.fn)
			b.out.Sample = append(b.out.Sample, &profile.Sample{
				Location: append([]*profile.Location{at}, callers[n]...), Value: []int64{int64(count)},
			})
		}
	})
	if err := b.out.CheckValid(); err != nil {
		return err
	}
	return b.out.Write(w)
}

type builder struct {
	p         *Profile
	lines     *kernelimage.Lines
	locations map[uint64]*profile.Location
	functions map[uint64]*profile.Function
	out       *profile.Profile
}

// location is an instruction of the function fn; addr 0 is not known.
func (b *builder) location(addr, fn uint64) *profile.Location {
	if addr == 0 {
		addr = fn
	}
	if l := b.locations[addr]; l != nil {
		return l
	}
	line := b.lines.At(addr)
	l := &profile.Location{
		ID: uint64(len(b.out.Location)) + 1, Address: addr, Mapping: b.out.Mapping[0],
		Line: []profile.Line{{Function: b.function(fn, line.File), Line: int64(line.Number)}},
	}
	b.locations[addr] = l
	b.out.Location = append(b.out.Location, l)
	return l
}

func (b *builder) function(fn uint64, file string) *profile.Function {
	f := b.functions[fn]
	if f == nil {
		name, _, _ := b.p.names(fn)
		f = &profile.Function{ID: uint64(len(b.out.Function)) + 1, Name: name, SystemName: name, Filename: file}
		b.functions[fn] = f
		b.out.Function = append(b.out.Function, f)
	}
	if f.Filename == "" { // a function begins with what has no line
		f.Filename = file
	}
	return f
}

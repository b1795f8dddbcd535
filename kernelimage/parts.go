package kernelimage

import "slices"

// Parts are what an [Image] is made of, for one that no file holds: a module's
// memory, a kernel that a test or a benchmark makes up. They may be changed until
// [New] makes an image of them, which has its own from then on.
type Parts struct {
	Name    string
	Profile Profile
	Layout  *Layout
	CallOps bool
	BTI     bool

	Segments []Segment // in address order, not overlapping; their Data is the image's after New
	Text     []Range   // in address order
	Symbols  []Symbol  // in address order
	Sites    []Site    // ascending IP; FindSites finds them
	Linux    *Linux    // nil but for a kernel

	BTF     []byte // section .BTF; nil: none
	BTFBase []byte // section .BTF.base, what a module's .BTF builds on; nil: the kernel's
}

// New makes an image of its parts. It checks nothing: FindSites checks call sites.
func New(p *Parts) *Image {
	img := &Image{
		Name: p.Name, Profile: p.Profile, Layout: p.Layout, CallOps: p.CallOps, BTI: p.BTI,
		Segments: slices.Clone(p.Segments), Text: slices.Clone(p.Text), Symbols: slices.Clone(p.Symbols), Sites: slices.Clone(p.Sites),
		Linux: p.Linux,
	}
	if p.BTF != nil {
		img.debug = &debugInfo{btf: p.BTF, btfBase: p.BTFBase}
	}
	return img
}

// FindSites makes call sites of the addresses that the compiler listed
// (__patchable_function_entries), as ftrace_call_adjust does, and finds out
// which layout they have. EINVAL for what cannot be patched.
func (p *Parts) FindSites(entries []uint64) error {
	img := &Image{Name: p.Name, Segments: p.Segments, Text: p.Text, Symbols: p.Symbols}
	err := img.setSites(slices.Clone(entries))
	p.Sites, p.CallOps, p.BTI = img.Sites, img.CallOps, img.BTI
	return err
}

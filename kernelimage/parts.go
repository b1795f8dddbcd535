package kernelimage

import (
	"slices"

	"callops/kernelimage/internal/backing"
)

// Parts are what an [Image] is made of, for one that no file holds: a module's
// memory, a kernel that a test or a benchmark makes up. They may be changed until
// [New] makes an image of them, which has its own from then on.
type Parts struct {
	Name    string
	Profile Profile
	Layout  *Layout
	CallOps bool
	BTI     bool

	Segments []Segment // in address order, not overlapping; see NewSegment
	Text     []Range   // in address order
	Symbols  []Symbol  // in address order
	Sites    []Site    // ascending IP; FindSites finds them
	Linux    *Linux    // nil but for a kernel

	BTF     []byte // section .BTF; nil: none
	BTFBase []byte // section .BTF.base, what a module's .BTF builds on; nil: the kernel's

	file *backing.File
}

// Parts returns the image's parts, to make another one of them. That reads the same
// file: it is closed with this one.
func (img *Image) Parts() *Parts {
	p := &Parts{
		Name: img.name, Profile: img.profile, Layout: img.Layout(), CallOps: img.callOps, BTI: img.bti,
		Segments: img.Segments(), Text: img.Text(), Symbols: img.Symbols(), Sites: img.Sites(), Linux: img.Linux(),
		file: img.file,
	}
	if img.debug != nil {
		p.BTF, p.BTFBase = slices.Clone(img.debug.btf), slices.Clone(img.debug.btfBase)
	}
	return p
}

// New makes an image of its parts. It checks nothing: FindSites checks call sites.
func New(p *Parts) *Image {
	img := &Image{
		name: p.Name, profile: p.Profile, callOps: p.CallOps, bti: p.BTI,
		segments: slices.Clone(p.Segments), text: slices.Clone(p.Text), symbols: slices.Clone(p.Symbols), sites: slices.Clone(p.Sites),
		linux: p.Linux, file: p.file,
	}
	img.linux = img.Linux() // a copy
	if p.Layout != nil {
		img.layout = *p.Layout
	}
	if p.BTF != nil {
		img.debug = &debugInfo{btf: slices.Clone(p.BTF), btfBase: slices.Clone(p.BTFBase)}
	}
	return img
}

// FindSites makes call sites of the addresses that the compiler listed
// (__patchable_function_entries), as ftrace_call_adjust does, and finds out
// which layout they have. EINVAL for what cannot be patched.
func (p *Parts) FindSites(entries []uint64) error {
	img := &Image{name: p.Name, segments: p.Segments, text: p.Text, symbols: p.Symbols}
	err := img.setSites(slices.Clone(entries))
	p.Sites, p.CallOps, p.BTI = img.sites, img.callOps, img.bti
	return err
}

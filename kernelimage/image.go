package kernelimage

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"callops/emu"
	"callops/internal/text"
	"callops/kernelimage/internal/backing"
)

// Image describes a kernel, or a program that stands in for one: its memory,
// its symbols and its call sites. Nothing of it is mapped.
//
// An Image never changes. What its methods return is the caller's own, and those
// that return a list copy it; nothing that a caller does with that reaches the image.
type Image struct {
	name    string
	profile Profile
	layout  Layout
	callOps bool
	bti     bool

	segments []Segment
	text     []Range
	symbols  []Symbol
	sites    []Site

	linux  *Linux
	btf    uint64        // where linux's BTF is; 0: not known
	digest string        // see Digest
	debug  *debugInfo    // of an ELF file; nil: it has none
	file   *backing.File // that segments are mapped from; nil: they are on the heap

	tidy      bool // the symbols are in order, and their names printable
	tableOnce sync.Once
	table     *SymbolTable // see SymbolTable
}

// Name is "builtin", or the base name of the file, escaped so that it can be
// printed.
func (img *Image) Name() string { return img.name }

// Digest tells the file that [Open] read the image from apart from any with other
// bytes; "" where they were not hashed, for the image has no index.
func (img *Image) Digest() string { return img.digest }

// Profile is the kernel whose ftrace the image follows.
func (img *Image) Profile() Profile { return img.profile }

// Layout holds the offsets of the structures' fields.
func (img *Image) Layout() *Layout {
	l := img.layout
	return &l
}

// CallOps reports whether each site has a literal in front of its function.
func (img *Image) CallOps() bool { return img.callOps }

// BTI reports whether functions begin with BTI C: all that the compiler cannot
// prove to be called directly only.
func (img *Image) BTI() bool { return img.bti }

// Segments are the image's memory, in address order. They do not overlap.
func (img *Image) Segments() []Segment { return slices.Clone(img.segments) }

// Text is where the instructions are in the segments, in address order.
func (img *Image) Text() []Range { return slices.Clone(img.text) }

// Symbols are in address order. [Image.SymbolTable] finds them without a copy of all.
func (img *Image) Symbols() []Symbol { return slices.Clone(img.symbols) }

// Sites are the call sites, with ascending IP.
func (img *Image) Sites() []Site { return slices.Clone(img.sites) }

// Linux is what else a kernel's raw Image tells; nil for other images.
func (img *Image) Linux() *Linux {
	if img.linux == nil {
		return nil
	}
	l := *img.linux
	l.Packed, l.Assumed = slices.Clone(l.Packed), slices.Clone(l.Assumed)
	return &l
}

// Close releases the mapping of an image that was opened from a file, once the last
// kernel booted from it is closed too; until then these see no difference. What reads
// the image's bytes afterwards fails with [os.ErrClosed], or finds none. An image
// that is not closed stays mapped until the process ends. A second Close does
// nothing, nor does one of an image that holds nothing.
func (img *Image) Close() error { return img.file.Close() }

// Hold keeps an image's bytes over its Close, until release is called, once.
// [os.ErrClosed] where it is closed already.
func (img *Image) Hold() (release func() error, err error) {
	if img.file == nil {
		return func() error { return nil }, nil
	}
	if err := img.file.Hold(); err != nil {
		return nil, err
	}
	return img.file.Release, nil
}

// reading calls f, which reads the image's bytes. Where they are gone, or the
// file was cut short, that is an error.
func (img *Image) reading(f func()) error {
	if img.file == nil {
		f()
		return nil
	}
	return img.file.Use(func() error { f(); return nil })
}

// Segment is memory that the image fills: with bytes of the file, then with zeros
// up to MemSize.
type Segment struct {
	Name    string
	Addr    uint64
	MemSize uint64
	Perm    emu.Perm

	data []byte
	file *backing.File // that data is mapped from, at off; nil: it is on the heap
	off  uint64
}

// NewSegment makes a segment for [Parts]. data is the segment's from then on.
func NewSegment(name string, addr uint64, data []byte, memSize uint64, perm emu.Perm) Segment {
	return Segment{Name: name, Addr: addr, data: data, MemSize: memSize, Perm: perm}
}

// End is the first address after the segment.
func (s *Segment) End() uint64 { return s.Addr + s.MemSize }

// FileSize is how many bytes of the segment the file fills.
func (s *Segment) FileSize() uint64 { return uint64(len(s.data)) }

// Bytes copies the FileSize bytes. [os.ErrClosed] once the image is closed.
func (s *Segment) Bytes() (b []byte, err error) {
	if s.file == nil {
		return bytes.Clone(s.data), nil
	}
	err = s.file.Use(func() error { b = bytes.Clone(s.data); return nil })
	return b, err
}

// Load puts the segment's bytes into memory that is mapped for it: as copy-on-write pages of the file
// that they are in, or else as a copy. ESTALE where that file has changed, and
// [os.ErrClosed] once the image is closed.
func (s *Segment) Load(mem *emu.Memory) error {
	if s.file != nil {
		return s.file.Fill(mem, s.Addr, s.off, uint64(len(s.data)))
	}
	return mem.Write(s.Addr, s.data)
}

// Range is the addresses from Start up to End, which is not part of it.
type Range struct{ Start, End uint64 }

// Contains reports whether addr lies in the range.
func (r Range) Contains(addr uint64) bool { return addr >= r.Start && addr < r.End }

// Symbol is a named function or object.
type Symbol struct {
	Name   string
	Addr   uint64
	Size   uint64 // 0 where the image does not say
	Func   bool
	Type   byte   // as nm's, in kallsyms; 0 where the image has none
	Module string // "" for the kernel itself
}

// Site is a place at the start of a function that the compiler reserved for
// ftrace. With a literal the words are
//
//	Entry  literal       (Entry is 8-byte aligned)
//	+8     [BTI C]       the function's symbol is here
//	IP-4   NOP           MOV X9, X30 from the first patching on
//	IP     NOP           this word becomes BL and NOP again
//
// and without one Entry is the first of the two NOPs.
type Site struct {
	Entry   uint64 // the address that the compiler listed
	IP      uint64 // dyn_ftrace.ip: the word that toggles between NOP and BL
	Literal uint64 // where the ops pointer stands; 0: there is none
	BTI     bool   // the function begins with BTI C
	Init    bool   // in code that is freed after boot, see Linux.InitText
}

// Func returns the address of the function, which its symbol has.
func (s Site) Func() uint64 {
	if s.BTI {
		return s.IP - 8
	}
	return s.IP - 4
}

// Site returns the site whose IP is ip, or whose function is at ip.
func (img *Image) Site(ip uint64) (Site, bool) {
	i := sort.Search(len(img.sites), func(i int) bool { return img.sites[i].IP >= ip })
	if i < len(img.sites) && (img.sites[i].IP == ip || img.sites[i].Func() == ip) {
		return img.sites[i], true
	}
	return Site{}, false
}

// InitSites is how many of the image's call sites are in code that is freed
// after boot.
func (img *Image) InitSites() int {
	n := 0
	for i := range img.sites {
		if img.sites[i].Init {
			n++
		}
	}
	return n
}

// Banner returns the version that the image states in linux_banner, escaped so that
// it can be printed; "" if it does not.
func (img *Image) Banner() (banner string) {
	if img.reading(func() { banner = img.banner() }) != nil {
		return ""
	}
	return banner
}

func (img *Image) banner() string {
	i := slices.IndexFunc(img.symbols, func(s Symbol) bool { return s.Name == "linux_banner" })
	const most = 512
	var banner []byte
	switch {
	case i >= 0:
		banner = img.tail(img.symbols[i].Addr)
	case img.linux != nil:
		banner = img.linux.findBanner(img)
	}
	banner, _, _ = bytes.Cut(banner[:min(most, len(banner))], []byte{0})
	return text.Printable(strings.TrimSpace(string(banner)))
}

// IsLinux reports whether the image is a Linux kernel, in whatever format.
func (img *Image) IsLinux() bool {
	return img.linux != nil || strings.HasPrefix(img.Banner(), "Linux version ")
}

// Bounds returns the addresses from the first segment to the end of the last.
func (img *Image) Bounds() Range {
	if len(img.segments) == 0 {
		return Range{}
	}
	return Range{img.segments[0].Addr, img.segments[len(img.segments)-1].End()}
}

// TextBounds returns the addresses from the first instruction to the last.
func (img *Image) TextBounds() Range {
	if len(img.text) == 0 {
		return img.Bounds()
	}
	return Range{img.text[0].Start, img.text[len(img.text)-1].End}
}

// ReadAt copies what the image holds from addr on to p, and returns how much: less
// than is asked for where the bytes of the segment end. [os.ErrClosed] once the image
// is closed.
func (img *Image) ReadAt(p []byte, addr uint64) (n int, err error) {
	err = img.reading(func() { n = copy(p, img.tail(addr)) })
	return n, err
}

// read returns n bytes of the image at addr, which lie in one segment's data.
func (img *Image) read(addr, n uint64) ([]byte, bool) {
	b := img.tail(addr)
	if b == nil || n > uint64(len(b)) {
		return nil, false
	}
	return b[:n:n], true
}

// tail returns the data of the segment that holds addr, from there on; nil
// when none does.
func (img *Image) tail(addr uint64) []byte {
	i := sort.Search(len(img.segments), func(i int) bool { return img.segments[i].End() > addr })
	if i == len(img.segments) {
		return nil
	}
	s := &img.segments[i]
	if addr < s.Addr || addr-s.Addr > uint64(len(s.data)) {
		return nil
	}
	return s.data[addr-s.Addr:]
}

// symbolize names addr as symbol+0xoff; "" outside the image.
func (img *Image) symbolize(addr uint64) string {
	if !img.Bounds().Contains(addr) {
		return ""
	}
	i := sort.Search(len(img.symbols), func(i int) bool { return img.symbols[i].Addr > addr }) - 1
	if i < 0 {
		return ""
	}
	i = sort.Search(i, func(k int) bool { return img.symbols[k].Addr >= img.symbols[i].Addr })
	return fmt.Sprintf("%s+%#x", img.symbols[i].Name, addr-img.symbols[i].Addr)
}

func pageUp(n uint64) uint64 { return alignUp(n, emu.PageSize) }

func alignUp(n, to uint64) uint64 { return (n + to - 1) &^ (to - 1) }

// PageSize is the kernel's PAGE_SIZE in bytes: 4, 16 or 64 KiB. The emulator's own
// pages are of 4 KiB whatever it is.
func (img *Image) PageSize() uint64 {
	if img.linux == nil || img.linux.PageSize == 0 {
		return emu.PageSize
	}
	return img.linux.PageSize
}

// ThreadSize is the size of a task's stack in bytes: 16 KiB, or a page where that
// is more (arch/arm64/include/asm/memory.h, THREAD_SIZE).
func (img *Image) ThreadSize() uint64 { return max(16<<10, img.PageSize()) }

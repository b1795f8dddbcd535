package kernelimage

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"callops/emu"
	"callops/internal/text"
	"callops/kernelimage/internal/backing"
)

// Image describes a kernel, or a program that stands in for one: its memory,
// its symbols and its call sites. Nothing of it is mapped.
// An Image and what it refers to never change.
type Image struct {
	Name    string // "builtin", or the base name of the file, escaped so that it can be printed
	Profile Profile
	Layout  *Layout
	CallOps bool // each site has a literal in front of its function
	BTI     bool // functions begin with BTI C (all that the compiler cannot prove to be called directly only)

	Segments []Segment // in address order, not overlapping
	Text     []Range   // the instructions in them, in address order
	Symbols  []Symbol  // in address order
	Sites    []Site    // ascending IP

	Linux *Linux // what else a kernel's raw Image tells; nil for other images

	debug *debugInfo // of an ELF file; nil: it has none

	file *backing.File // that Data of segments is mapped from; nil: it is on the heap
}

// Close gives back what an image that was opened from a file holds, after the
// last use of it, of its segments' Data and of every kernel booted from it. One
// that is not closed stays mapped until the process ends. A second Close does
// nothing, nor does one of an image that holds nothing.
func (img *Image) Close() error {
	if img.file == nil {
		return nil
	}
	for i := range img.Segments {
		img.Segments[i].Data = nil // rather than let it point to what is gone
	}
	return img.file.Close()
}

// Segment is memory that the image fills: Data, then zeros up to MemSize.
type Segment struct {
	Name    string
	Addr    uint64
	Data    []byte
	MemSize uint64
	Perm    emu.Perm

	file *backing.File // that Data is mapped from, at off; nil: it is on the heap
	off  uint64
}

// End is the first address after the segment.
func (s *Segment) End() uint64 { return s.Addr + s.MemSize }

// Load puts the segment's bytes into memory that is mapped for it: as copy-on-write pages of the file
// that they are in, or else as a copy. ESTALE where that file has changed, and
// os.ErrClosed once the image is closed.
func (s *Segment) Load(mem *emu.Memory) error {
	if s.file != nil {
		return s.file.Fill(mem, s.Addr, s.off, uint64(len(s.Data)))
	}
	return mem.Write(s.Addr, s.Data)
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
	i := sort.Search(len(img.Sites), func(i int) bool { return img.Sites[i].IP >= ip })
	if i < len(img.Sites) && (img.Sites[i].IP == ip || img.Sites[i].Func() == ip) {
		return img.Sites[i], true
	}
	return Site{}, false
}

// InitSites is how many of the image's call sites are in code that is freed
// after boot.
func (img *Image) InitSites() int {
	n := 0
	for i := range img.Sites {
		if img.Sites[i].Init {
			n++
		}
	}
	return n
}

// Banner returns the version that the image states in linux_banner, escaped so that
// it can be printed; "" if it does not.
func (img *Image) Banner() string {
	i := slices.IndexFunc(img.Symbols, func(s Symbol) bool { return s.Name == "linux_banner" })
	const most = 512
	var banner []byte
	switch {
	case i >= 0:
		banner = img.Tail(img.Symbols[i].Addr)
	case img.Linux != nil:
		banner = img.Linux.findBanner(img)
	}
	banner, _, _ = bytes.Cut(banner[:min(most, len(banner))], []byte{0})
	return text.Printable(strings.TrimSpace(string(banner)))
}

// IsLinux reports whether the image is a Linux kernel, in whatever format.
func (img *Image) IsLinux() bool {
	return img.Linux != nil || strings.HasPrefix(img.Banner(), "Linux version ")
}

// Bounds returns the addresses from the first segment to the end of the last.
func (img *Image) Bounds() Range {
	if len(img.Segments) == 0 {
		return Range{}
	}
	return Range{img.Segments[0].Addr, img.Segments[len(img.Segments)-1].End()}
}

// TextBounds returns the addresses from the first instruction to the last.
func (img *Image) TextBounds() Range {
	if len(img.Text) == 0 {
		return img.Bounds()
	}
	return Range{img.Text[0].Start, img.Text[len(img.Text)-1].End}
}

// read returns n bytes of the image at addr, which lie in one segment's Data.
func (img *Image) read(addr, n uint64) ([]byte, bool) {
	b := img.Tail(addr)
	if b == nil || n > uint64(len(b)) {
		return nil, false
	}
	return b[:n:n], true
}

// Tail returns the Data of the segment that holds addr, from there on; nil
// when none does.
func (img *Image) Tail(addr uint64) []byte {
	i := sort.Search(len(img.Segments), func(i int) bool { return img.Segments[i].End() > addr })
	if i == len(img.Segments) {
		return nil
	}
	s := &img.Segments[i]
	if addr < s.Addr || addr-s.Addr > uint64(len(s.Data)) {
		return nil
	}
	return s.Data[addr-s.Addr:]
}

// symbolize names addr as symbol+0xoff; "" outside the image.
func (img *Image) symbolize(addr uint64) string {
	if !img.Bounds().Contains(addr) {
		return ""
	}
	i := sort.Search(len(img.Symbols), func(i int) bool { return img.Symbols[i].Addr > addr }) - 1
	if i < 0 {
		return ""
	}
	i = sort.Search(i, func(k int) bool { return img.Symbols[k].Addr >= img.Symbols[i].Addr })
	return fmt.Sprintf("%s+%#x", img.Symbols[i].Name, addr-img.Symbols[i].Addr)
}

func pageUp(n uint64) uint64 { return alignUp(n, emu.PageSize) }

func alignUp(n, to uint64) uint64 { return (n + to - 1) &^ (to - 1) }

// PageSize is the kernel's PAGE_SIZE in bytes: 4, 16 or 64 KiB. The emulator's own
// pages are of 4 KiB whatever it is.
func (img *Image) PageSize() uint64 {
	if img.Linux == nil || img.Linux.PageSize == 0 {
		return emu.PageSize
	}
	return img.Linux.PageSize
}

// ThreadSize is the size of a task's stack in bytes: 16 KiB, or a page where that
// is more (arch/arm64/include/asm/memory.h, THREAD_SIZE).
func (img *Image) ThreadSize() uint64 { return max(16<<10, img.PageSize()) }

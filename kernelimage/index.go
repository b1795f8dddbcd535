package kernelimage

import (
	"cmp"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"callops/emu"
	"callops/internal/cachefile"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernelimage/internal/backing"
	"callops/kernelimage/internal/imageindex"
)

// An index is a kernel's image as it was read, in the user's cache folder: its symbols, call sites and layout, and the pages
// that relocations change, or that were unpacked. It is of one file's contents, by their hash, and of one program.

// minIndexed is the size from which on a file is worth an index, in bytes; keptIndexes is how many stay: the newest.
const (
	minIndexed  = 1 << 20
	keptIndexes = 8
)

// index is where the index of a file is.
type index struct {
	path, key string
	digest    string
	info      os.FileInfo // of the file as it was hashed
}

// findIndex returns where the index of f is, or ought to be; nil for a file that has none.
func findIndex(ctx context.Context, f *os.File, info os.FileInfo) (*index, error) {
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := f.ReadAt(magic, 0); err != nil || string(magic) == elf.ELFMAG || info.Size() < minIndexed || !hostmem.Mapped {
		return nil, nil
	}
	x := &index{info: info}
	h := xxhash.New()
	n, err := io.CopyBuffer(h, backing.Reader(ctx, io.NewSectionReader(f, 0, info.Size())), make([]byte, 256<<10))
	if err != nil {
		return nil, err
	}
	program, err := cachefile.Program()
	if err != nil {
		return nil, err
	}
	x.digest = fmt.Sprintf("%016x-%d", h.Sum64(), n)
	x.key = fmt.Sprintf("%s %d %q", x.digest, backing.Granule(), program)
	x.path, err = cachefile.Path("images", x.key, ".image")
	return x, err
}

// unchanged reports whether f still is as it was hashed.
func (x *index) unchanged(f *os.File) bool {
	now, err := f.Stat()
	return err == nil && now.Size() == x.info.Size() && now.ModTime().Equal(x.info.ModTime())
}

// image reads the image of f out of its index. Any error says that the index is to be made anew.
func (x *index) image(f *os.File, name string) (*Image, error) {
	kept, err := cachefile.Open(x.path)
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	info, err := kept.Stat()
	if err != nil {
		return nil, err
	}
	read, err := imageindex.Read(kept, info.Size())
	if err != nil {
		return nil, err
	}
	if string(read.Sections[sectionKey]) != x.key {
		return nil, fmt.Errorf("index of another image, %q: %w", read.Sections[sectionKey], errno.ESTALE)
	}
	file, err := x.pages(f, kept, read, name)
	if err != nil {
		return nil, err
	}
	img, err := decodeIndex(&read.Sections, name, file)
	if err == nil {
		err = file.Seal()
	}
	if err == nil && !x.unchanged(f) {
		err = fmt.Errorf("%s has changed: %w", name, errno.ESTALE)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return img, nil
}

// pages maps the image: from f and what the index has of it, or from the index alone.
func (x *index) pages(f, kept *os.File, read *imageindex.Index, name string) (*backing.File, error) {
	switch {
	case read.Whole():
		return backing.Inside(kept, read.Runs[0].From, int64(read.Size), name)
	case read.Size != uint64(x.info.Size()):
		return nil, damagedIndex("an image of %#x bytes", read.Size)
	}
	return backing.Patched(f, int64(read.Size), name, kept, read.Runs)
}

// save writes the index of an image.
func (x *index) save(img *Image) error {
	sections, err := encodeIndex(img)
	if err != nil {
		return err
	}
	sections[sectionKey] = []byte(x.key)
	err = cachefile.Save(x.path, func(f *os.File) error {
		return img.file.Use(func() error { return imageindex.Write(f, sections, img.file) })
	})
	if err != nil {
		return err
	}
	return cachefile.Prune(x.path, keptIndexes)
}

// The sections of an index.
const (
	sectionKey = iota
	sectionRest
	sectionSymbols
	sectionNames
	sectionSites
	sectionConfig
)

// indexRest is what is not long, as JSON.
type indexRest struct {
	Profile  Profile
	Layout   Layout
	CallOps  bool
	BTI      bool
	Segments []indexSegment
	Text     []Range
	Linux    *Linux
	BTFAt    uint64
}

type indexSegment struct {
	Name                     string
	Addr, MemSize, Off, Size uint64
	Perm                     emu.Perm
}

// A symbol is its address, where its name begins in all the names, that one's length, type and whether it is a function; a site
// is the entry, and flags in its low bits.
const (
	symbolSize = 16
	siteSize   = 8

	siteBTI  = 1 << 0
	siteInit = 1 << 1
)

func encodeIndex(img *Image) (sections [imageindex.Sections][]byte, err error) {
	rest := indexRest{Profile: img.profile, Layout: img.layout, CallOps: img.callOps, BTI: img.bti, Text: img.text, Linux: img.Linux(), BTFAt: img.btf}
	rest.Linux.Config = ""
	for i := range img.segments {
		s := &img.segments[i]
		rest.Segments = append(rest.Segments, indexSegment{s.Name, s.Addr, s.MemSize, s.off, uint64(len(s.data)), s.Perm})
	}
	symbols, names := make([]byte, 0, symbolSize*len(img.symbols)), []byte(nil)
	for i := range img.symbols {
		s := &img.symbols[i]
		symbols = binary.LittleEndian.AppendUint64(symbols, s.Addr)
		symbols = binary.LittleEndian.AppendUint32(symbols, uint32(len(names)))
		symbols = binary.LittleEndian.AppendUint16(symbols, uint16(len(s.Name)))
		kind := byte(0)
		if s.Func {
			kind = 1
		}
		symbols = append(symbols, s.Type, kind)
		if names = append(names, s.Name...); len(s.Name) > 1<<16-1 || s.Size != 0 || s.Module != "" {
			return sections, fmt.Errorf("index of %s: no place for %+v: %w", img.name, *s, errno.EINVAL)
		}
	}
	sites := make([]byte, 0, siteSize*len(img.sites))
	for i := range img.sites {
		s := &img.sites[i]
		word := s.Entry
		if s.BTI {
			word |= siteBTI
		}
		if s.Init {
			word |= siteInit
		}
		sites = binary.LittleEndian.AppendUint64(sites, word)
	}
	sections[sectionSymbols], sections[sectionNames], sections[sectionSites] = symbols, names, sites
	sections[sectionConfig] = []byte(img.linux.Config)
	sections[sectionRest], err = json.Marshal(rest)
	return sections, err
}

func damagedIndex(format string, args ...any) error {
	return fmt.Errorf("index of an image: "+format+": %w", append(args, errno.EINVAL)...)
}

// decodeIndex makes an image of an index and of its bytes, and checks what they are read by.
func decodeIndex(sections *[imageindex.Sections][]byte, name string, file *backing.File) (*Image, error) {
	var rest indexRest
	if err := json.Unmarshal(sections[sectionRest], &rest); err != nil {
		return nil, damagedIndex("%v", err)
	}
	if layouts[rest.Profile] == nil || rest.Linux == nil {
		return nil, damagedIndex("profile %q", rest.Profile)
	}
	if err := rest.Layout.check(); err != nil {
		return nil, damagedIndex("%v", err)
	}
	img := &Image{
		name: name, profile: rest.Profile, layout: rest.Layout, callOps: rest.CallOps, bti: rest.BTI, text: rest.Text,
		linux: rest.Linux, btf: rest.BTFAt, file: file,
	}
	img.linux.Config = string(sections[sectionConfig])
	return img, cmp.Or(
		img.indexedSegments(rest.Segments), img.linux.checkIndexed(&img.layout),
		img.indexedSymbols(sections[sectionSymbols], sections[sectionNames]), img.indexedSites(sections[sectionSites]),
	)
}

// indexedSegments takes segments one behind the other, in memory and in the file, with text in them.
func (img *Image) indexedSegments(list []indexSegment) error {
	size := uint64(len(img.file.Bytes))
	for i, s := range list {
		if s.Off > size || s.Size > size-s.Off || s.Size > s.MemSize || s.MemSize > maxUnpacked || s.Addr > -s.MemSize ||
			s.Perm&^(emu.Read|emu.Write|emu.Exec) != 0 || i > 0 && s.Addr != list[i-1].Addr+list[i-1].MemSize {
			return damagedIndex("segment %q at %#x", s.Name, s.Addr)
		}
		img.segments = append(img.segments, Segment{
			Name: s.Name, Addr: s.Addr, MemSize: s.MemSize, Perm: s.Perm, file: img.file, off: s.Off, data: img.file.Bytes[s.Off : s.Off+s.Size : s.Off+s.Size],
		})
	}
	for i, r := range img.text {
		if _, ok := img.read(r.Start, r.End-r.Start); !ok || r.End <= r.Start || i > 0 && r.Start < img.text[i-1].End {
			return damagedIndex("text from %#x to %#x", r.Start, r.End)
		}
	}
	if len(img.segments) == 0 || len(img.text) == 0 {
		return damagedIndex("no segments, or no text")
	}
	return nil
}

func (l *Linux) checkIndexed(layout *Layout) error {
	switch l.PageSize {
	case 4 << 10, 16 << 10, 64 << 10:
	default:
		return damagedIndex("pages of %#x bytes", l.PageSize)
	}
	area, size := l.PerCPU.End-l.PerCPU.Start, layout.PerCPU.Size
	if area > mostPerCPU || l.PerCPU.Start%l.PageSize != 0 || size < 0 || uint64(size) > area+l.PageSize {
		return damagedIndex("per-CPU variables from %#x to %#x", l.PerCPU.Start, l.PerCPU.End)
	}
	return nil
}

func (img *Image) indexedSymbols(list, names []byte) error {
	all := unsafe.String(unsafe.SliceData(names), len(names))
	bounds, last := img.Bounds(), uint64(0)
	img.symbols = make([]Symbol, len(list)/symbolSize)
	img.tidy = !slices.ContainsFunc(names, func(c byte) bool { return c <= ' ' || c > '~' })
	for i := range img.symbols {
		b := list[symbolSize*i : symbolSize*(i+1)]
		at, n := uint64(binary.LittleEndian.Uint32(b[8:])), uint64(binary.LittleEndian.Uint16(b[12:]))
		s := Symbol{Addr: binary.LittleEndian.Uint64(b), Type: b[14], Func: b[15] != 0}
		if at+n > uint64(len(all)) || s.Addr < max(last, bounds.Start) || s.Addr > bounds.End {
			return damagedIndex("symbol at %#x", s.Addr)
		}
		s.Name, last = all[at:at+n], s.Addr
		img.symbols[i] = s
	}
	return nil
}

func (img *Image) indexedSites(list []byte) error {
	img.sites = make([]Site, len(list)/siteSize)
	for i := range img.sites {
		word := binary.LittleEndian.Uint64(list[siteSize*i:])
		s := Site{Entry: word &^ 3, BTI: word&siteBTI != 0, Init: word&siteInit != 0}
		s.IP = s.Entry + 4
		if img.callOps {
			s.Literal, s.IP = s.Entry, s.Entry+12
			if s.BTI {
				s.IP += 4
			}
		}
		if i > 0 && s.Entry < img.sites[i-1].IP+4 || !img.inText(s.Entry) || !img.inText(s.IP) || img.callOps && s.Entry%8 != 0 {
			return damagedIndex("call site at %#x", s.Entry)
		}
		img.sites[i] = s
	}
	return nil
}

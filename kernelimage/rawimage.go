package kernelimage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage/internal/backing"
	"callops/kernelimage/internal/format"
	"callops/kernelimage/internal/ikconfig"
	"callops/kernelimage/internal/imageheader"
	"callops/kernelimage/internal/kallsyms"
	"callops/kernelimage/internal/rela"
)

// Linux is what the raw Image of a kernel tells beside what every [Image] has.
type Linux struct {
	Packed      []string // what it came out of, outermost first
	Base        uint64   // its link address, which it runs at here
	PageSize    uint64   // PAGE_SIZE: 4, 16 or 64 KiB
	Relocations int      // R_AARCH64_RELATIVE entries
	Applied     bool     // the words they name already held their values in the file
	Kallsyms    string   // layout of the embedded symbol table
	BTF         int      // bytes
	Assumed     []string // what the kernel does not describe: structures are arm64's known ones
	Dropped     int      // entries of the call-site list that are zero, or outside the text
	InitText    Range    // code that is freed after boot
	PerCPU      Range    // the per-CPU variables as linked

	// Alternatives is how many places have other instructions for CPUs with some
	// feature; none is applied. 0 where no symbol names their list.
	Alternatives int

	Config string // .config, of a kernel that has it in it

	CPUNumber uint64 // the per-CPU variable of that name; 0: there is none
	OneCPU    bool   // nothing tells where the per-CPU variables are, cpu_number among them: it runs on CPU 0 alone
}

// What is read of a raw Image, and where its first byte may be linked.
const (
	rawMaxSize = maxUnpacked
	rawAlign   = imageheader.Align
)

func u64At(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

// rawLoad is a raw Image being made an Image of.
type rawLoad struct {
	name     string
	b        []byte        // the file, relocated in place
	file     *backing.File // where b is mapped from
	size     uint64        // in memory, from the header
	shift    uint64        // text_offset
	rela     rela.Table
	ks       *kallsyms.Table
	base     uint64            // the address of b[0]
	marks    map[string]uint64 // symbols of the linker script, and others that are needed; 0: the image has no such
	initText Range
	img      *Image
	info     *Linux
	direct   bool // ftrace_ops has a direct_call or subops
	assumed  bool // nothing tells that
}

// parseRaw makes an Image of a file, which it closes when it fails.
func parseRaw(ctx context.Context, file *backing.File, name string, profile Profile, inside []string) (*Image, error) {
	info := &Linux{Packed: inside}
	l := &rawLoad{name: name, b: file.Bytes, file: file, info: info, img: &Image{name: name, linux: info, file: file}}
	err := file.Guard(func() error {
		if err := format.Steps(ctx, l.header, func() error { return l.kallsyms(ctx) }, l.relocate, l.symbols, l.segments, l.alternatives, l.structures, l.sites); err != nil {
			return err
		}
		info.Config = string(ikconfig.Find(ctx, l.b))
		if profile != "" && profile != l.img.profile {
			return &FormatError{
				File: name, Msg: fmt.Sprintf("its ftrace is that of profile %s, not of %s", l.img.profile, profile), Errno: errno.EINVAL,
			}
		}
		return file.Seal()
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l.img, nil
}

func (l *rawLoad) fail(section string, off uint64, value any, format string, args ...any) error {
	return &FormatError{File: l.name, Section: section, Offset: off, Value: value, Msg: fmt.Sprintf(format, args...), Errno: errno.ENOEXEC}
}

func (l *rawLoad) header() error {
	h, err := imageheader.Read(l.b, l.name, rawMaxSize)
	l.shift, l.size, l.info.PageSize = h.TextOffset, h.ImageSize, h.PageSize
	return err
}

func (l *rawLoad) kallsyms(ctx context.Context) (err error) {
	l.rela = rela.Find(l.b)
	filled := func(off, n int) bool { return l.rela.Fill(off, n, l.shift, rawAlign) }
	if l.ks, err = kallsyms.Find(ctx, l.b, filled); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	l.info.Kallsyms = l.ks.String()
	return nil
}

// symbols takes the embedded symbol table. Symbols outside the image have no
// meaning here.
func (l *rawLoad) symbols() error {
	read, err := l.ks.Symbols(l.base)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	l.marks = make(map[string]uint64)
	for _, name := range rawMarks {
		l.marks[name] = 0
	}
	end := l.base + l.size
	syms := make([]Symbol, 0, l.ks.Len())
	for s := range read {
		if s.Addr < l.base || s.Addr > end {
			continue
		}
		mark, isMark := l.marks[s.Name] // of the linker script
		if isMark && mark == 0 {
			l.marks[s.Name] = s.Addr
		}
		syms = append(syms, Symbol{Name: s.Name, Type: s.Type, Addr: s.Addr, Func: !isMark && strings.IndexByte("tTwW", s.Type) >= 0})
	}
	if byAddr := func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) }; !slices.IsSortedFunc(syms, byAddr) {
		slices.SortStableFunc(syms, byAddr)
	}
	l.img.symbols = syms
	return nil
}

// rawMarks are the symbols of the linker script that are used.
var rawMarks = []string{
	"_text", "_stext", "_etext", "__init_begin", "__inittext_begin", "__inittext_end", "_sinittext", "_einittext", "_end", "__start_mcount_loc", "__stop_mcount_loc", "__per_cpu_start", "__per_cpu_end", "__start_BTF", "__stop_BTF",
	"__alt_instructions", "__alt_instructions_end", "context_tracking", "cpu_number",
}

// altInstrSize is that of struct alt_instr (arch/arm64/include/asm/alternative.h).
const altInstrSize = 12

func (l *rawLoad) alternatives() error {
	if l.marks["__alt_instructions"] == 0 || l.marks["__alt_instructions_end"] == 0 {
		return nil
	}
	list, err := l.span("__alt_instructions", "__alt_instructions_end")
	if err != nil {
		return err
	}
	l.info.Alternatives = int((list.End - list.Start) / altInstrSize)
	return nil
}

// span returns what lies between two marks, which must be in the image.
func (l *rawLoad) span(start, end string) (Range, error) {
	r := Range{l.marks[start], l.marks[end]}
	for _, m := range []string{start, end} {
		if l.marks[m] == 0 {
			return r, &FormatError{File: l.name, Section: "kallsyms", Msg: "no symbol is called " + m, Errno: errno.ENOENT}
		}
	}
	if r.End < r.Start {
		return r, l.fail("kallsyms", r.End, nil, "%s comes before %s, which is at %#x", end, start, r.Start)
	}
	return r, nil
}

// segments cuts the image as the kernel maps itself (arch/arm64/mm/mmu.c,
// map_kernel): the init text is executable too, as before it is freed.
func (l *rawLoad) segments() error {
	text, err := l.span("_stext", "_etext")
	if err != nil {
		return err
	}
	if l.initText, err = l.span("_sinittext", "_einittext"); err != nil {
		return err
	}
	l.info.InitText = l.initText
	// What else is in the segment (code for unloading what is built in, the list
	// of alternatives) is not needed: where no symbol says where it ends, it
	// goes with the data.
	initCode, end := l.initText, l.base+l.size
	init := Range{l.marks["__inittext_begin"], l.marks["__inittext_end"]}
	if init.Start == 0 {
		init.Start = initCode.Start &^ (l.info.PageSize - 1)
	}
	if init.End == 0 {
		init.End = alignUp(initCode.End, l.info.PageSize)
	}
	if !(l.base <= text.Start && text.End <= init.Start && init.Start <= initCode.Start && initCode.End <= init.End && init.End <= end) {
		return l.fail("kallsyms", 0, nil, "_text, _etext, __inittext_begin, __inittext_end and _end do not lie in this order")
	}
	const rx, rw = emu.Read | emu.Exec, emu.Read | emu.Write
	for _, s := range []struct {
		name  string
		until uint64
		perm  emu.Perm
	}{
		{"text", text.End, rx},
		{"rodata", init.Start, emu.Read},
		{"init text", init.End, rx},
		{"data", end, rw},
	} {
		start := l.base
		if n := len(l.img.segments); n > 0 {
			start = l.img.segments[n-1].End()
		}
		from, to := min(start-l.base, uint64(len(l.b))), min(s.until-l.base, uint64(len(l.b)))
		if s.until%l.info.PageSize != 0 && s.name != "data" {
			return l.fail("kallsyms", s.until, nil, "%s does not end at a page", s.name)
		}
		if s.until > start {
			l.img.segments = append(l.img.segments, Segment{
				Name: s.name, Addr: start, data: l.b[from:to:to], MemSize: s.until - start, Perm: s.perm, file: l.file, off: from,
			})
		}
	}
	for _, r := range []Range{text, initCode} {
		if r.End > l.base+uint64(len(l.b)) {
			return l.fail("kallsyms", r.End, nil, "the text reaches past the file")
		}
		if r.End > r.Start {
			l.img.text = append(l.img.text, r)
		}
	}
	return nil
}

// bytesAt returns the file's bytes between two marks.
func (l *rawLoad) bytesAt(start, end string) ([]byte, error) {
	r, err := l.span(start, end)
	if err != nil {
		return nil, err
	}
	if r.End-l.base > uint64(len(l.b)) {
		return nil, l.fail("kallsyms", r.Start, nil, "%s to %s reaches past the file", start, end)
	}
	return l.b[r.Start-l.base : r.End-l.base], nil
}

// findBanner finds linux_banner in the data, for a kernel without symbols of
// objects: it says "Linux version" and a number. The last one counts; those in
// front of it are for when the kernel was linked the first time, without a
// build number.
func (*Linux) findBanner(img *Image) []byte {
	const start = "Linux version "
	var found []byte
	for i := range img.segments {
		for b := img.segments[i].data; ; b = b[1:] {
			at := bytes.Index(b, []byte(start))
			if at < 0 {
				break
			}
			b = b[at:]
			if len(b) > len(start) && b[len(start)] >= '0' && b[len(start)] <= '9' {
				found = b
			}
		}
	}
	return found
}

package kernelimage

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callops/internal/errno"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// workloads are the images built from testdata/workload/workload.c.
var workloads = []struct {
	file         string
	callOps, bti bool
}{
	{"workload-callops.elf", true, false},
	{"workload-args.elf", false, false},
	{"workload-callops.so", true, false},
	{"workload-callops-bti.elf", true, true},
	{"workload-args-bti.elf", false, true},
	{"workload-vmlinux.elf", true, false},
}

func workloadPath(file string) string { return filepath.Join("testdata", "workload", file) }

func workload(t *testing.T, file string) *Image {
	t.Helper()
	img, err := Open(t.Context(), workloadPath(file), nil)
	require.NoError(t, err)
	return img
}

func TestOpen_FindsEverySiteAndItsLayout(t *testing.T) {
	for _, w := range workloads {
		t.Run(w.file, func(t *testing.T) {
			img := workload(t, w.file)
			assert.Equal(t, w.file, img.name)
			assert.Equal(t, w.callOps, img.callOps)
			assert.Equal(t, w.bti, img.bti)
			assert.IsIncreasing(t, ips(img))

			funcs, withBTI, last := 0, 0, uint64(0)
			for _, sym := range img.symbols {
				// _start asks for no site; fib.localalias is fib.
				if !sym.Func || sym.Name == "_start" || sym.Addr == last {
					continue
				}
				funcs++
				last = sym.Addr
				site, ok := img.Site(sym.Addr)
				require.True(t, ok, sym.Name)
				assert.Equal(t, sym.Addr, site.Func(), sym.Name)
				assert.Equal(t, w.callOps, site.Literal != 0)
				if site.BTI {
					withBTI++
				}
			}
			assert.Len(t, img.sites, funcs)
			assert.GreaterOrEqual(t, funcs, 25)
			if w.bti {
				// gcc leaves it out of static functions that are called directly.
				assert.Greater(t, withBTI, 25)
				assert.Less(t, withBTI, funcs)
			} else {
				assert.Zero(t, withBTI)
			}
		})
	}
}

func TestOpen_PutsASharedObjectIntoKernelSpace(t *testing.T) {
	img := workload(t, "workload-callops.so")
	assert.EqualValues(t, kernelBase, img.Bounds().Start)
	ops, ok := img.symbol("operations")
	require.True(t, ok)
	add, ok := img.symbol("op_add")
	require.True(t, ok)
	b, ok := img.read(ops.Addr, 8)
	require.True(t, ok)
	assert.Equal(t, add.Addr, binary.LittleEndian.Uint64(b), "R_AARCH64_RELATIVE in a table of pointers")
}

func TestOpen_LeavesAVmlinuxWhereItIsLinked(t *testing.T) {
	img := workload(t, "workload-vmlinux.elf")
	assert.EqualValues(t, kernelBase, img.Bounds().Start)
	// Its sites are between __start_mcount_loc and __stop_mcount_loc, and only
	// relocations give their places.
	require.NotEmpty(t, img.sites)
	start, ok := img.symbol("__start_mcount_loc")
	require.True(t, ok)
	stop, ok := img.symbol("__stop_mcount_loc")
	require.True(t, ok)
	assert.EqualValues(t, 8*len(img.sites), stop.Addr-start.Addr)
}

func TestOpen_LeavesAnExecutableWhereItIsLinked(t *testing.T) {
	img := workload(t, "workload-callops.elf")
	assert.EqualValues(t, 0x400000, img.Bounds().Start)
}

func TestOpen_SymbolsAreWhatKallsymsWouldHave(t *testing.T) {
	img := workload(t, "workload-callops.elf")
	for _, s := range img.symbols {
		assert.NotEmpty(t, s.Name)
		assert.False(t, strings.HasPrefix(s.Name, "$"), "mapping symbol %s", s.Name)
	}
	fib, ok := img.symbol("fib")
	require.True(t, ok)
	assert.True(t, fib.Func)
	state, ok := img.symbol("random_state")
	require.True(t, ok)
	assert.False(t, state.Func)
}

func TestOpen_RefusesFiles(t *testing.T) {
	for file, want := range map[string]struct {
		errno errno.Errno
		text  string
	}{
		"cold-callops.elf": {errno.EINVAL, "call site at 0x400104 (failed_again+0x0): misaligned patch site"},
		"unresolved.so":    {errno.ENOENT, "unresolved.so: relocations: no symbol of the file is called jiffies, printk"},
		"workload.c":       {errno.ENOEXEC, `unknown format: it is no ELF, arm64 Image, EFI zboot, gzip, xz, zstd, lz4 or lz4 (legacy); it starts with: "// S"`},
		"nobody":           {errno.ENOENT, "no such file"},
		"":                 {errno.ENOEXEC, "is not a regular file"},
	} {
		t.Run(file, func(t *testing.T) {
			_, err := Open(t.Context(), workloadPath(file), nil)
			assert.ErrorIs(t, err, want.errno)
			assert.ErrorContains(t, err, want.text)
		})
	}
}

func TestParse_ProfileIsCheckedAgainstTheImage(t *testing.T) {
	b, err := os.ReadFile(workloadPath("workload-callops.elf"))
	require.NoError(t, err)
	_, err = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", &OpenOptions{Profile: "2.4"})
	assert.ErrorIs(t, err, errno.EINVAL)
	_, err = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", &OpenOptions{Profile: Profile61})
	assert.ErrorIs(t, err, errno.EINVAL)
	assert.ErrorContains(t, err, "literals of CALL_OPS, which profile 6.1 does not know")
	img, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", &OpenOptions{Profile: ProfileV3})
	require.NoError(t, err)
	assert.Equal(t, Absent, img.layout.Ops.DirectCall)
}

// elfBytes is a file to be damaged, with the offsets that it takes.
type elfBytes struct {
	b []byte
	f *elf.File
}

func (e *elfBytes) put16(off int, v uint16) { binary.LittleEndian.PutUint16(e.b[off:], v) }
func (e *elfBytes) put32(off int, v uint32) { binary.LittleEndian.PutUint32(e.b[off:], v) }
func (e *elfBytes) put64(off int, v uint64) { binary.LittleEndian.PutUint64(e.b[off:], v) }

// section returns the offset of a section's header.
func (e *elfBytes) section(name string) int {
	for i, s := range e.f.Sections {
		if s.Name == name {
			return int(binary.LittleEndian.Uint64(e.b[0x28:])) + 64*i
		}
	}
	panic("no section " + name)
}

// prog returns the offset of a program header.
func (e *elfBytes) prog(i int) int { return 64 + 56*i }

// at returns the offset in the file of an address.
func (e *elfBytes) at(addr uint64) int {
	for _, p := range e.f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr < p.Vaddr+p.Filesz {
			return int(addr - p.Vaddr + p.Off)
		}
	}
	panic("address not in file")
}

func (e *elfBytes) addrOf(name string) uint64 {
	syms, err := e.f.Symbols()
	if err != nil {
		panic(err)
	}
	for _, s := range syms {
		if s.Name == name {
			return s.Value
		}
	}
	panic("no symbol " + name)
}

// swapValues exchanges the addresses of two symbols.
func (e *elfBytes) swapValues(a, b string) {
	x, y := e.addrOf(a), e.addrOf(b)
	table := e.f.Section(".symtab")
	for off := int(table.Offset); off < int(table.Offset+table.Size); off += 24 {
		switch binary.LittleEndian.Uint64(e.b[off+8:]) {
		case x:
			e.put64(off+8, y)
		case y:
			e.put64(off+8, x)
		}
	}
}

func TestParse_RefusesBadInput(t *testing.T) {
	const callops, shared = "workload-callops.elf", "workload-callops.so"
	for _, test := range []struct {
		name   string
		file   string
		damage func(e *elfBytes)
		want   string
	}{
		{"empty", callops, func(e *elfBytes) { e.b = nil }, `unknown format: it is no ELF, arm64 Image, EFI zboot, gzip, xz, zstd, lz4 or lz4 (legacy); it starts with: ""`},
		{"no_elf", callops, func(e *elfBytes) { e.b[0] = 'M' }, `unknown format: it is no ELF, arm64 Image, EFI zboot, gzip, xz, zstd, lz4 or lz4 (legacy); it starts with: "MELF"`},
		{"cut_in_the_header", callops, func(e *elfBytes) { e.b = e.b[:40] }, "x: ELF header: cut short, length: 0x28"},
		{"32_bit", callops, func(e *elfBytes) { e.b[4] = 1 }, "x: ELF header at 0x4: class is ELFCLASS32, only ELFCLASS64 is run"},
		{"big_endian", callops, func(e *elfBytes) { e.b[5] = 2 }, "x: ELF header at 0x5: data is ELFDATA2MSB, only ELFDATA2LSB (little-endian) is run"},
		{"other_machine", callops, func(e *elfBytes) { e.put16(0x12, 62) }, "x: ELF header at 0x12: machine is EM_X86_64, only EM_AARCH64 is run"},
		{"object_file", callops, func(e *elfBytes) { e.put16(0x10, 1) }, "x: ELF header at 0x10: type is ET_REL: link it first"},
		{"core_file", callops, func(e *elfBytes) { e.put16(0x10, 4) }, "x: ELF header at 0x10: type is ET_CORE, only ET_EXEC and ET_DYN are run"},
		{"size_of_program_headers", callops, func(e *elfBytes) { e.put16(0x36, 1) }, "x: ELF header at 0x36: program headers are 1 bytes each, not 56"},
		{"size_of_section_headers", callops, func(e *elfBytes) { e.put16(0x3a, 0) }, "x: ELF header at 0x3a: section headers are 0 bytes each, not 64"},
		{"program_headers_outside", callops, func(e *elfBytes) { e.put64(0x20, 1<<63) }, "x: program headers at 0x8000000000000000: reaches past the end"},
		{"section_headers_outside", callops, func(e *elfBytes) { e.put64(0x28, uint64(len(e.b)-1)) }, "x: section headers at "},
		{"cut_short", callops, func(e *elfBytes) { e.b = e.b[:len(e.b)-100] }, "x: section headers at "},
		{"a_million_sections", callops, func(e *elfBytes) {
			e.put16(0x3c, 0)
			e.put64(int(binary.LittleEndian.Uint64(e.b[0x28:]))+32, 1_000_000)
		}, "1000000 of them do not fit into the file"},
		{"names_in_no_section", callops, func(e *elfBytes) { e.put16(0x3e, 99) }, "x: section names: are in section 99 of"},
		{"names_in_text", callops, func(e *elfBytes) { e.put16(0x3e, 1) }, "section 1 is SHT_PROGBITS, not SHT_STRTAB"},
		{"name_outside", callops, func(e *elfBytes) { e.put32(e.section(".text"), 1<<31) }, "x: section names: name reaches past the string table"},
		{"name_of_a_section_is_no_text", callops, func(e *elfBytes) {
			text := e.f.Section(".shstrtab").Offset + uint64(binary.LittleEndian.Uint32(e.b[e.section(".text"):]))
			copy(e.b[text:], "\n\x1b[m\xff")
			e.put64(e.section(".text")+16, 0x7000)
		}, `x: \n\x1b[m\xff at 0x7000: lies in no segment`},
		{"nothing_to_load", callops, func(e *elfBytes) { e.put16(0x38, 0) }, "nothing to load: no PT_LOAD"},
		{"too_many_segments", callops, func(e *elfBytes) {
			e.put64(0x20, uint64(len(e.b)))
			e.put16(0x38, maxSegments+1)
			for i := range maxSegments + 1 {
				p := bytes.Clone(e.b[e.prog(0) : e.prog(0)+56])
				binary.LittleEndian.PutUint64(p[16:], uint64(0x400000+i*0x2000))
				e.b = append(e.b, p...)
			}
		}, "257 segments, at most 256 are loaded"},
		{"segment_outside", callops, func(e *elfBytes) { e.put64(e.prog(0)+8, 1<<40) }, "x: segment at 0x10000000000: reaches past the end of the file"},
		{"segment_offset_overflows", callops, func(e *elfBytes) { e.put64(e.prog(0)+8, 1<<64-16) }, "x: segment at 0xfffffffffffffff0: reaches past the end of the file"},
		{"segment_larger_in_the_file", callops, func(e *elfBytes) { e.put64(e.prog(0)+40, 1) }, "x: segment at 0x400000: 0x1 bytes in memory"},
		{"gigantic_segment", callops, func(e *elfBytes) { e.put64(e.prog(1)+40, 1<<50) }, "0x4000000000000 bytes: with the segments before it more than 0x40000000"},
		{"segments_far_apart", callops, func(e *elfBytes) { e.put64(e.prog(1)+16, 1<<50) }, "with the segments before it more than 0x40000000"},
		{"segment_wraps", callops, func(e *elfBytes) {
			e.put64(e.prog(0)+16, 1<<64-16)
			e.put32(e.prog(1), 0)
		}, "x: segment at 0xfffffffffffffff0: wraps around the address space"},
		{"segments_overlap", callops, func(e *elfBytes) { e.put64(e.prog(1)+16, 0x400100) }, "x: segment at 0x400100: overlaps the one before it"},
		{"text_in_no_segment", callops, func(e *elfBytes) { e.put64(e.section(".text")+16, 0x7000) }, "x: .text at 0x7000: lies in no segment"},
		{"symbols_cut", callops, func(e *elfBytes) { e.put64(e.section(".symtab")+32, 24*1000000) }, "x: .symtab at "},
		{"symbols_of_odd_size", callops, func(e *elfBytes) { e.put64(e.section(".symtab")+56, 7) }, "in entries of 7, expected entries of 24"},
		{"symbol_names_nowhere", callops, func(e *elfBytes) { e.put32(e.section(".symtab")+40, 77) }, "x: names of .symtab: are in section 77 of"},
		{"sites_outside", callops, func(e *elfBytes) { e.put64(e.section(entriesSection)+32, 8<<20) }, "x: __patchable_function_entries at 0x"},
		{"sites_of_odd_size", callops, func(e *elfBytes) { e.put64(e.section(entriesSection)+32, 12) }, "is not a list of addresses in a segment, size: 0xc"},
		{"site_outside_text", callops, func(e *elfBytes) {
			e.put64(e.at(e.f.Section(entriesSection).Addr), 0x12345678)
		}, "x: call site at 0x12345678: 0x12345678 is not in the image's text"},
		{"site_at_an_odd_address", "workload-args.elf", func(e *elfBytes) {
			e.put64(e.at(e.f.Section(entriesSection).Addr), 0x400122)
		}, "x: call site at 0x400122 "},
		{"site_listed_twice", callops, func(e *elfBytes) {
			at := e.at(e.f.Section(entriesSection).Addr)
			copy(e.b[at+8:at+16], e.b[at:at+8])
		}, "overlaps the one at 0x400"},
		{"literal_is_no_nop", callops, func(e *elfBytes) { e.put32(e.at(e.addrOf("fib")-8), 0xd65f03c0) },
			"stands 0xd65f03c0 (ret), expected nop, which a compiler leaves"},
		{"site_patched_already", callops, func(e *elfBytes) { e.put32(e.at(e.addrOf("fib")), 0xaa1e03e9) },
			"(fib+0x0): unexpected insn in patch site: at 0x"},
		{"call_where_nop_should_be", callops, func(e *elfBytes) { e.put32(e.at(e.addrOf("fib")+4), 0x94000000) },
			"expected nop, which a compiler leaves"},
		{"list_of_sites_backwards", "workload-vmlinux.elf", func(e *elfBytes) {
			e.swapValues("__start_mcount_loc", "__stop_mcount_loc")
		}, "does not lie before __stop_mcount_loc"},
		{"relocations_of_odd_size", shared, func(e *elfBytes) { e.put64(e.section(".rela.dyn")+56, 8) }, "x: .rela.dyn at 0x"},
		{"relocation_outside", shared, func(e *elfBytes) { e.put64(int(e.f.Section(".rela.dyn").Offset), 1<<40) },
			"relocates what is not in the file, address: 0x10000000000"},
		{"relocation_of_odd_type", shared, func(e *elfBytes) { e.put64(int(e.f.Section(".rela.dyn").Offset)+8, 283) },
			"relocation R_AARCH64_CALL26 is not one that a linked image has"},
		{"relocation_symbol_outside", shared, func(e *elfBytes) {
			e.put64(int(e.f.Section(".rela.plt").Offset)+8, 9999<<32|1026)
		}, "symbol 9999 of "},
		{"relocation_symbols_nowhere", shared, func(e *elfBytes) { e.put32(e.section(".rela.plt")+40, 99) }, "its symbols are in section 99 of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := os.ReadFile(workloadPath(test.file))
			require.NoError(t, err)
			f, err := elf.NewFile(bytes.NewReader(bytes.Clone(b)))
			require.NoError(t, err)
			e := &elfBytes{b, f}
			test.damage(e)

			_, err = Parse(t.Context(), bytes.NewReader(e.b), int64(len(e.b)), "x", nil)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			assert.NotContains(t, err.Error(), "\n")
			var format *FormatError
			require.ErrorAs(t, err, &format)
			assert.Equal(t, "x", format.File)
		})
	}
}

func TestParse_SkipsZeroEntries(t *testing.T) {
	b, err := os.ReadFile(workloadPath("workload-callops.elf"))
	require.NoError(t, err)
	f, err := elf.NewFile(bytes.NewReader(bytes.Clone(b)))
	require.NoError(t, err)
	e := &elfBytes{b, f}
	e.put64(e.at(f.Section(entriesSection).Addr), 0)
	img, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
	require.NoError(t, err)
	assert.Len(t, img.sites, len(workload(t, "workload-callops.elf").sites)-1)
}

package kernelimage

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/kernelimage/internal/elffile"
)

func TestRelocate_SymbolicTypesStoreTheSymbolsAddress(t *testing.T) {
	for _, typ := range []elf.R_AARCH64{elf.R_AARCH64_JUMP_SLOT, elf.R_AARCH64_GLOB_DAT, elf.R_AARCH64_ABS64} {
		b, err := os.ReadFile(workloadPath("workload-callops.so"))
		require.NoError(t, err)
		f, err := elf.NewFile(bytes.NewReader(bytes.Clone(b)))
		require.NoError(t, err)
		plt := f.Section(".rela.plt").Offset
		slot := binary.LittleEndian.Uint64(b[plt:])
		syms, err := f.DynamicSymbols()
		require.NoError(t, err)
		sym := syms[binary.LittleEndian.Uint32(b[plt+12:])-1]
		binary.LittleEndian.PutUint32(b[plt+8:], uint32(typ))
		binary.LittleEndian.PutUint64(b[plt+16:], 4)

		img, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
		require.NoError(t, err)
		got, ok := img.read(kernelBase+slot, 8)
		require.True(t, ok)
		assert.Equal(t, kernelBase+sym.Value+4, binary.LittleEndian.Uint64(got), "%v of %s", typ, sym.Name)
	}
}

func TestRelocate_AWeakSymbolThatNobodyDefinesIsZero(t *testing.T) {
	b, err := os.ReadFile(workloadPath("unresolved.so"))
	require.NoError(t, err)
	f, err := elf.NewFile(bytes.NewReader(bytes.Clone(b)))
	require.NoError(t, err)
	table := f.Section(".dynsym")
	for off := table.Offset; off < table.Offset+table.Size; off += elffile.SymSize {
		if binary.LittleEndian.Uint16(b[off+6:]) == uint16(elf.SHN_UNDEF) {
			b[off+4] = elf.ST_INFO(elf.STB_WEAK, elf.STT_NOTYPE)
		}
	}
	img, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
	require.NoError(t, err)
	assert.Len(t, img.sites, 1)
}

func TestRelocateRelr_AddsTheBiasToPackedAddresses(t *testing.T) {
	const bias = 0x10000
	// The doubleword at 0x1000; then, of those from 0x1008 on, the first and
	// the third; then, of those 63 further on, the second.
	packed := []uint64{0x1000, 1 | 1<<1 | 1<<3, 1 | 1<<2}
	file := make([]byte, 8*len(packed))
	for i, w := range packed {
		binary.LittleEndian.PutUint64(file[8*i:], w)
	}
	data := make([]byte, 0x1000)
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], uint64(i))
	}
	l := &elfLoad{
		File: elffile.Headless(bytes.NewReader(file), int64(len(file)), "x"),
		img:  &Image{segments: []Segment{{Addr: 0x1000 + bias, data: data, MemSize: 0x1000}}},
		bias: bias,
	}
	s := &elffile.Section{Section64: elf.Section64{Size: uint64(len(file)), Entsize: 8}, Name: ".relr.dyn"}
	require.NoError(t, l.relocateRelr(s))

	want := map[int]bool{0: true, 8: true, 8 + 16: true, 8 + 63*8 + 8: true}
	for i := 0; i < len(data); i += 8 {
		v := uint64(i)
		if want[i] {
			v += bias
		}
		require.Equal(t, v, binary.LittleEndian.Uint64(data[i:]), "at %#x", i)
	}

	binary.LittleEndian.PutUint64(file, 0x5000)
	assert.ErrorContains(t, l.relocateRelr(s), "x: .relr.dyn: relocates what is not in the file, address: 0x5000")
}

// setSection changes the header of a section of a file: its type and flags.
func setSection(t *testing.T, b []byte, name string, typ elf.SectionType) {
	t.Helper()
	f, err := elffile.New(bytes.NewReader(b), int64(len(b)), "x", elffile.Linked)
	require.NoError(t, err)
	for i, s := range f.Sections {
		if s.Name == name {
			binary.LittleEndian.PutUint32(b[f.Header.Shoff+uint64(i)*elffile.SectionSize+4:], uint32(typ))
			return
		}
	}
	t.Fatal("no section " + name)
}

func TestRelocate_NoTableIsSkippedInSilence(t *testing.T) {
	for typ, want := range map[elf.SectionType]string{
		elf.SHT_REL: "relocations without addends",
		0x60000001:  "Android's packed relocations (SHT_ANDROID_REL): link with --pack-dyn-relocs=relr, or none",
		0x60000002:  "Android's packed relocations (SHT_ANDROID_RELA): link with --pack-dyn-relocs=relr, or none",
		0x40000014:  "compact relocations (SHT_CREL)",
		0x60001234:  "may hold relocations, of a kind that is not known: section type: 0x60001234",
	} {
		b, err := os.ReadFile(workloadPath("workload-callops.so"))
		require.NoError(t, err)
		setSection(t, b, ".rela.dyn", typ)
		_, err = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
		require.ErrorIs(t, err, errno.ENOEXEC)
		assert.ErrorContains(t, err, want)
	}
	b, err := os.ReadFile(workloadPath("workload-callops.so"))
	require.NoError(t, err)
	binary.LittleEndian.PutUint64(b[0x28:], 0) // e_shoff: no section headers
	_, err = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "names relocations for which there is no section (do not strip the section headers)")
}

func TestRelocate_AndroidsRelrIsRelr(t *testing.T) {
	b, err := os.ReadFile(workloadPath("workload-callops.so"))
	require.NoError(t, err)
	setSection(t, b, ".rela.dyn", shtAndroidRELR)
	_, err = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
	assert.ErrorContains(t, err, "in entries of 24, expected entries of 8", "it is read as such")
}

func TestParse_HostedProgramsAreToldHowToBeBuilt(t *testing.T) {
	edit := func(f func(b []byte)) error {
		b, err := os.ReadFile(workloadPath("workload-callops.so"))
		require.NoError(t, err)
		f(b)
		_, err = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil)
		return err
	}
	err := edit(func(b []byte) {
		phoff, n := binary.LittleEndian.Uint64(b[0x20:]), binary.LittleEndian.Uint16(b[0x38:])
		binary.LittleEndian.PutUint32(b[phoff+56*uint64(n-1):], uint32(elf.PT_INTERP)) // the stack's
	})
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "started by a dynamic loader (PT_INTERP): it needs an operating system; build functions for callops with -ffreestanding")
	for _, typ := range []elf.R_AARCH64{elf.R_AARCH64_IRELATIVE, elf.R_AARCH64_TLS_TPREL64} {
		err = edit(func(b []byte) {
			f, err := elf.NewFile(bytes.NewReader(b))
			require.NoError(t, err)
			binary.LittleEndian.PutUint32(b[f.Section(".rela.dyn").Offset+8:], uint32(typ))
		})
		require.ErrorIs(t, err, errno.ENOEXEC)
		assert.ErrorContains(t, err, typ.String()+" is not one that a linked image has: it needs an operating system")
	}
}

package module

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage"
	"callops/kernelimage/internal/elffile"
	"callops/kernelimage/internal/packing/packtest"
)

const fixtureKo = "testdata/fixture.ko"

func fixtureModule(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile(fixtureKo)
	require.NoError(tb, err)
	return b
}

func standard(tb testing.TB) *kernelimage.Image {
	tb.Helper()
	img, err := kernelimage.Builtin(nil)
	require.NoError(tb, err)
	return img
}

// hostOf is a kernel that has loaded nothing, with room for one module below it.
func hostOf(img *kernelimage.Image) *Host {
	vermagic := img.Vermagic()
	return &Host{
		Image: img, Vermagic: vermagic, Exports: Exports(img, vermagic),
		PerCPU: kernelimage.Range{Start: 0x1_0000, End: 0x1_2000},
		Loaded: func(string) bool { return false },
		Room:   func([]kernelimage.Segment) (uint64, error) { return img.Bounds().Start - 32<<20, nil },
	}
}

func linux(tb testing.TB, series string) *kernelimage.Image {
	tb.Helper()
	img, err := kernelimage.Open(tb.Context(), kernels.Path(tb, series), nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, img.Close()) })
	return img
}

func link(host *Host, file []byte, name string) (*Module, error) {
	f, err := Parse(context.Background(), file, name)
	if err != nil {
		return nil, err
	}
	return f.Link(context.Background(), host)
}

func TestLink_RefusesDamagedModules(t *testing.T) {
	le := binary.LittleEndian
	replace := func(old, with string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(with)) }
	}
	header := func(b []byte, section string, field int) []byte {
		f, err := elffile.New(bytes.NewReader(b), int64(len(b)), "x", elffile.Relocatable)
		require.NoError(t, err)
		for i, s := range f.Sections {
			if s.Name == section {
				return b[f.Header.Shoff+uint64(i)*elffile.SectionSize+uint64(field):]
			}
		}
		t.Fatal(section)
		return nil
	}
	rela := func(section string, off, typ uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			at := le.Uint64(header(b, section, 24))
			le.PutUint64(b[at:], off)
			le.PutUint32(b[at+8:], uint32(typ))
			return b
		}
	}
	set := func(section string, field int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { le.PutUint64(header(b, section, field), v); return b }
	}
	for name, test := range map[string]struct {
		edit func([]byte) []byte
		want string
		is   error
	}{
		"empty":         {func([]byte) []byte { return nil }, "cut short", errno.ENOEXEC},
		"executable":    {func(b []byte) []byte { b[0x10] = 2; return b }, "type is ET_EXEC, a kernel module's is ET_REL", errno.ENOEXEC},
		"architecture":  {func(b []byte) []byte { b[0x12] = 62; return b }, "machine is EM_X86_64", errno.ENOEXEC},
		"big_endian":    {func(b []byte) []byte { b[5] = 2; return b }, "little-endian", errno.ENOEXEC},
		"an_object":     {replace(koThisModule, ".gnu.linkonce.that_module"), "the file is not a kernel module", errno.ENOEXEC},
		"unresolved":    {replace("\x00gcd\x00", "\x00gcz\x00"), "neither the kernel nor a module loaded exports gcz", errno.ENOENT},
		"relocation":    {rela(".rela.text", 0, 311), "relocation R_AARCH64_ADR_GOT_PAGE is not one that a module has", errno.ENOEXEC},
		"outside":       {rela(".rela.text", 1<<40, 275), "relocates what is not in the section's", errno.ENOEXEC},
		"overflow":      {rela(".rela.text", 0, uint64(elf.R_AARCH64_ABS16)), "R_AARCH64_ABS16 at 0x", errno.ENOEXEC},
		"huge_bss":      {set(".bss", 32, 1<<40), "the module would take more than", errno.ENOEXEC},
		"huge_per_cpu":  {set(".data..percpu", 32, 3<<12), "0x3000 bytes of per-CPU variables: 0x2000 are left for modules", errno.ENOMEM},
		"alignment":     {set(".data", 48, 3), "is not a valid section alignment", errno.ENOEXEC},
		"alignment_big": {set(".data", 48, 1<<40), "is not a valid section alignment", errno.ENOEXEC},
		"bad_site":      {func(b []byte) []byte { le.PutUint32(b[0x40+12:], 0xd65f03c0); return b }, "expected nop", errno.EINVAL},
		"no_elf":        {func([]byte) []byte { return []byte("#!/bin/sh") }, `is no ELF file: it starts with: "#!/b"`, errno.ENOEXEC},
		"class":         {func(b []byte) []byte { b[4] = 1; return b }, "class is ELFCLASS32", errno.ENOEXEC},
		"no_addends":    {func(b []byte) []byte { le.PutUint32(header(b, ".rela.text", 4), 9); return b }, "relocations without addends", errno.ENOEXEC},
		"rela_entry":    {set(".rela.text", 56, 23), "in entries of 23, expected entries of 24", errno.ENOEXEC},
		"rela_symbol":   {func(b []byte) []byte { le.PutUint32(b[le.Uint64(header(b, ".rela.text", 24))+12:], 1<<31); return b }, "symbol 2147483648 of", errno.ENOEXEC},
		"section_end":   {set(".text", 32, 1<<20), "reaches past the end of the file", errno.ENOEXEC},
		"section_wraps": {set(".text", 24, 1<<63), "reaches past the end of the file", errno.ENOEXEC},
		"symbol_name":   {func(b []byte) []byte { le.PutUint32(b[le.Uint64(header(b, ".symtab", 24))+24:], 1<<30); return b }, "name reaches past the string table", errno.ENOEXEC},
		"symbol_in":     {func(b []byte) []byte { le.PutUint16(b[le.Uint64(header(b, ".symtab", 24))+24+6:], 0xff00-1); return b }, "symbol in section 65279 of", errno.ENOEXEC},
		"common_symbol": {func(b []byte) []byte { le.PutUint16(b[le.Uint64(header(b, ".symtab", 24))+24+6:], 0xfff2); return b }, "build with -fno-common", errno.ENOEXEC},
		"strings":       {func(b []byte) []byte { le.PutUint32(header(b, ".symtab", 40), 1000); return b }, "are in section 1000 of", errno.ENOEXEC},
		"symtab_twice":  {func(b []byte) []byte { le.PutUint32(header(b, ".data", 4), 2); return b }, "2 symbol tables, a module has one", errno.ENOEXEC},
		"name_empty":    {replace("\x00name=fixture\x00", "\x00name=:ixture\x00"), `is not a module name: ":ixture"`, errno.ENOEXEC},
		"name_control":  {replace("\x00name=fixture\x00", "\x00name=\x1b[31mre\x00"), `is not a module name: "\x1b[31mre"`, errno.ENOEXEC},
		"packed":        {func([]byte) []byte { return []byte("\xfd7zXZ\x00garbage") }, "xz", errno.ENOEXEC},
		"bomb": {func([]byte) []byte { // blocks of 128 KiB that repeat a byte, for zstd
			return append([]byte("\x28\xb5\x2f\xfd\x00\x58"), bytes.Repeat([]byte{2, 0, 0x10, 0}, MaxFile>>17+1)...)
		}, "unpack to more than", errno.ENOEXEC},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := link(hostOf(standard(t)), test.edit(fixtureModule(t)), "fixture.ko")
			require.ErrorContains(t, err, test.want)
			assert.ErrorIs(t, err, test.is)
			assert.Less(t, len(err.Error()), 300)
		})
	}
}

func TestLink_AllUnresolvedSymbolsAreNamedAtOnce(t *testing.T) {
	host := hostOf(standard(t))
	host.Exports = nil
	b := bytes.ReplaceAll(fixtureModule(t), []byte("\x00gcd\x00nobody\x00"), []byte("\x00zzz\x00nobody\x00"))
	_, err := link(host, b, "fixture.ko")
	require.ErrorIs(t, err, errno.ENOENT)
	_, list, _ := strings.Cut(err.Error(), "exports ")
	assert.NotContains(t, list, "nobody", "it is weak")
}

func TestLink_RefusesAModuleForAnotherKernel(t *testing.T) {
	host := hostOf(ksymImage("", nil, asItIs))
	b := bytes.ReplaceAll(fixtureModule(t), []byte("vermagic=6.99"), []byte("vermagic=6.98"))
	_, err := link(host, b, "fixture.ko")
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, `the module is for the kernel "6.98", this one is "6.99"`)

	noCallOps, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{NoCallOps: true})
	require.NoError(t, err)
	_, err = link(hostOf(noCallOps), fixtureModule(t), "fixture.ko")
	assert.ErrorContains(t, err, "call sites with literals: true, in the kernel: false")
}

func TestLink_CutShortAnywhereIsAnError(t *testing.T) {
	host := hostOf(standard(t))
	b := fixtureModule(t)
	for n := 0; n < len(b); n += 7 {
		_, err := link(host, b[:n:n], "fixture.ko")
		assert.Error(t, err, "%#x bytes", n)
	}
}

func TestRelocations_WriteWhatTheManualSays(t *testing.T) {
	const p = 0xffff_8000_8000_0104
	for _, test := range []struct {
		typ   elf.R_AARCH64
		word  uint32
		value uint64
		want  uint32
		fits  bool
	}{
		{elf.R_AARCH64_CALL26, 0x94000000, p + 0x100, 0x94000040, true},
		{elf.R_AARCH64_CALL26, 0x94000000, p + 128<<20 - 4, 0x95ffffff, true},
		{elf.R_AARCH64_CALL26, 0x94000000, p + 128<<20, 0x96000000, false},
		{elf.R_AARCH64_JUMP26, 0x14000000, p - 128<<20, 0x16000000, true},
		{elf.R_AARCH64_JUMP26, 0x14000000, p - 128<<20 - 4, 0x15ffffff, false},
		{elf.R_AARCH64_CONDBR19, 0x54000000, p - 4, 0x54ffffe0, true},
		{elf.R_AARCH64_CONDBR19, 0x54000000, p + 1<<20, 0x54800000, false},
		{elf.R_AARCH64_TSTBR14, 0x36000000, p + 8, 0x36000040, true},
		{elf.R_AARCH64_TSTBR14, 0x36000000, p + 1<<15, 0x36040000, false},
		{elf.R_AARCH64_LD_PREL_LO19, 0x58000000, p + 16, 0x58000080, true},
		{elf.R_AARCH64_ADR_PREL_LO21, 0x10000000, p + 5, 0x30000020, true},
		{elf.R_AARCH64_ADR_PREL_LO21, 0x10000000, p - 1, 0x70ffffe0, true},
		{elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, p + 0x3000, 0xf0000000, true},
		{elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, p + 8<<30, 0x90000000, false},
		{elf.R_AARCH64_ADR_PREL_PG_HI21_NC, 0x90000000, p + 8<<30, 0x90000000, true},
		{elf.R_AARCH64_ADD_ABS_LO12_NC, 0x91000000, 0xabcdef, 0x9137bc00, true},
		{elf.R_AARCH64_LDST8_ABS_LO12_NC, 0x39000000, 0xfff, 0x393ffc00, true},
		{elf.R_AARCH64_LDST16_ABS_LO12_NC, 0x79000000, 0xffe, 0x791ffc00, true},
		{elf.R_AARCH64_LDST32_ABS_LO12_NC, 0xb9000000, 0xffc, 0xb90ffc00, true},
		{elf.R_AARCH64_LDST64_ABS_LO12_NC, 0xf9000000, 0xff8, 0xf907fc00, true},
		{elf.R_AARCH64_LDST128_ABS_LO12_NC, 0x3d800000, 0xff0, 0x3d83fc00, true},
		{elf.R_AARCH64_MOVW_UABS_G0, 0xd2800000, 0x1234, 0xd2824680, true},
		{elf.R_AARCH64_MOVW_UABS_G0, 0xd2800000, 0x12345, 0xd28468a0, false},
		{elf.R_AARCH64_MOVW_UABS_G0_NC, 0xf2800000, 0x12345, 0xf28468a0, true},
		{elf.R_AARCH64_MOVW_UABS_G1_NC, 0xf2a00000, 0x1234_0000, 0xf2a24680, true},
		{elf.R_AARCH64_MOVW_UABS_G3, 0xd2e00000, 0xffff << 48, 0xd2ffffe0, true},
		{elf.R_AARCH64_MOVW_SABS_G0, 0xd2800000, ^uint64(0), 0x92800000, true},
		{elf.R_AARCH64_MOVW_SABS_G0, 0x92800000, 1, 0xd2800020, true},
		{relMovwPrelG0, 0xd2800000, p - 2, 0x92800020, true},
		{relMovwPrelG1NC, 0xf2a00000, p + 0x5_0000, 0xf2a000a0, true},
		{elf.R_AARCH64_ABS32, 0, 0xffff_ffff, 0xffff_ffff, true},
		{elf.R_AARCH64_ABS32, 0, 0x1_0000_0000, 0, false},
		{elf.R_AARCH64_PREL32, 0, p - 1<<31, 1 << 31, true},
		{elf.R_AARCH64_PREL32, 0, p + 1<<31, 1 << 31, false},
		{elf.R_AARCH64_ABS16, 0, 0xffff, 0xffff, true},
		{elf.R_AARCH64_ABS16, 0, 0x1_0000, 0, false},
		{elf.R_AARCH64_PREL16, 0, p - 0x8000, 0x8000, true},
		{elf.R_AARCH64_PREL16, 0, p + 0x8000, 0x8000, false},
	} {
		b := make([]byte, 8)
		binary.LittleEndian.PutUint32(b, test.word)
		assert.Equal(t, test.fits, relocations[test.typ].apply(b, test.value, p), "%v %#x", test.typ, test.value)
		assert.Equal(t, test.want, binary.LittleEndian.Uint32(b), "%v %#x: %#x", test.typ, test.value, binary.LittleEndian.Uint32(b))
	}
	b := make([]byte, 8)
	assert.True(t, relocations[elf.R_AARCH64_ABS64].apply(b, p, 0))
	assert.EqualValues(t, uint64(p), binary.LittleEndian.Uint64(b))
	assert.True(t, relocations[elf.R_AARCH64_PREL64].apply(b, 0, p))
	neg := uint64(p)
	assert.EqualValues(t, -neg, binary.LittleEndian.Uint64(b))
}

func TestLink_MoreSectionsThanAnIndexNamesAreRefused(t *testing.T) {
	le, b := binary.LittleEndian, fixtureModule(t)
	old, n := le.Uint64(b[0x28:]), uint64(le.Uint16(b[0x3c:]))
	headers := make([]byte, int(elf.SHN_LORESERVE)*elffile.SectionSize)
	copy(headers, b[old:][:n*elffile.SectionSize])
	le.PutUint64(headers[32:], uint64(elf.SHN_LORESERVE)) // the number, where e_shnum is 0
	le.PutUint64(b[0x28:], uint64(len(b)))
	le.PutUint16(b[0x3c:], 0)
	_, err := link(hostOf(standard(t)), append(b, headers...), "fixture.ko")
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "more sections than a module may have: 0xff00")
}

func TestLink_PackedAndCutShortIsAnError(t *testing.T) {
	host := hostOf(standard(t))
	for name, b := range packtest.All(t, fixtureModule(t)) {
		for n := 8; n < len(b)-16; n += 97 { // the end is a checksum, which not all formats need
			_, err := link(host, b[:n:n], "fixture.ko")
			assert.Error(t, err, "%s, %#x bytes", name, n)
		}
		_, err := link(host, b, "fixture.ko")
		require.NoError(t, err, name)
	}
}

func TestModule_PrototypesBuildOnTheKernelsBTF(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img := linux(t, series)
			ko, err := os.ReadFile(kernels.Module(t, series, "lz4hc_compress"))
			require.NoError(t, err)
			m, err := link(hostOf(img), ko, "lz4hc_compress.ko")
			require.NoError(t, err)
			const fn = "LZ4_loadDictHC"
			p, err := m.Prototype(img, fn)
			require.NoError(t, err)
			assert.Equal(t, "int LZ4_loadDictHC(LZ4_streamHC_t *LZ4_streamHCPtr, const char *dictionary, int dictSize)", p.String())
			_, err = m.Prototype(img, "nothing_of_the_kind")
			assert.ErrorIs(t, err, errno.ENOENT)
		})
	}
}

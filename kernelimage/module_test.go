package kernelimage

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"callops/emu"
	"callops/internal/kernels"
)

const fixtureKo = "testdata/module/fixture.ko"

func fixtureModule(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile(fixtureKo)
	require.NoError(tb, err)
	return b
}

func standard(tb testing.TB) *Image {
	tb.Helper()
	img, err := Builtin(nil)
	require.NoError(tb, err)
	return img
}

func TestLoadKo_NearAndFarItRuns(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for name, far := range map[string]bool{"near": false, "far": true} {
			t.Run(name, func(t *testing.T) {
				m := boot(t, standard(t))
				ko, err := m.LoadKoFile(fixtureKo, &KoOptions{Far: far})
				require.NoError(t, err)
				assert.Equal(t, "fixture", ko.Name)
				assert.EqualValues(t, 2*12, m.call("fixture_sum", 84, 36))
				assert.EqualValues(t, 1, m.call("fixture_calls"))
				text, err := m.Mem.ReadString(m.call("fixture_text"), 64)
				require.NoError(t, err)
				assert.Equal(t, "fixture", text)
				assert.EqualValues(t, 7, m.call("fixture_per_cpu"))
				assert.Zero(t, m.call("fixture:init_module"))
				assert.EqualValues(t, 100, m.call("fixture_calls"))

				assert.Len(t, ko.Image.Sites, 4)
				assert.Len(t, ko.InitSites, 1)
				assert.Zero(t, ko.Exit)
				if far {
					assert.Equal(t, 1, ko.PLTs, "the call of gcd")
				} else {
					assert.Zero(t, ko.PLTs)
				}
				site, ok := m.Site(ko.Image.Sites[0].IP)
				assert.True(t, ok)
				assert.Equal(t, "fixture_sum+0x4/0x68 [fixture]", m.Symbols.Format(site.IP))
				perms := make(map[string]emu.Perm)
				for _, s := range ko.Image.Segments {
					perms[s.Name] = m.Mem.Region(s.Addr).Perm
				}
				assert.Equal(t, map[string]emu.Perm{
					"text": emu.Read | emu.Exec, "rodata": emu.Read, "data": emu.Read | emu.Write, "init text": emu.Read | emu.Exec,
				}, perms)
			})
		}
	})
}

func TestUnload_LeavesNothingBehind(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, standard(t))
		before := m.Symbols.All()
		ko, err := m.LoadKoFile(fixtureKo, nil)
		require.NoError(t, err)
		_, err = m.LoadKoFile(fixtureKo, nil)
		require.ErrorIs(t, err, unix.EEXIST)
		fn, err := m.Func("fixture_calls")
		require.NoError(t, err)
		require.NoError(t, m.Unload(ko))
		assert.Equal(t, before, m.Symbols.All())
		assert.Empty(t, m.Modules())
		assert.NotContains(t, m.loaded.exports, "fixture_sum")
		assert.ErrorIs(t, m.Unload(ko), unix.ENOENT)
		_, err = m.Call(t.Context(), 0, nil, fn)
		assert.Error(t, err, "its text is no instructions any more")

		regions := len(m.Mem.Regions())
		again, err := m.LoadKoFile(fixtureKo, nil)
		require.NoError(t, err)
		assert.Equal(t, ko.Image.Segments[0].Addr, again.Image.Segments[0].Addr)
		assert.Len(t, m.Mem.Regions(), regions, "memory is taken again")
		assert.EqualValues(t, 24, m.call("fixture_sum", 84, 36))
	})
}

func TestLoadKo_ModulesUseOneAnother(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	first, err := k.LoadKoFile(fixtureKo, nil)
	require.NoError(t, err)
	b := fixtureModule(t)
	b = bytes.ReplaceAll(b, []byte("\x00name="), []byte("\x00nome="))
	user := bytes.ReplaceAll(b, []byte("\x00gcd\x00"), []byte("\x00gcf\x00"))
	k.loaded.exports["gcf"] = k.loaded.exports["fixture_sum"]
	delete(k.loaded.exports, "fixture_sum")
	second, err := k.LoadKo(user, "a-user.ko", nil)
	require.NoError(t, err)
	assert.Equal(t, "a_user", second.Name)
	assert.ErrorIs(t, k.Unload(first), unix.EBUSY)
	require.NoError(t, k.Unload(second))
	assert.NoError(t, k.Unload(first))
}

func TestLoadKo_RefusesDamagedModules(t *testing.T) {
	le := binary.LittleEndian
	replace := func(old, with string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(with)) }
	}
	header := func(b []byte, section string, field int) []byte {
		f := &elfFile{r: bytes.NewReader(b), size: uint64(len(b)), relocatable: true, left: 1 << 20}
		require.NoError(t, f.readHeader())
		require.NoError(t, f.readSections())
		for i, s := range f.sections {
			if s.Name == section {
				return b[f.header.Shoff+uint64(i)*elfSectionSize+uint64(field):]
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
		"empty":         {func([]byte) []byte { return nil }, "cut short", unix.ENOEXEC},
		"executable":    {func(b []byte) []byte { b[0x10] = 2; return b }, "type is ET_EXEC, a kernel module's is ET_REL", unix.ENOEXEC},
		"architecture":  {func(b []byte) []byte { b[0x12] = 62; return b }, "machine is EM_X86_64", unix.ENOEXEC},
		"big_endian":    {func(b []byte) []byte { b[5] = 2; return b }, "little-endian", unix.ENOEXEC},
		"an_object":     {replace(koThisModule, ".gnu.linkonce.that_module"), "the file is no kernel module", unix.ENOEXEC},
		"unresolved":    {replace("\x00gcd\x00", "\x00gcz\x00"), "neither the kernel nor a module loaded exports gcz", unix.ENOENT},
		"relocation":    {rela(".rela.text", 0, 311), "relocation R_AARCH64_ADR_GOT_PAGE is not one that a module has", unix.ENOEXEC},
		"outside":       {rela(".rela.text", 1<<40, 275), "relocates what is not in the section's", unix.ENOEXEC},
		"overflow":      {rela(".rela.text", 0, uint64(elf.R_AARCH64_ABS16)), "R_AARCH64_ABS16 at 0x", unix.ENOEXEC},
		"huge_bss":      {set(".bss", 32, 1<<40), "the module would take more than", unix.ENOEXEC},
		"huge_per_cpu":  {set(".data..percpu", 32, 3<<12), "0x3000 bytes of per-CPU variables: modules have 0x2000 of 0x2000 left", unix.ENOMEM},
		"alignment":     {set(".data", 48, 3), "is no alignment of a section", unix.ENOEXEC},
		"alignment_big": {set(".data", 48, 1<<40), "is no alignment of a section", unix.ENOEXEC},
		"bad_site":      {func(b []byte) []byte { le.PutUint32(b[0x40+12:], 0xd65f03c0); return b }, "expected nop", unix.EINVAL},
		"no_elf":        {func([]byte) []byte { return []byte("#!/bin/sh") }, `is no ELF file: it starts with: "#!/b"`, unix.ENOEXEC},
		"class":         {func(b []byte) []byte { b[4] = 1; return b }, "class is ELFCLASS32", unix.ENOEXEC},
		"no_addends":    {func(b []byte) []byte { le.PutUint32(header(b, ".rela.text", 4), 9); return b }, "relocations without addends", unix.ENOEXEC},
		"rela_entry":    {set(".rela.text", 56, 23), "in entries of 23, expected entries of 24", unix.ENOEXEC},
		"rela_symbol":   {func(b []byte) []byte { le.PutUint32(b[le.Uint64(header(b, ".rela.text", 24))+12:], 1<<31); return b }, "symbol 2147483648 of", unix.ENOEXEC},
		"section_end":   {set(".text", 32, 1<<20), "reaches past the end of the file", unix.ENOEXEC},
		"section_wraps": {set(".text", 24, 1<<63), "reaches past the end of the file", unix.ENOEXEC},
		"symbol_name":   {func(b []byte) []byte { le.PutUint32(b[le.Uint64(header(b, ".symtab", 24))+24:], 1<<30); return b }, "name reaches past the string table", unix.ENOEXEC},
		"symbol_in":     {func(b []byte) []byte { le.PutUint16(b[le.Uint64(header(b, ".symtab", 24))+24+6:], 0xff00-1); return b }, "symbol in section 65279 of", unix.ENOEXEC},
		"common_symbol": {func(b []byte) []byte { le.PutUint16(b[le.Uint64(header(b, ".symtab", 24))+24+6:], 0xfff2); return b }, "build with -fno-common", unix.ENOEXEC},
		"strings":       {func(b []byte) []byte { le.PutUint32(header(b, ".symtab", 40), 1000); return b }, "are in section 1000 of", unix.ENOEXEC},
		"symtab_twice":  {func(b []byte) []byte { le.PutUint32(header(b, ".data", 4), 2); return b }, "2 symbol tables, a module has one", unix.ENOEXEC},
		"name_empty":    {replace("\x00name=fixture\x00", "\x00name=:ixture\x00"), `is no name of a module: ":ixture"`, unix.ENOEXEC},
		"name_control":  {replace("\x00name=fixture\x00", "\x00name=\x1b[31mre\x00"), `is no name of a module: "\x1b[31mre"`, unix.ENOEXEC},
		"packed":        {func([]byte) []byte { return []byte("\xfd7zXZ\x00garbage") }, "xz", unix.ENOEXEC},
		"bomb": {func([]byte) []byte {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(make([]byte, 64<<20))
			_ = w.Close()
			return z.Bytes()
		}, "unpack to more than", unix.ENOEXEC},
	} {
		t.Run(name, func(t *testing.T) {
			k := bootStill(t, standard(t), nil)
			regions, symbols := len(k.Mem.Regions()), k.Symbols.All()
			_, err := k.LoadKo(test.edit(fixtureModule(t)), "fixture.ko", nil)
			require.ErrorContains(t, err, test.want)
			assert.ErrorIs(t, err, test.is)
			assert.Less(t, len(err.Error()), 300)
			assert.Len(t, k.Mem.Regions(), regions)
			assert.Equal(t, symbols, k.Symbols.All())
			assert.Empty(t, k.Modules())
		})
	}
}

func TestLoadKo_AllUnresolvedSymbolsAreNamedAtOnce(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	b := bytes.ReplaceAll(fixtureModule(t), []byte("\x00gcd\x00nobody\x00"), []byte("\x00zzz\x00nobody\x00"))
	k.loaded.exports = map[string]export{}
	_, err := k.LoadKo(b, "fixture.ko", nil)
	require.ErrorIs(t, err, unix.ENOENT)
	_, list, _ := strings.Cut(err.Error(), "exports ")
	assert.NotContains(t, list, "nobody", "it is weak")
}

func TestLoadKo_RefusesAModuleForAnotherKernel(t *testing.T) {
	k := bootStill(t, parsed(t, buildRaw(t, rawSpec{callOps: true}).b), nil)
	b := bytes.ReplaceAll(fixtureModule(t), []byte("vermagic=6.99"), []byte("vermagic=6.98"))
	_, err := k.LoadKo(b, "fixture.ko", nil)
	require.ErrorIs(t, err, unix.ENOEXEC)
	assert.ErrorContains(t, err, `the module is for the kernel "6.98", this one is "6.99"`)

	noCallOps, err := Builtin(&BuiltinOptions{NoCallOps: true})
	require.NoError(t, err)
	_, err = bootStill(t, noCallOps, nil).LoadKo(fixtureModule(t), "fixture.ko", nil)
	assert.ErrorContains(t, err, "call sites with literals: true, in the kernel: false")
}

func TestLoadKo_CutShortAnywhereIsAnError(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	b := fixtureModule(t)
	for n := 0; n < len(b); n += 7 {
		_, err := k.LoadKo(b[:n:n], "fixture.ko", nil)
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
		{elf.R_AARCH64_CALL26, 0x94000000, p + blReach - 4, 0x95ffffff, true},
		{elf.R_AARCH64_CALL26, 0x94000000, p + blReach, 0x96000000, false},
		{elf.R_AARCH64_JUMP26, 0x14000000, p - blReach, 0x16000000, true},
		{elf.R_AARCH64_JUMP26, 0x14000000, p - blReach - 4, 0x15ffffff, false},
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

// A module's name is that of all it has: one without a name, or with that of
// what is there already, would take the kernel's symbols with it.
func TestLoadKo_ANameBelongsToOneOnly(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	b := bytes.ReplaceAll(fixtureModule(t), []byte("\x00name="), []byte("\x00nome="))
	_, err := k.LoadKo(b, ".ko", nil)
	require.ErrorIs(t, err, unix.ENOEXEC)
	assert.ErrorContains(t, err, "is no name of a module")

	_, err = k.AllocModuleData("callops", "table", 64, emu.Read)
	require.NoError(t, err)
	_, err = k.LoadKo(b, "callops.ko", nil)
	assert.ErrorIs(t, err, unix.EEXIST)
	_, err = k.LoadKo(b, strings.Repeat("n", maxModuleName+1)+".ko", nil)
	assert.ErrorIs(t, err, unix.ENOEXEC)
	m, err := k.LoadKo(b, strings.Repeat("n", maxModuleName)+".ko", nil)
	require.NoError(t, err)
	require.NoError(t, k.Unload(m))
}

func TestLoadKo_FarWhereThereIsNoRoomNear(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, standard(t))
		text, img := m.Image.textBounds(), m.Image.Bounds()
		for _, r := range []Range{{text.End - blReach, img.Start}, {img.End, text.Start + blReach}} {
			for size := uint64(blReach); size >= emu.PageSize; size /= 2 {
				for {
					at, ok := m.Mem.FreeRange(r.Start, r.End, size)
					if !ok {
						break
					}
					_, err := m.Mem.Map("other modules", at, size, emu.Read)
					require.NoError(t, err)
				}
			}
		}
		ko, err := m.LoadKoFile(fixtureKo, nil)
		require.NoError(t, err)
		assert.Equal(t, 1, ko.PLTs)
		assert.EqualValues(t, 24, m.call("fixture_sum", 84, 36))
	})
}

func TestLoadKo_MoreSectionsThanAnIndexNamesAreRefused(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	le, b := binary.LittleEndian, fixtureModule(t)
	old, n := le.Uint64(b[0x28:]), uint64(le.Uint16(b[0x3c:]))
	headers := make([]byte, int(elf.SHN_LORESERVE)*elfSectionSize)
	copy(headers, b[old:][:n*elfSectionSize])
	le.PutUint64(headers[32:], uint64(elf.SHN_LORESERVE)) // the number, where e_shnum is 0
	le.PutUint64(b[0x28:], uint64(len(b)))
	le.PutUint16(b[0x3c:], 0)
	_, err := k.LoadKo(append(b, headers...), "fixture.ko", nil)
	require.ErrorIs(t, err, unix.ENOEXEC)
	assert.ErrorContains(t, err, "more sections than a module may have: 0xff00")
}

func TestUnload_PerCPUVariablesAreGivenBackInAnyOrder(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	b := bytes.ReplaceAll(fixtureModule(t), []byte("\x00name="), []byte("\x00nome="))
	b = bytes.ReplaceAll(b, []byte("__ksymtab_fixture_sum"), []byte("__ksumtab_fixture_sum"))
	first, err := k.LoadKo(b, "first.ko", nil)
	require.NoError(t, err)
	second, err := k.LoadKo(b, "second.ko", nil)
	require.NoError(t, err)
	assert.Equal(t, first.perCPU.End, second.perCPU.Start)
	require.NoError(t, k.Unload(first))
	assert.EqualValues(t, 16, k.loaded.perCPU)
	require.NoError(t, k.Unload(second))
	assert.Zero(t, k.loaded.perCPU)
}

func TestUnload_OfWhatIsBeingExecutedEndsTheCall(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, standard(t))
		ko, err := m.LoadKoFile(fixtureKo, nil)
		require.NoError(t, err)
		gate, err := m.Gates.Add("unloads", func(emu.CPU, [8]uint64) (uint64, error) { return 0, m.Unload(ko) })
		require.NoError(t, err)
		pointer, err := m.Symbols.Lookup("pointer")
		require.NoError(t, err)
		require.NoError(t, m.Mem.Store64(pointer.Addr, gate))
		_, err = m.try("fixture_sum", 84, 36)
		var run *RunError
		require.ErrorAs(t, err, &run, "it returns to words that are no instructions")
		assert.EqualValues(t, 12, m.call("gcd", 84, 36), "and the CPU stays usable")
	})
}

// FuzzModule: any file is a module that can be loaded and unloaded, or an error
// and no trace of it.
func FuzzModule(f *testing.F) {
	f.Add(fixtureModule(f))
	for _, edit := range []func(b []byte){
		func(b []byte) { b[0x28+7] = 0x80 },              // section headers
		func(b []byte) { copy(b[len(b)-200:], b[:100]) }, // in them
	} {
		b := fixtureModule(f)
		edit(b)
		f.Add(b)
	}
	img := standard(f)
	var k *Kernel
	loads := 0
	f.Fuzz(func(t *testing.T, b []byte) {
		if k == nil { // freed memory is taken again for the same form only
			var err error
			k, err = Boot(img, newStill, nil)
			require.NoError(t, err)
			loads = 0
		}
		symbols := len(k.Symbols.All())
		m, err := k.LoadKo(b, "fuzz.ko", nil)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, len(err.Error()), 16<<10)
			require.Empty(t, k.Modules())
		} else {
			_, _ = k.Prototype("fixture_sum")
			require.NoError(t, k.Unload(m))
			if loads++; loads == 50 {
				require.NoError(t, k.Close())
				k = nil
				return
			}
		}
		require.Len(t, k.Symbols.All(), symbols)
	})
}

func TestLoadKo_PackedAndCutShortIsAnError(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	for name, b := range pack(t, fixtureModule(t)) {
		for n := 8; n < len(b)-16; n += 97 { // the end is a checksum, which not all formats need
			_, err := k.LoadKo(b[:n:n], "fixture.ko", nil)
			assert.Error(t, err, "%s, %#x bytes", name, n)
		}
		m, err := k.LoadKo(b, "fixture.ko", nil)
		require.NoError(t, err, name)
		require.NoError(t, k.Unload(m))
	}
}

func TestPrototype_OfAModulesFunction(t *testing.T) {
	for _, series := range []string{kernels.Linux612, kernels.Linux61} {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			k := bootStill(t, img, nil)
			ko := unpackedModule(t, modulesOf(t, series)["lz4_compress"])
			m, err := k.LoadKo(ko, "lz4_compress.ko", nil)
			require.NoError(t, err)
			for _, name := range []string{"LZ4_loadDict", "lz4_compress:LZ4_loadDict"} {
				p, err := k.Prototype(name)
				require.NoError(t, err)
				assert.Equal(t, "int LZ4_loadDict(LZ4_stream_t *LZ4_dict, const char *dictionary, int dictSize)", p.String())
			}
			p, err := k.Prototype("gcd")
			require.NoError(t, err)
			assert.Equal(t, "unsigned long gcd(unsigned long a, unsigned long b)", p.String())
			_, err = k.Prototype("nothing_of_the_kind")
			assert.ErrorIs(t, err, unix.ENOENT)

			m.btf = m.btf[:len(m.btf)-1]
			_, err = k.Prototype("LZ4_loadDict")
			assert.ErrorIs(t, err, unix.ENOEXEC, "cut short")
			m.btf, m.btfBase = fixtureBTF(t), fixtureBTF(t)
			_, err = k.Prototype("LZ4_loadDict")
			assert.ErrorIs(t, err, unix.ENOENT, "of another module")
			m.btf, m.btfBase = nil, nil
			_, err = k.Prototype("LZ4_loadDict")
			assert.ErrorIs(t, err, unix.ENOENT)
			_, err = k.Prototype("gcd")
			assert.NoError(t, err)
		})
	}
}

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

func FuzzModule(f *testing.F) {
	f.Add(fixtureModule(f))
	img := standard(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		k := bootStill(t, img, nil)
		m, err := k.LoadKo(b, "fuzz.ko", nil)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			assert.Empty(t, k.Modules())
			return
		}
		require.NoError(t, k.Unload(m))
	})
}

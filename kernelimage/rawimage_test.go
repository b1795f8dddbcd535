package kernelimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/edits"
	"callops/internal/errno"
	"callops/kernelimage/internal/btfsection"
	"callops/kernelimage/internal/imageheader"
	"callops/kernelimage/internal/kallsyms"
	"callops/kernelimage/internal/kallsyms/kallsymstest"
	"callops/kernelimage/internal/packing/packtest"
	"callops/kernelimage/internal/rela"
)

func parse(b []byte) (*Image, error) {
	return Parse(context.Background(), bytes.NewReader(b), int64(len(b)), "Image", nil)
}

func parsed(t *testing.T, b []byte) *Image {
	t.Helper()
	img, err := parse(b)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return img
}

// checkRaw compares an image with the fixture that it was read from.
func checkRaw(t *testing.T, want rawImage, img *Image, spec rawSpec) {
	t.Helper()
	assert.Equal(t, want.base, img.linux.Base)
	assert.Equal(t, spec.callOps, img.callOps)
	assert.Equal(t, Profile612, img.profile)
	assert.Len(t, img.sites, want.funcs+want.inits)
	assert.Equal(t, want.inits, img.InitSites())
	assert.Equal(t, want.perCPU, img.linux.PerCPU)
	assert.Equal(t, "Linux version 6.99 (fixture)", img.Banner())
	require.Len(t, img.symbols, len(want.symbols))
	for i, s := range want.symbols {
		got := img.symbols[i]
		assert.Equal(t, fmt.Sprintf("%c %s %#x", s.Type, s.Name, want.base+s.Off), fmt.Sprintf("%c %s %#x", got.Type, got.Name, got.Addr))
	}
	assert.Equal(t, "function_7+0x4", img.symbolize(img.sites[7].IP))
	assert.Equal(t, int(want.perCPU.Start)+stateOff, img.layout.PerCPU.ContextState)
}

var (
	place    = kallsymstest.Spec{Order: kallsymstest.From70}
	absolute = kallsymstest.Spec{Order: kallsymstest.From50, Form: kallsyms.Absolute}
)

func TestParse_RawImageInEachLayoutOfItsSymbols(t *testing.T) {
	for name, spec := range map[string]rawSpec{
		"7.0":                         {symbols: place},
		"7.0_call_ops":                {symbols: place, callOps: true},
		"7.0_elsewhere":               {symbols: place, base: 0xffff_8000_0800_0000},
		"7.0_pointers_in_place":       {symbols: place, applied: true},
		"7.0_no_table":                {symbols: place, noRela: true, base: 0xffff_8000_0800_0000},
		"6.4":                         {},
		"6.4_call_ops":                {callOps: true},
		"6.4_no_seqs":                 {symbols: kallsymstest.Spec{NoSeqs: true}},
		"6.4_absolute_per_cpu":        {symbols: kallsymstest.Spec{Form: kallsyms.PerCPU}},
		"6.4_absolute":                {symbols: kallsymstest.Spec{Form: kallsyms.Absolute, NoSeqs: true}},
		"6.3":                         {symbols: kallsymstest.Spec{Order: kallsymstest.From62}},
		"6.3_absolute_per_cpu":        {symbols: kallsymstest.Spec{Order: kallsymstest.From62, Form: kallsyms.PerCPU}},
		"6.1":                         {symbols: kallsymstest.Spec{Order: kallsymstest.From50}},
		"6.1_absolute":                {symbols: absolute},
		"6.1_elsewhere":               {symbols: kallsymstest.Spec{Order: kallsymstest.From50}, base: 0xffff_8000_0800_0000},
		"applied":                     {applied: true},
		"other_relocations_between":   {mixedRela: true},
		"applied_no_table":            {noRela: true},
		"6.3_functions_only":          {symbols: kallsymstest.Spec{Order: kallsymstest.From62}, funcsOnly: true},
		"functions_only":              {funcsOnly: true, callOps: true},
		"dropped_entries":             {zeroEntries: 5, callOps: true},
		"absolute_no_table":           {symbols: absolute, noRela: true},
		"6.1_functions_only_absolute": {symbols: absolute, funcsOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := buildRaw(t, spec)
			img := parsed(t, want.b)
			checkRaw(t, want, img, spec)
			assert.Equal(t, spec.zeroEntries, img.linux.Dropped)
			assert.Equal(t, spec.applied, img.linux.Applied)
			assert.Equal(t, []string{"struct ftrace_regs"}, img.linux.Assumed)
		})
	}
}

func TestParse_RawImageHasItsSegmentsPermissions(t *testing.T) {
	want := buildRaw(t, rawSpec{callOps: true})
	img := parsed(t, want.b)
	perm := func(off uint64) emu.Perm {
		i := slices.IndexFunc(img.segments, func(s Segment) bool { return s.End() > want.base+off })
		require.GreaterOrEqual(t, i, 0)
		return img.segments[i].Perm
	}
	assert.Equal(t, emu.Read|emu.Exec, perm(fixtureText))
	assert.Equal(t, emu.Read, perm(fixtureRodata))
	assert.Equal(t, emu.Read|emu.Exec, perm(fixtureInit))
	assert.Equal(t, emu.Read|emu.Write, perm(fixtureData))
	assert.Equal(t, emu.Read|emu.Write, perm(fixtureSize+0x1000), "bss")
}

func TestParse_RawImageWithPagesOfEachSize(t *testing.T) {
	for flags, want := range map[uint64]struct{ page, thread uint64 }{
		imageheader.Pages4K:  {4 << 10, 16 << 10},
		imageheader.Pages16K: {16 << 10, 16 << 10},
		imageheader.Pages64K: {64 << 10, 64 << 10},
	} {
		spec := rawSpec{callOps: true, pages: flags}
		raw := buildRaw(t, spec)
		img := parsed(t, raw.b)
		checkRaw(t, raw, img, spec)
		assert.Equal(t, want.page, img.PageSize())
		assert.Equal(t, want.thread, img.ThreadSize())
		for _, s := range img.segments[:3] {
			assert.Zero(t, s.End()%want.page, "%s ends at a page", s.Name)
		}
		// Without symbols for it, the per-CPU section is looked for at pages.
		spec.funcsOnly = true
		assert.Equal(t, raw.perCPU.Start, parsed(t, buildRaw(t, spec).b).linux.PerCPU.Start)
	}
}

// Until 5.15 a task's CPU is not in its thread_info, and until 5.19 what RCU
// watches is not in context_tracking.state, which is an enum.
func TestParse_RawImageOf515(t *testing.T) {
	raw := buildRaw(t, rawSpec{before516: true, symbols: kallsymstest.Spec{Order: kallsymstest.From50}})
	img := parsed(t, raw.b)
	assert.Equal(t, 16, img.layout.Task.CPU)
	assert.Equal(t, 8, img.layout.Task.PreemptCount)
	assert.Contains(t, img.linux.Assumed, "context_tracking.state")
	assert.GreaterOrEqual(t, img.layout.PerCPU.ContextState, int(raw.perCPU.End), "one of callops'")
}

// Then arm64's known structures stand for its own, and its own ftrace does not
// run.
func TestParse_RawImageWithoutBTF(t *testing.T) {
	for name, spec := range map[string]rawSpec{
		"call_ops": {callOps: true, noBTF: true}, "before": {noBTF: true}, "functions_only": {callOps: true, noBTF: true, funcsOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			raw := buildRaw(t, spec)
			img := parsed(t, raw.b)
			assert.Zero(t, img.linux.BTF)
			assert.False(t, img.linux.KnowsOps())
			assert.Contains(t, img.linux.Assumed, "struct task_struct")
			assert.Len(t, img.sites, raw.funcs+raw.inits)
			assert.Equal(t, map[bool]Profile{true: Profile612, false: Profile61}[spec.callOps], img.profile)
			assert.Equal(t, layout612.Ops, img.layout.Ops)
			assert.Equal(t, spec.funcsOnly, img.linux.OneCPU)
			if !spec.funcsOnly {
				assert.Equal(t, raw.perCPU, img.linux.PerCPU)
			}
			_, err := img.Prototype("function_1")
			assert.ErrorIs(t, err, errno.ENOENT)
		})
	}
}

// Debian's 5.10 tells its per-CPU variables neither by symbols nor in its BTF.
func TestParse_WhereNothingTellsThePerCPUSectionInitDataStandsForIt(t *testing.T) {
	raw := buildRaw(t, rawSpec{funcsOnly: true, edit: func(b []byte) {
		for i := fixtureText; i < fixtureRodata; i += 4 {
			if binary.LittleEndian.Uint32(b[i:])&0x9f000000 == 0x90000000 {
				binary.LittleEndian.PutUint32(b[i:], 0)
			}
		}
	}})
	img := parsed(t, raw.b)
	assert.True(t, img.linux.OneCPU)
	assert.True(t, img.linux.KnowsOps())
	assert.Contains(t, img.linux.Assumed, "the per-CPU variables: all data of init stands for them")
	assert.LessOrEqual(t, img.linux.PerCPU.Start, raw.perCPU.Start)
	assert.GreaterOrEqual(t, img.linux.PerCPU.End, raw.perCPU.End)
}

func TestParse_RawImageWithItsConfiguration(t *testing.T) {
	want := []byte("CONFIG_FTRACE=y\n")
	b := bytes.Join([][]byte{[]byte("IKCFG_ST"), packtest.All(t, want)["gzip"], []byte("IKCFG_ED")}, nil)
	img := parsed(t, buildRaw(t, rawSpec{edit: func(image []byte) { copy(image[fixtureSize-len(b):], b) }}).b)
	assert.Equal(t, string(want), img.linux.Config)
}

func TestTextCost_OfARawImageTellsPaddingByWhatStandsThere(t *testing.T) {
	c, err := parsed(t, buildRaw(t, rawSpec{callOps: true}).b).TextCost()
	require.NoError(t, err)
	assert.EqualValues(t, 8*fixtureFuncs, c.Literals)
	// 28 bytes a function, so all but the first follow 4 bytes of padding.
	assert.EqualValues(t, 4*(fixtureFuncs-1), c.Padding)
}

func TestParse_RefusesDamagedRawImages(t *testing.T) {
	le := binary.LittleEndian
	put := func(off int, v uint64) func(b []byte) { return func(b []byte) { le.PutUint64(b[off:], v) } }
	rela := func(b []byte) int { return rela.Find(b).Offset() }
	for name, test := range map[string]struct {
		spec rawSpec
		edit func(b []byte)
		want string
	}{
		"big_endian":    {edit: put(imageheader.FlagsAt, imageheader.Pages4K|imageheader.BigEndian), want: "Image header at 0x18: the kernel is big-endian"},
		"no_symbols":    {edit: func(b []byte) { clear(b[fixtureRodata:fixtureInit]) }, want: "no embedded symbol table (kallsyms) found"},
		"no_btf":        {edit: func(b []byte) { b[bytes.Index(b, []byte(btfsection.Magic))] = 0 }, want: "BTF at 0x10000: "},
		"shift":         {edit: put(imageheader.TextOffsetAt, 0x1000), want: "0 link addresses"},
		"outside_rela":  {edit: func(b []byte) { le.PutUint64(b[rela(b):], 0xffff_8000_8100_0000) }, want: ".rela.dyn"},
		"wild_rela":     {edit: func(b []byte) { le.PutUint64(b[rela(b)+24:], 7) }, want: ".rela.dyn"},
		"overlaid_rela": {edit: func(b []byte) { le.PutUint64(b[rela(b):], 0xffff_8000_8000_0000+uint64(rela(b))) }, want: "0 link addresses"},
		"nothing_tells_the_base": {spec: rawSpec{symbols: place, noRela: true}, edit: func(b []byte) {
			for i := 0; i < len(b); i += 8 {
				if le.Uint64(b[i:])>>48 == 0xffff {
					le.PutUint64(b[i:], 0)
				}
			}
		}, want: "nor pointers tell the link address"},
		"user_half": {spec: rawSpec{noRela: true, base: 0x4000_0000}, want: "in the kernel's half"},
		"bad_site": {spec: rawSpec{callOps: true}, edit: func(b []byte) { le.PutUint32(b[fixtureText+12:], 0xd65f03c0) },
			want: "call site at 0xffff800080001000 (function_0+0x0): at 0xffff80008000100c stands 0xd65f03c0 (ret), expected nop"},
		"no_mcount": {spec: rawSpec{funcsOnly: true}, edit: func(b []byte) {
			for i := fixtureText; i < fixtureData; i += 4 {
				if asm.IsNop(le.Uint32(b[i:])) {
					le.PutUint32(b[i:], 0)
				}
			}
		}, want: "no list of call sites in the data either"},
	} {
		t.Run(name, func(t *testing.T) {
			test.spec.edit = test.edit
			_, err := parse(buildRaw(t, test.spec).b)
			require.ErrorContains(t, err, test.want)
			if name != "bad_site" {
				assert.ErrorIs(t, err, errno.ENOEXEC)
			}
		})
	}
}

func TestParse_RawImageSaysItsProfile(t *testing.T) {
	b := buildRaw(t, rawSpec{}).b
	_, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "Image", &OpenOptions{Profile: Profile61})
	assert.ErrorContains(t, err, "its ftrace is that of profile 6.12, not of 6.1")
}

func TestParse_RawImageCutShortAnywhereIsAnError(t *testing.T) {
	b := buildRaw(t, rawSpec{}).b
	for n := 0; n < fixtureData; n += 0x7ff {
		_, err := parse(b[:n:n])
		assert.Error(t, err, "%#x bytes", n)
	}
}

func FuzzRawImage(f *testing.F) {
	var files [][]byte
	for _, spec := range []rawSpec{{callOps: true}, {symbols: place}, {symbols: kallsymstest.Spec{Order: kallsymstest.From62}, funcsOnly: true}, {symbols: absolute}} {
		f.Add(uint8(len(files)), edits.At(imageheader.ImageSizeAt, 1))
		files = append(files, buildRaw(f, spec).b)
	}
	f.Fuzz(func(t *testing.T, which uint8, e []byte) {
		b := edits.Apply(files[int(which)%len(files)], e)
		img, err := parse(b)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			return
		}
		defer img.Close()
		_, _ = img.TextCost()
		_ = img.Banner()
		_ = img.Vermagic()
	})
}

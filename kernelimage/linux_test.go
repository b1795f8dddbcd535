package kernelimage

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/kernelimage/internal/btfsection"
	"callops/kernelimage/internal/mcount"
)

// linux opens the newest of Debian's kernels of a series, which `make kernels`
// downloads.
func linux(tb testing.TB, series string) (img *Image, path string) {
	tb.Helper()
	path = kernels.Path(tb, series)
	img, err := Open(tb.Context(), path, &OpenOptions{NoIndex: true})
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, img.Close()) })
	return img, path
}

func TestLinux_7HasWhatItIsKnownToHave(t *testing.T) {
	img, _ := linux(t, kernels.Linux7)
	assert.True(t, img.callOps)
	assert.Equal(t, Profile73, img.profile)
	assert.Contains(t, img.Banner(), "Linux version "+kernels.Version(t, kernels.Linux7))
	assert.Equal(t, uint64(0xffff800080000000), img.linux.Base)
	assert.Equal(t, "place-relative, seqs_of_names, addresses last", img.linux.Kallsyms)
	assert.Empty(t, img.linux.Assumed)
	assert.Greater(t, len(img.sites), 45_000)
	assert.Greater(t, img.InitSites(), 2_000)
	assert.Greater(t, len(img.symbols), 150_000)
	assert.Equal(t, layout612.Hash, img.layout.Hash)
	assert.Equal(t, layout612.Entry, img.layout.Entry)
	assert.Equal(t, layout612.Regs, img.layout.Regs)
}

func TestLinux_612HasWhatItIsKnownToHave(t *testing.T) {
	img, path := linux(t, kernels.Linux612)
	assert.True(t, img.callOps)
	assert.Equal(t, Profile612, img.profile)
	assert.Contains(t, img.Banner(), "Linux version "+strings.TrimPrefix(filepath.Base(path), "vmlinuz-"))
	assert.Equal(t, uint64(0xffff800080000000), img.linux.Base)
	assert.Equal(t, "base-relative, seqs_of_names, addresses last", img.linux.Kallsyms)
	assert.Empty(t, img.linux.Assumed)
	assert.Greater(t, len(img.sites), 40_000)
	assert.Greater(t, img.InitSites(), 1_000)
	assert.Greater(t, len(img.symbols), 100_000)

	// The built-in kernel's layout was read from such a kernel's BTF.
	l := img.layout
	assert.Equal(t, layout612.Ops, l.Ops)
	assert.Equal(t, layout612.OpsHash, l.OpsHash)
	assert.Equal(t, layout612.Hash, l.Hash)
	assert.Equal(t, layout612.Entry, l.Entry)
	assert.Equal(t, layout612.Regs, l.Regs)
	assert.Equal(t, layout612.Bug, l.Bug)
	assert.Equal(t, layout612.Task.PreemptCount, l.Task.PreemptCount)
}

func TestLinux_61HasWhatItIsKnownToHave(t *testing.T) {
	img, path := linux(t, kernels.Linux61)
	assert.False(t, img.callOps)
	assert.Equal(t, Profile61, img.profile)
	assert.Contains(t, img.Banner(), "Linux version "+strings.TrimPrefix(filepath.Base(path), "vmlinuz-"))
	assert.Equal(t, uint64(0xffff800008000000), img.linux.Base)
	assert.Equal(t, []string{"struct ftrace_regs"}, img.linux.Assumed)
	assert.Greater(t, len(img.sites), 35_000)
	assert.Greater(t, len(img.symbols), 40_000, "functions only")
}

// What is found by shape, for kernels whose symbols do not name it, is what
// the symbols name in one that has them.
func TestLinux_ShapesTellWhatSymbolsDo(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			_, path := linux(t, series)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			info := &Linux{}
			l := &rawLoad{name: "Image", b: b, info: info, img: &Image{name: "Image", linux: info}}
			for _, step := range []func() error{l.header, func() error { return l.kallsyms(t.Context()) }, l.relocate, l.symbols, l.segments} {
				require.NoError(t, step())
			}
			list, err := l.mcountList()
			require.NoError(t, err)
			section, at, err := l.btfSection()
			require.NoError(t, err)
			gotSection, gotAt := btfsection.Find(b)
			assert.Equal(t, at, gotAt)
			assert.Len(t, gotSection, len(section))

			types, err := readBTF(section)
			require.NoError(t, err)
			want, err := l.perCPUSection(types)
			require.NoError(t, err)
			got, ok := l.findPerCPU(types)
			require.True(t, ok)
			assert.Equal(t, want.Start, got.Start)

			// The zeros in front are no addresses; the rest has to be the same.
			for len(list) > 8 && binary.LittleEndian.Uint64(list) == 0 {
				list = list[8:]
			}
			assert.True(t, bytes.Equal(list, mcount.Find(b, l.base, l.img.inText)))
		})
	}
}

func BenchmarkLinux_Open(b *testing.B) {
	_, path := linux(b, kernels.Linux612)
	b.ReportAllocs()
	for b.Loop() {
		img, err := Open(b.Context(), path, nil)
		require.NoError(b, err)
		require.NoError(b, img.Close())
	}
}

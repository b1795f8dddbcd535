package module

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/kernels"
	"callops/internal/text"
	"callops/kernelimage"
	"callops/kernelimage/internal/ksymtab"
)

const (
	ksymBase    = 0xffff_8000_8100_0000
	ksymBanner  = "Linux version 6.99 (fixture)"
	ksymMagic   = "6.99 SMP mod_unload modversions aarch64"
	ksymEntries = 70
)

// ksymImage is a kernel's read-only data with a list of exports: symbol_0,
// symbol_1 and so on, at ksymBase+index, of namespaces where there is one, after
// an edit of the data.
func ksymImage(magic string, namespaces map[int]string, edit func(rodata []byte) []byte) *kernelimage.Image {
	const names, list = 0x100, 0x2000
	b := make([]byte, 0x4000)
	copy(b[8:], ksymBanner)
	copy(b[0x40:], magic)
	at := names
	text := func(s string) int { defer func() { at += len(s) + 1 }(); return at + 0*copy(b[at:], s) }
	for i := range ksymEntries {
		name, space := text(fmt.Sprintf("symbol_%d", i)), text(namespaces[i])
		for j, target := range []int{i, name, space} {
			from := list + ksymtab.Size*i + 4*j
			binary.LittleEndian.PutUint32(b[from:], uint32(target-from))
		}
		binary.LittleEndian.PutUint32(b[list+ksymtab.Size*ksymEntries+ksymtab.CRCSize*i:], 0x1000_0000+uint32(i))
	}
	b = edit(b)
	return kernelimage.New(&kernelimage.Parts{
		Name: "kernel", Linux: &kernelimage.Linux{}, Symbols: []kernelimage.Symbol{{Name: "linux_banner", Addr: ksymBase + 8}},
		Segments: []kernelimage.Segment{kernelimage.NewSegment("rodata", ksymBase, b, uint64(len(b)), emu.Read)},
	})
}

func asItIs(b []byte) []byte { return b }

func TestKernelExports_HaveNamespacesAndVersions(t *testing.T) {
	img := ksymImage(ksymMagic, map[int]string{3: "CXL", 40: "module:kvm,snd-*"}, asItIs)
	exports := Exports(img, img.Vermagic())
	assert.Len(t, exports, ksymEntries)
	assert.Equal(t, Export{Addr: ksymBase + 3, Namespace: "CXL", CRC: 0x1000_0003, Versioned: true}, exports["symbol_3"])
	assert.Equal(t, Export{Addr: ksymBase + 40, Namespace: "module:kvm,snd-*", CRC: 0x1000_0028, Versioned: true}, exports["symbol_40"])

	img = ksymImage("6.99 SMP mod_unload aarch64", nil, asItIs)
	assert.Equal(t, "6.99 SMP mod_unload aarch64", img.Vermagic())
	assert.Equal(t, Export{Addr: ksymBase + 3}, Exports(img, img.Vermagic())["symbol_3"])
}

func TestFindKsymtab_AShortRunIsNone(t *testing.T) {
	list := memoryOf(ksymImage(ksymMagic, nil, asItIs)).findKsymtab()
	assert.EqualValues(t, ksymEntries*ksymtab.Size, list.End-list.Start)
	list = memoryOf(ksymImage(ksymMagic, nil, func(b []byte) []byte {
		clear(b[0x2000+30*ksymtab.Size:][:ksymtab.Size])
		return b
	})).findKsymtab()
	assert.Zero(t, list)
}

// The kernel that names where its lists are says the same as their shape.
func TestLinux_ItsExportsAreThoseItsSymbolsName(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := linux(t, series)
			mark := func(name string) uint64 {
				i := slices.IndexFunc(img.Symbols(), func(s kernelimage.Symbol) bool { return s.Name == name })
				require.GreaterOrEqual(t, i, 0, name)
				return img.Symbols()[i].Addr
			}
			list := memoryOf(img).findKsymtab()
			end := "__stop___ksymtab_gpl"
			if series == kernels.Linux7 { // one list, and one of flags
				end = "__stop___ksymtab"
			}
			assert.Equal(t, kernelimage.Range{Start: mark("__start___ksymtab"), End: mark(end)}, list)
			if series != kernels.Linux612 { // without CONFIG_MODVERSIONS
				assert.Len(t, Exports(img, img.Vermagic()), int(list.End-list.Start)/ksymtab.Size)
				return
			}
			assert.Equal(t, mark("__start___kcrctab"), list.End)
			assert.Equal(t, mark("__stop___kcrctab_gpl"), list.End+(list.End-list.Start)/ksymtab.Size*ksymtab.CRCSize)
			exports := Exports(img, img.Vermagic())
			assert.Len(t, exports, int(list.End-list.Start)/ksymtab.Size)
			for name, e := range exports {
				assert.True(t, e.Versioned, name)
			}
		})
	}
}

// FuzzKsymtab: any read-only data gives exports that lie in the image, and
// nothing is read from outside it.
func FuzzKsymtab(f *testing.F) {
	f.Add(uint16(0x2000), []byte{1, 2, 3})
	f.Add(uint16(0x40), []byte("6.99 aarch64"))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		img := ksymImage(ksymMagic, map[int]string{3: "CXL"}, func(b []byte) []byte {
			copy(b[int(at)%len(b):], patch)
			return b
		})
		vermagic := img.Vermagic()
		for name, e := range Exports(img, vermagic) {
			require.True(t, img.Bounds().Contains(e.Addr), name)
			require.Equal(t, name, text.Printable(name))
			require.Equal(t, e.Namespace, text.Printable(e.Namespace))
		}
		require.False(t, bytes.ContainsAny([]byte(vermagic), "\x00"))
	})
}

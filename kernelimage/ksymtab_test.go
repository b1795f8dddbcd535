package kernelimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/kernels"
	"callops/internal/text"
)

const (
	ksymBase    = 0xffff_8000_8100_0000
	ksymBanner  = "Linux version 6.99 (fixture)"
	ksymMagic   = "6.99 SMP mod_unload modversions aarch64"
	ksymEntries = fewestKsyms + 6
)

// ksymImage is a kernel's read-only data with a list of exports: symbol_0,
// symbol_1 and so on, at ksymBase+index, of namespaces where there is one.
func ksymImage(magic string, namespaces map[int]string) *Image {
	const names, list = 0x100, 0x2000
	b := make([]byte, 0x4000)
	copy(b[8:], ksymBanner)
	copy(b[0x40:], magic)
	at := names
	text := func(s string) int { defer func() { at += len(s) + 1 }(); return at + 0*copy(b[at:], s) }
	for i := range ksymEntries {
		name, space := text(fmt.Sprintf("symbol_%d", i)), text(namespaces[i])
		for j, target := range []int{i, name, space} {
			from := list + ksymSize*i + 4*j
			binary.LittleEndian.PutUint32(b[from:], uint32(target-from))
		}
		binary.LittleEndian.PutUint32(b[list+ksymSize*ksymEntries+crcSize*i:], 0x1000_0000+uint32(i))
	}
	return &Image{
		Name: "kernel", Linux: &Linux{}, Symbols: []Symbol{{Name: "linux_banner", Addr: ksymBase + 8}},
		Segments: []Segment{{Name: "rodata", Addr: ksymBase, Data: b, MemSize: uint64(len(b)), Perm: emu.Read}},
	}
}

func TestKernelExports_HaveNamespacesAndVersions(t *testing.T) {
	img := ksymImage(ksymMagic, map[int]string{3: "CXL", 40: "module:kvm,snd-*"})
	exports := img.Exports(img.Vermagic())
	assert.Len(t, exports, ksymEntries)
	assert.Equal(t, Export{Addr: ksymBase + 3, Namespace: "CXL", CRC: 0x1000_0003, Versioned: true}, exports["symbol_3"])
	assert.Equal(t, Export{Addr: ksymBase + 40, Namespace: "module:kvm,snd-*", CRC: 0x1000_0028, Versioned: true}, exports["symbol_40"])

	img = ksymImage("6.99 SMP mod_unload aarch64", nil)
	assert.Equal(t, "6.99 SMP mod_unload aarch64", img.Vermagic())
	assert.Equal(t, Export{Addr: ksymBase + 3}, img.Exports(img.Vermagic())["symbol_3"])
}

func TestFindKsymtab_AShortRunIsNone(t *testing.T) {
	img := ksymImage(ksymMagic, nil)
	assert.EqualValues(t, ksymEntries*ksymSize, img.findKsymtab().End-img.findKsymtab().Start)
	clear(img.Segments[0].Data[0x2000+30*ksymSize:][:ksymSize])
	assert.Zero(t, img.findKsymtab())
}

// The kernel that names where its lists are says the same as their shape.
func TestLinux_ItsExportsAreThoseItsSymbolsName(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			mark := func(name string) uint64 {
				s, ok := img.symbol(name)
				require.True(t, ok, name)
				return s.Addr
			}
			list := img.findKsymtab()
			end := "__stop___ksymtab_gpl"
			if series == kernels.Linux7 { // one list, and one of flags
				end = "__stop___ksymtab"
			}
			assert.Equal(t, Range{mark("__start___ksymtab"), mark(end)}, list)
			if series != kernels.Linux612 { // without CONFIG_MODVERSIONS
				assert.Len(t, img.Exports(img.Vermagic()), int(list.End-list.Start)/ksymSize)
				return
			}
			assert.Equal(t, mark("__start___kcrctab"), list.End)
			assert.Equal(t, mark("__stop___kcrctab_gpl"), list.End+(list.End-list.Start)/ksymSize*crcSize)
			exports := img.Exports(img.Vermagic())
			assert.Len(t, exports, int(list.End-list.Start)/ksymSize)
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
		img := ksymImage(ksymMagic, map[int]string{3: "CXL"})
		b := img.Segments[0].Data
		copy(b[int(at)%len(b):], patch)
		vermagic := img.Vermagic()
		for name, e := range img.Exports(vermagic) {
			require.True(t, img.Bounds().Contains(e.Addr), name)
			require.Equal(t, name, text.Printable(name))
			require.Equal(t, e.Namespace, text.Printable(e.Namespace))
		}
		require.False(t, bytes.ContainsAny([]byte(vermagic), "\x00"))
	})
}

package kernelimage

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/internal/linear"
	"callops/kernelimage/internal/btfsection"
	"callops/kernelimage/internal/elffile"
	"callops/kernelimage/internal/ikconfig"
)

// grown returns a file of the workload in which a section is n pieces long, each made
// by entry.
func grown(t *testing.T, path, section string, n int, entry func(i int) []byte) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	kind := elffile.Linked
	if path == fixtureKo {
		kind = elffile.Relocatable
	}
	f, err := elffile.New(bytes.NewReader(b), int64(len(b)), "x", kind)
	require.NoError(t, err)
	for i, s := range f.Sections {
		if s.Name != section {
			continue
		}
		b = append(b, make([]byte, -len(b)&7)...)
		header := b[f.Header.Shoff+uint64(i)*elffile.SectionSize:]
		binary.LittleEndian.PutUint64(header[24:], uint64(len(b)))
		start := len(b)
		for i := range n {
			b = append(b, entry(i)...)
		}
		header = b[f.Header.Shoff+uint64(i)*elffile.SectionSize:]
		binary.LittleEndian.PutUint64(header[32:], uint64(len(b)-start))
		return b
	}
	t.Fatal("no section " + section)
	return nil
}

// What each reader gets is made to repeat what takes it longest.
func TestReaders_TakeTimeAsTheirInputIsLong(t *testing.T) {
	le := binary.LittleEndian
	symbol := func(int) []byte { // all of one name, at one address
		b := make([]byte, elffile.SymSize)
		le.PutUint32(b, 1)
		b[4], b[6] = 0x12, 1
		le.PutUint64(b[8:], 0x400000)
		return b
	}
	null := func(int) []byte { return make([]byte, elffile.RelaSize) }
	parseIt := func(b []byte) func() {
		return func() { _, _ = Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "x", nil) }
	}
	for name, prepare := range map[string]func(n int) func(){
		"symbols of an image": func(n int) func() {
			return parseIt(grown(t, workloadPath("workload-callops.elf"), ".symtab", n, symbol))
		},
		"relocations of an image": func(n int) func() {
			return parseIt(grown(t, workloadPath("workload-callops.so"), ".rela.dyn", n, null))
		},
		"symbols of a module": func(n int) func() {
			b, host := grown(t, fixtureKo, ".symtab", n, symbol), hostOf(standard(t))
			return func() { _, _ = link(host, b, "x.ko") }
		},
		"relocations of a module": func(n int) func() {
			b, host := grown(t, fixtureKo, ".rela.text", n, null), hostOf(standard(t))
			return func() { _, _ = link(host, b, "x.ko") }
		},
		"modinfo": func(n int) func() {
			b, host := grown(t, fixtureKo, ".modinfo", n, func(int) []byte { return []byte("depends=a,b,c\x00alias=x\x00") }), hostOf(standard(t))
			return func() { _, _ = link(host, b, "x.ko") }
		},
		"BTF by its header": func(n int) func() {
			b := bytes.Repeat([]byte(btfsection.Magic+"\x18\x00\x00\x00"), n)
			return func() { btfsection.Find(b) }
		},
		"types of BTF": func(n int) func() {
			types := make([][]uint32, n)
			for i := range types {
				types[i] = []uint32{btfX, kindPtr, uint32(i + 2)}
			}
			types[n-1] = []uint32{btfX, kindPtr, 0}
			b := rawBTF(types...)
			return func() { _, _ = readBTF(b) }
		},
		"configuration": func(n int) func() {
			b := bytes.Repeat([]byte("IKCFG_ST\x1f\x8b\x08"), n)
			return func() { ikconfig.Find(t.Context(), b) }
		},
		"banner": func(n int) func() {
			img := &Image{Linux: &Linux{}, Segments: []Segment{{Data: bytes.Repeat([]byte("Linux version x"), n)}}}
			return func() { img.Banner() }
		},
		"exports": func(n int) func() {
			img := ksymImage(ksymMagic, nil)
			img.Segments[0].Data = append(img.Segments[0].Data, make([]byte, n*ksymSize)...)
			img.Segments[0].MemSize = uint64(len(img.Segments[0].Data))
			return func() { img.Exports("") }
		},
	} {
		t.Run(name, func(t *testing.T) { linear.Check(t, 1<<13, prepare) })
	}
}

package kernelimage

import (
	"bytes"
	"encoding/binary"
	"testing"

	"callops/internal/linear"
	"callops/kernelimage/internal/btfsection"
	"callops/kernelimage/internal/elffile"
	"callops/kernelimage/internal/elffile/elftest"
	"callops/kernelimage/internal/ikconfig"
)

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
			return parseIt(elftest.Grown(t, workloadPath("workload-callops.elf"), elffile.Linked, ".symtab", n, symbol))
		},
		"relocations of an image": func(n int) func() {
			return parseIt(elftest.Grown(t, workloadPath("workload-callops.so"), elffile.Linked, ".rela.dyn", n, null))
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
			img := &Image{linux: &Linux{}, segments: []Segment{{data: bytes.Repeat([]byte("Linux version x"), n)}}}
			return func() { img.Banner() }
		},
	} {
		t.Run(name, func(t *testing.T) { linear.Check(t, 1<<13, prepare) })
	}
}

package module

import (
	"encoding/binary"
	"testing"

	"callops/internal/linear"
	"callops/kernelimage/internal/elffile"
	"callops/kernelimage/internal/elffile/elftest"
	"callops/kernelimage/internal/ksymtab"
)

func TestReaders_TakeTimeAsTheirInputIsLong(t *testing.T) {
	symbol := func(int) []byte { // all of one name, at one address
		b := make([]byte, elffile.SymSize)
		binary.LittleEndian.PutUint32(b, 1)
		b[4], b[6] = 0x12, 1
		binary.LittleEndian.PutUint64(b[8:], 0x400000)
		return b
	}
	null := func(int) []byte { return make([]byte, elffile.RelaSize) }
	for name, prepare := range map[string]func(n int) func(){
		"symbols": func(n int) func() {
			b, host := elftest.Grown(t, fixtureKo, elffile.Relocatable, ".symtab", n, symbol), hostOf(standard(t))
			return func() { _, _ = link(host, b, "x.ko") }
		},
		"relocations": func(n int) func() {
			b, host := elftest.Grown(t, fixtureKo, elffile.Relocatable, ".rela.text", n, null), hostOf(standard(t))
			return func() { _, _ = link(host, b, "x.ko") }
		},
		"modinfo": func(n int) func() {
			b, host := elftest.Grown(t, fixtureKo, elffile.Relocatable, ".modinfo", n, func(int) []byte { return []byte("depends=a,b,c\x00alias=x\x00") }), hostOf(standard(t))
			return func() { _, _ = link(host, b, "x.ko") }
		},
		"exports": func(n int) func() {
			img := ksymImage(ksymMagic, nil, func(b []byte) []byte { return append(b, make([]byte, n*ksymtab.Size)...) })
			return func() { Exports(img, "") }
		},
	} {
		t.Run(name, func(t *testing.T) { linear.Check(t, 1<<13, prepare) })
	}
}

package services

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// words16 are the words of UTF-16, in little endian, with a NUL.
func words16(s string) []byte {
	var b []byte
	for _, w := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, w)
	}
	return append(b, 0, 0)
}

// basic are texts of the basic plane, which UCS-2 is.
var basic = []string{"hello", "", "grün", "日本語", "mixed ÿ Ā 語"}

func eachBasic(f func(g *guest, s string, p, n uint64)) func(g *guest) {
	return func(g *guest) {
		for _, s := range basic {
			f(g, s, g.bytes(words16(s)), uint64(len([]rune(s))))
		}
	}
}

var unicodes = []trial{
	{"ucs2_strlen", "5 texts", "unicode/utf8", eachBasic(func(g *guest, _ string, p, n uint64) { g.equal(n, g.do(p)) })},
	{"ucs2_strnlen", "5 texts, 4 at most", "unicode/utf8", eachBasic(func(g *guest, _ string, p, n uint64) { g.equal(min(n, 4), g.do(p, 4)) })},
	{"ucs2_strsize", "5 texts", "unicode/utf16", eachBasic(func(g *guest, s string, p, n uint64) { g.equal(2*n, g.do(p, 100)) })},
	{"ucs2_utf8size", "5 texts", "unicode/utf8", eachBasic(func(g *guest, s string, p, _ uint64) { g.equal(uint64(len(s)), g.do(p)) })},
	{"ucs2_as_utf8", "5 texts", "unicode/utf8", eachBasic(func(g *guest, s string, p, n uint64) {
		out := g.buf(64)
		g.equal(uint64(len(s)), g.do(out, p, 64))
		g.equal(s, g.text(out))
	})},
	{"ucs2_strncmp", "5 texts with one another", "their first words", func(g *guest) {
		for _, a := range basic {
			for _, b := range basic {
				x, y := utf16.Encode([]rune(a+"\x00")), utf16.Encode([]rune(b+"\x00"))
				want := int64(0)
				for i := 0; want == 0 && i < min(3, len(x), len(y)); i++ {
					want = sign(int32(x[i]) - int32(y[i]))
				}
				g.equal(want, sign(int32(g.do(g.bytes(words16(a)), g.bytes(words16(b)), 3))), a+" "+b)
			}
		}
	}},
	{"utf8_to_utf32", "letters of 1 to 4 bytes, and half of one", "unicode/utf8", func(g *guest) {
		out := g.buf(4)
		for _, r := range "aü語😀" {
			b := utf8.AppendRune(nil, r)
			g.equal(len(b), int(int32(g.do(g.bytes(b), uint64(len(b)), out))))
			g.equal(uint32(r), binary.LittleEndian.Uint32(g.read(out, 4)))
			if len(b) > 1 {
				g.equal(int32(-75), int32(g.do(g.bytes(b), uint64(len(b)-1), out)), "EOVERFLOW")
			}
		}
	}},
	{"utf32_to_utf8", "letters of 1 to 4 bytes, and a surrogate", "unicode/utf8", func(g *guest) {
		for _, r := range "aü語😀" {
			out, b := g.buf(8), utf8.AppendRune(nil, r)
			g.equal(len(b), int(int32(g.do(uint64(r), out, 8))))
			g.equal(b, g.read(out, len(b)))
		}
		g.equal(int32(-84), int32(g.do(0xd800, g.buf(8), 8)), "EILSEQ")
	}},
	{"utf8s_to_utf16s", "a text with surrogates", "unicode/utf16", func(g *guest) {
		const s = "aü語😀!"
		out, want := g.buf(64), utf16.Encode([]rune(s))
		g.equal(len(want), int(int32(g.do(g.string(s), uint64(len(s)), 1, out, 32)))) // UTF16_LITTLE_ENDIAN
		g.equal(words16(s)[:2*len(want)], g.read(out, 2*len(want)))
	}},
	{"utf16s_to_utf8s", "a text with surrogates", "unicode/utf8", func(g *guest) {
		const s = "aü語😀!"
		out, b := g.buf(64), words16(s)
		g.equal(len(s), int(int32(g.do(g.bytes(b), uint64(len(b)/2-1), 1, out, 64))))
		g.equal(s, g.text(out))
	}},
}

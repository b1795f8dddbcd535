package services

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var phrases = []string{"hello, world", "", "a", "abcdefgh", "hello, worlds", "Hello, World", "a string that is longer than the others"}

// onPairs compares a function of two strings with Go's.
func onPairs(want func(a, b string) int64, got func(g *guest, a, b uint64) int64) func(g *guest) {
	return func(g *guest) {
		for _, a := range phrases {
			for _, b := range append(phrases, "l", "lo, ", "world") {
				g.equal(want(a, b), got(g, g.string(a), g.string(b)), "%q, %q", a, b)
			}
		}
	}
}

func sign(n int32) int64 { return int64(cmp.Compare(n, 0)) }

// offset is where in the string at p an address lies; -1 for NULL.
func offset(p, addr uint64) int64 {
	if addr == 0 {
		return -1
	}
	return int64(addr - p)
}

func firstN(s string, n int) string { return s[:min(n, len(s))] }

var stringFuncs = []trial{
	{"strlen", "12 letters", "len", func(g *guest) {
		for _, s := range phrases {
			g.equal(uint64(len(s)), g.do(g.string(s)))
		}
	}},
	{"strnlen", "12 letters, 8 at most", "len", func(g *guest) {
		for _, s := range phrases {
			g.equal(uint64(min(len(s), 8)), g.do(g.string(s), 8))
		}
	}},
	{"strcmp", "a string twice", "strings.Compare", onPairs(func(a, b string) int64 { return int64(strings.Compare(a, b)) },
		func(g *guest, a, b uint64) int64 { return sign(int32(g.do(a, b))) })},
	{"strncmp", "5 letters", "strings.Compare", onPairs(
		func(a, b string) int64 { return int64(strings.Compare(firstN(a, 5), firstN(b, 5))) },
		func(g *guest, a, b uint64) int64 { return sign(int32(g.do(a, b, 5))) })},
	{"strcasecmp", "a string twice", "strings.ToLower", onPairs(
		func(a, b string) int64 { return int64(strings.Compare(strings.ToLower(a), strings.ToLower(b))) },
		func(g *guest, a, b uint64) int64 { return sign(int32(g.do(a, b))) })},
	{"strstr", "two strings", "strings.Index", onPairs(func(a, b string) int64 { return int64(strings.Index(a, b)) },
		func(g *guest, a, b uint64) int64 { return offset(a, g.do(a, b)) })},
	{"strspn", "two strings", "strings.TrimLeft", onPairs(
		func(a, b string) int64 { return int64(len(a) - len(strings.TrimLeft(a, b))) },
		func(g *guest, a, b uint64) int64 { return int64(g.do(a, b)) })},
	{"strcspn", "two strings", "strings.IndexAny", onPairs(
		func(a, b string) int64 { return (int64(strings.IndexAny(a, b)) + int64(len(a)) + 1) % int64(len(a)+1) },
		func(g *guest, a, b uint64) int64 { return int64(g.do(a, b)) })},
	{"strpbrk", "two strings", "strings.IndexAny", onPairs(func(a, b string) int64 { return int64(strings.IndexAny(a, b)) },
		func(g *guest, a, b uint64) int64 { return offset(a, g.do(a, b)) })},
	{"strchr", "12 letters", "strings.IndexByte", func(g *guest) {
		for _, s := range phrases {
			p := g.string(s)
			g.equal(int64(strings.IndexByte(s, 'l')), offset(p, g.do(p, 'l')))
		}
	}},
	{"strrchr", "12 letters", "strings.LastIndexByte", func(g *guest) {
		for _, s := range phrases {
			p := g.string(s)
			g.equal(int64(strings.LastIndexByte(s, 'l')), offset(p, g.do(p, 'l')))
		}
	}},
	{"sized_strscpy", "12 letters into 8 bytes", "copy", func(g *guest) {
		dst := g.buf(16)
		g.equal(int64(-7), int64(g.do(dst, g.string("hello, world"), 8)))
		g.equal("hello, ", g.text(dst))
		g.equal(uint64(5), g.do(dst, g.string("hello"), 8))
	}},
	{"strlcat", "two strings", "+", func(g *guest) {
		dst := g.bytes(append([]byte("hello"), make([]byte, 20)...))
		g.equal(uint64(12), g.do(dst, g.string(", world"), 25))
		g.equal("hello, world", g.text(dst))
	}},
	{"strsep", "a,b", "strings.Cut", func(g *guest) {
		s := g.string("one,two")
		p := g.words([]uint64{s})
		g.equal("one", g.text(g.do(p, g.string(","))))
		g.equal("two", g.text(g.u64(p)))
	}},
	{"strim", "a string with blanks", "strings.TrimSpace", func(g *guest) {
		g.equal("a b", g.text(g.do(g.string(" \ta b \n"))))
	}},
	{"skip_spaces", "a string with blanks", "strings.TrimLeft", func(g *guest) {
		g.equal("a b ", g.text(g.do(g.string("  a b "))))
	}},
	{"strreplace", "a string", "strings.ReplaceAll", func(g *guest) {
		s := g.string("a.b.c")
		g.do(s, '.', '_')
		g.equal("a_b_c", g.text(s))
	}},
	{"memcmp", "64 KiB twice", "bytes.Compare", func(g *guest) {
		other := slices.Clone(g.data)
		p := g.bytes(other)
		g.equal(int32(0), int32(g.do(g.input, p, uint64(len(other)))))
		other[60000]++
		require.NoError(g.t, g.Mem.Write(p, other))
		g.equal(int64(bytes.Compare(g.data, other)), sign(int32(g.do(g.input, p, uint64(len(other))))))
	}},
	{"memchr", "64 KiB", "bytes.IndexByte", func(g *guest) {
		for _, c := range []byte{0x7f, 0, 0xfe} {
			g.equal(int64(bytes.IndexByte(g.data, c)), offset(g.input, g.do(g.input, uint64(c), uint64(len(g.data)))))
		}
	}},
	{"memchr_inv", "1000 bytes", "where another one stands", func(g *guest) {
		b := bytes.Repeat([]byte{7}, 1000)
		b[777] = 8
		p := g.bytes(b)
		g.equal(int64(777), offset(p, g.do(p, 7, 1000)))
		g.equal(uint64(0), g.do(p, 7, 777))
	}},
	{"memcpy", "64 KiB", "copy", func(g *guest) {
		dst := g.buf(len(g.data))
		g.equal(dst, g.do(dst, g.input, uint64(len(g.data))))
		sameData(g, g.read(dst, len(g.data)))
	}},
	{"memmove", "1000 bytes that overlap", "copy", func(g *guest) {
		b := slices.Clone(g.data[:1100])
		p := g.bytes(b)
		g.do(p+33, p, 1000)
		copy(b[33:], b[:1000])
		g.equal(b, g.read(p, 1100))
	}},
	{"memset", "64 KiB", "bytes.Repeat", func(g *guest) {
		p := g.buf(len(g.data) + 8)
		g.do(p, 0xa5, uint64(len(g.data)))
		assert.True(g.t, bytes.Equal(append(bytes.Repeat([]byte{0xa5}, len(g.data)), make([]byte, 8)...), g.read(p, len(g.data)+8)))
	}},
	{"memset32", "100 words", "bytes.Repeat", func(g *guest) {
		p := g.buf(400)
		g.do(p, 0x01020304, 100)
		g.equal(bytes.Repeat([]byte{4, 3, 2, 1}, 100), g.read(p, 400))
	}},
	{"memscan", "64 KiB", "bytes.IndexByte", func(g *guest) {
		g.equal(int64(bytes.IndexByte(g.data, 0x7f)), offset(g.input, g.do(g.input, 0x7f, uint64(len(g.data)))))
	}},
}

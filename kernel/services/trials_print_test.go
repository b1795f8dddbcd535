package services

import (
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
)

// Offsets in struct seq_file (include/linux/seq_file.h).
const seqSize, seqCount = 8, 24

// seqFile makes a seq_file with a buffer of n bytes.
func (g *guest) seqFile(n int) uint64 {
	b := make([]uint64, 32)
	b[0], b[seqSize/8] = g.buf(n), uint64(n)
	return g.words(b)
}

// seqWritten is what is in one.
func (g *guest) seqWritten(m uint64) string { return string(g.read(g.u64(m), int(g.u64(m+seqCount)))) }

// seqs calls a function once for each list of arguments, and compares what it wrote in
// all.
func seqs(want string, args ...func(g *guest) []uint64) func(g *guest) {
	return func(g *guest) {
		m := g.seqFile(512)
		for _, a := range args {
			g.do(append([]uint64{m}, a(g)...)...)
		}
		g.equal(want, g.seqWritten(m))
	}
}

// with are arguments; a string is passed by address.
func with(args ...any) func(g *guest) []uint64 {
	return func(g *guest) (list []uint64) {
		for _, a := range args {
			switch a := a.(type) {
			case string:
				list = append(list, g.string(a))
			case int:
				list = append(list, uint64(a))
			case rune:
				list = append(list, uint64(a))
			}
		}
		return list
	}
}

// Offsets in struct seq_buf (include/linux/seq_buf.h).
const seqBufLen = 16

// seqBuf makes a seq_buf of n bytes.
func (g *guest) seqBuf(n int) uint64 { return g.words([]uint64{g.buf(n), uint64(n), 0}) }

// seqBufs calls a function for each list of arguments; in a buffer that is too small it
// fails.
func seqBufs(want string, args ...func(g *guest) []uint64) func(g *guest) {
	return func(g *guest) {
		s, small := g.seqBuf(512), g.seqBuf(len(want)-1)
		failed := false
		for _, a := range args {
			g.equal(uint32(0), uint32(g.do(append([]uint64{s}, a(g)...)...)))
			failed = uint32(g.do(append([]uint64{small}, a(g)...)...)) != 0 || failed
		}
		g.equal(want, string(g.read(g.u64(s), int(g.u64(s+seqBufLen)))))
		g.equal(true, failed, "too small")
	}
}

// hexDump is a line of a hex dump, in 16 columns.
func hexDump(b []byte, ascii bool) string {
	line := fmt.Sprintf("% x", b)
	if !ascii {
		return line
	}
	text := []byte(strings.Repeat(" ", len(b)))
	for i, c := range b {
		text[i] = '.'
		if c >= ' ' && c < 127 {
			text[i] = c
		}
	}
	return fmt.Sprintf("%-47s  %s", line, text)
}

var printing = []trial{
	{"seq_printf", "`%s is %d`, twice", "fmt.Sprintf", seqs(fmt.Sprintf("%s is %d\n%5d|\n", "it", 42, 7), with("%s is %d\n", "it", 42), with("%5d|\n", 7))},
	{"seq_putc", "3 letters", "the letters", seqs("abc", with('a'), with('b'), with('c'))},
	{"seq_write", "4 of 6 bytes", "the bytes", seqs("text", with("texts!", 4))},
	{"seq_put_decimal_ull", "3 numbers", "fmt.Sprintf", seqs(fmt.Sprintf(" %d,%d%d", 42, 1<<40, 7), with(" ", 42), with(",", 1<<40), with("", 7))},
	{"seq_put_decimal_ll", "3 numbers", "fmt.Sprintf", seqs(fmt.Sprintf(" %d,%d,%d", -42, -1<<40, 7), with(" ", -42), with(",", -1<<40), with(",", 7))},
	{"seq_put_hex_ll", "2 numbers, 8 and 4 digits", "fmt.Sprintf", seqs(fmt.Sprintf("-%08x %04x", 0xabc, 0x12345), with("-", 0xabc, 8), with(" ", 0x12345, 4))},
	{"seq_escape_mem", "a tab and a newline", "their escapes", seqs(`a\011b\012`, with("a\tb\n", 4, 8, "\t\n"))}, // ESCAPE_OCTAL
	{"seq_pad", "to the 10th column", "fmt.Sprintf", func(g *guest) {
		m := g.seqFile(100)
		require.NoError(g.t, g.Mem.Store64(m+32, 10)) // pad_until
		g.of("seq_printf", m, g.string("abc"))
		g.do(m, '|')
		g.equal(fmt.Sprintf("%-10s|", "abc"), g.seqWritten(m))
	}},
	{"seq_hex_dump", "20 bytes with offsets", "fmt.Sprintf", func(g *guest) {
		m := g.seqFile(512)
		g.do(m, g.string("x: "), 2, 16, 1, g.input, 20, 1) // DUMP_PREFIX_OFFSET
		g.equal(fmt.Sprintf("x: %08x: %s\nx: %08x: %s\n", 0, hexDump(g.data[:16], true), 16, hexDump(g.data[16:20], true)), g.seqWritten(m))
	}},
	{"mangle_path", "blanks as octal", "strings.ReplaceAll", func(g *guest) {
		out := g.buf(64)
		end := g.do(out, g.string("a b\nc"), g.string(" \n"))
		g.equal(`a\040b\012c`, string(g.read(out, int(end-out))))
	}},
	{"seq_buf_printf", "`%s is %d`, twice", "fmt.Sprintf", seqBufs("it is 42, 7", with("%s is %d", "it", 42), with(", %d", 7))},
	{"seq_buf_puts", "2 strings", "+", seqBufs("hello, world", with("hello,"), with(" world"))},
	{"seq_buf_putc", "3 letters", "the letters", seqBufs("abc", with('a'), with('b'), with('c'))},
	{"seq_buf_putmem", "4 of 6 bytes", "the bytes", seqBufs("text", with("texts!", 4))},
	{"seq_buf_putmem_hex", "4 bytes, of a word in little endian", "encoding/hex", seqBufs("74786574 ", with("text", 4))},
	{"seq_buf_hex_dump", "20 bytes with offsets", "fmt.Sprintf", func(g *guest) {
		s := g.seqBuf(512)
		g.equal(uint32(0), uint32(g.do(s, g.string("x: "), 2, 16, 1, g.input, 20, 0)))
		g.equal(fmt.Sprintf("x: %08x: %s\nx: %08x: %s\n", 0, hexDump(g.data[:16], false), 16, hexDump(g.data[16:20], false)),
			string(g.read(g.u64(s), int(g.u64(s+seqBufLen)))))
	}},
	{"hex_dump_to_buffer", "16 bytes, with letters and without", "fmt.Sprintf", func(g *guest) {
		out := g.buf(128)
		for _, ascii := range []bool{true, false} {
			for _, n := range []int{16, 5, 1} {
				flag := uint64(0)
				if ascii {
					flag = 1
				}
				want := hexDump(g.data[64:64+n], ascii)
				g.equal(len(want), int(uint32(g.do(g.input+64, uint64(n), 16, 1, out, 128, flag))))
				g.equal(want, g.text(out))
			}
		}
	}},
	{"string_get_size", "4 sizes", "their units", func(g *guest) {
		out := g.buf(16)
		for _, c := range []struct {
			n, units uint64
			want     string
		}{{1024, 1, "1.00 KiB"}, {5_000_000_000, 0, "5.00 GB"}, {3 << 40, 1, "3.00 TiB"}, {500, 0, "500 B"}} {
			g.do(c.n, 1, c.units, out, 16)
			g.equal(c.want, g.text(out))
		}
	}},
	{"string_escape_mem", "a quote, a tab and a NUL", "their escapes", func(g *guest) {
		out := g.buf(64)
		n := g.do(g.bytes([]byte("a\"b\t\x00")), 5, out, 64, 7, 0) // ESCAPE_SPACE, SPECIAL, NULL
		g.equal(`a\"b\t\0`, string(g.read(out, int(n))))
	}},
	{"sprint_oid", "2 object identifiers", "encoding/asn1", func(g *guest) {
		for _, id := range []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 1, 11}, {2, 5, 4, 3}} {
			der, err := asn1.Marshal(id)
			require.NoError(g.t, err)
			out := g.buf(64)
			g.equal(len(id.String()), int(uint32(g.do(g.bytes(der[2:]), uint64(len(der)-2), out, 64))))
			g.equal(id.String(), g.text(out))
		}
	}},
	{"look_up_OID", "2 known ones and one that is not", "sprint_OID writes them", func(g *guest) {
		known := make(map[uint64]bool)
		for i, id := range []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 1, 11}, {2, 5, 4, 3}, {1, 3, 9999}} {
			der, err := asn1.Marshal(id)
			require.NoError(g.t, err)
			oid := g.do(g.bytes(der[2:]), uint64(len(der)-2)) & 0xffff_ffff
			g.equal(false, known[oid], "another number for each")
			if known[oid] = true; i == 2 {
				continue
			}
			out := g.buf(64)
			g.of("sprint_OID", oid, out, 64)
			g.equal(id.String(), g.text(out))
		}
	}},
	{"errname", "EINVAL and others", "their names", func(g *guest) {
		for _, e := range []struct {
			n    uint64
			name string
		}{{22, "EINVAL"}, {1, "EPERM"}, {12, "ENOMEM"}, {38, "ENOSYS"}, {110, "ETIMEDOUT"}, {512, "ERESTARTSYS"}} {
			g.equal(e.name, g.text(g.do(e.n)))
			g.equal("-"+e.name, g.text(g.do(-e.n)))
		}
		g.equal(uint64(0), g.do(9999))
	}},
}

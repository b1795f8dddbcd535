package services

import (
	"encoding/base64"
	hexa "encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"github.com/stretchr/testify/require"
)

// printed checks what snprintf writes.
func (g *guest) printed(want, format string, args ...uint64) {
	g.t.Helper()
	out := g.buf(256)
	n := g.of("snprintf", append([]uint64{out, 256, g.string(format)}, args...)...)
	g.equal(want, g.text(out), format)
	g.equal(len(want), int(n))
}

// parses checks a function that reads a number.
func parses(size int, signed bool) func(g *guest) {
	return func(g *guest) {
		for _, s := range []string{"123", "-5", "0", "99999999999", "18446744073709551615", "-9223372036854775808", "18446744073709551616", "200", "40000", "x", "", "12x"} {
			out := g.buf(8)
			errno := int32(g.do(g.string(s), 10, out))
			var want uint64
			var err error
			if signed {
				var v int64
				v, err = strconv.ParseInt(s, 10, 8*size)
				want = uint64(v) & (1<<(8*size-1)<<1 - 1)
			} else {
				want, err = strconv.ParseUint(s, 10, 8*size)
			}
			g.equal(err == nil, errno == 0, s)
			if err == nil {
				g.equal(want, g.u64(out), s)
			}
		}
	}
}

var texts = []trial{
	{"snprintf", "`%d %u %ld %5d\\|%-5d\\|`, and others", "fmt.Sprintf", func(g *guest) {
		minus := func(n int64) uint64 { return uint64(-n) }
		g.printed(fmt.Sprintf("%d %d %d %5d|%-5d|", -5, uint32(math.MaxUint32-4), -70000000000, 42, 42), "%d %u %ld %5d|%-5d|",
			minus(5), minus(5), minus(70000000000), 42, 42)
		g.printed(fmt.Sprintf("%x %X %#x %08x %#o", 0xabc, 0xabc, 0xabc, 0xabc, 0o17), "%x %X %#x %08x %#o", 0xabc, 0xabc, 0xabc, 0xabc, 0o17)
		g.printed(fmt.Sprintf("%s|%10s|%-10s|%.3s|%c", "abc", "abc", "abc", "abcdef", 'x'), "%s|%10s|%-10s|%.3s|%c",
			g.string("abc"), g.string("abc"), g.string("abc"), g.string("abcdef"), 'x')
		g.printed(fmt.Sprintf("%d %x %+d %% ", uint64(math.MaxUint64), uint64(math.MaxUint64), 7), "%llu %llx %+d %% ", math.MaxUint64, math.MaxUint64, 7)
		short := g.buf(8)
		g.equal(uint64(12), g.do(short, 8, g.string("hello, world")))
		g.equal("hello, ", g.text(short))
	}},
	{"vsnprintf", "12 arguments in a va_list", "fmt.Sprintf", func(g *guest) {
		var args []uint64
		want, format := "", ""
		for i := range 12 {
			args = append(args, uint64(i*i))
			want += fmt.Sprintf("%d,", i*i)
			format += "%d,"
		}
		// AAPCS64's va_list with no registers left: the stack, gr_top, vr_top, gr_offs, vr_offs.
		list, out := g.words([]uint64{g.words(args), 0, 0, 0}), g.buf(100)
		g.equal(len(want), int(g.do(out, 100, g.string(format), list)))
		g.equal(want, g.text(out))
	}},
	{"scnprintf", "12 letters into 8 bytes", "what fits", func(g *guest) {
		out := g.buf(8)
		g.equal(uint64(7), g.do(out, 8, g.string("hello, world")))
		g.equal("hello, ", g.text(out))
	}},
	{"snprintf", "`%pM`, `%pm`", "net", func(g *guest) {
		mac := g.bytes([]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6})
		g.printed("00:1b:63:84:45:e6 001b638445e6", "%pM %pm", mac, mac)
	}},
	{"snprintf", "`%pI4`", "net/netip", func(g *guest) {
		a := netip.MustParseAddr("192.168.1.20")
		g.printed(a.String(), "%pI4", g.bytes(a.AsSlice()))
	}},
	{"snprintf", "`%pI6c`", "net/netip", func(g *guest) {
		for _, s := range []string{"2001:db8::1", "::1", "fe80::1:0:0:2"} {
			a := netip.MustParseAddr(s)
			g.printed(a.String(), "%pI6c", g.bytes(a.AsSlice()))
		}
	}},
	{"snprintf", "`%pUb`", "its text", func(g *guest) {
		b, err := hexa.DecodeString("12345678123456789abcdef012345678")
		require.NoError(g.t, err)
		g.printed("12345678-1234-5678-9abc-def012345678", "%pUb", g.bytes(b))
	}},
	{"snprintf", "`%*ph`", "fmt.Sprintf", func(g *guest) {
		g.printed(fmt.Sprintf("% x", g.data[:20]), "%*ph", 20, g.input)
	}},
	{"snprintf", "`%*pbl`", "its ranges", func(g *guest) {
		g.printed("1-3,7,63", "%*pbl", 64, g.words([]uint64{1<<63 | 0b10001110}))
	}},
	{"snprintf", "`%pS` of the kernel's own functions", "callops' symbols", func(g *guest) {
		for _, name := range []string{"gcd", "vsnprintf", "sha256", "__schedule"} {
			addr := g.symbol(name) + 8
			g.printed(g.Symbols.Format(addr), "%pS", addr)
		}
	}},
	{"kstrtoull", "decimal numbers", "strconv", parses(8, false)},
	{"kstrtoll", "decimal numbers", "strconv", parses(8, true)},
	{"kstrtouint", "decimal numbers", "strconv", parses(4, false)},
	{"kstrtoint", "decimal numbers", "strconv", parses(4, true)},
	{"kstrtou16", "decimal numbers", "strconv", parses(2, false)},
	{"kstrtos16", "decimal numbers", "strconv", parses(2, true)},
	{"kstrtou8", "decimal numbers", "strconv", parses(1, false)},
	{"kstrtos8", "decimal numbers", "strconv", parses(1, true)},
	{"kstrtobool", "y, off and others", "what they mean", func(g *guest) {
		out := g.buf(1)
		for i, s := range []string{"off", "y", "N", "on", "0", "1"} {
			require.Zero(g.t, g.do(g.string(s), out), s)
			g.equal(byte(i%2), g.read(out, 1)[0], s)
		}
		g.equal(int32(-22), int32(g.do(g.string("x"), out)))
	}},
	{"simple_strtoull", "0x7f of `0x7fz`", "strconv", func(g *guest) {
		end := g.buf(8)
		s := g.string("0x7fz")
		g.equal(uint64(0x7f), g.do(s, end, 0))
		g.equal(s+4, g.u64(end))
	}},
	{"simple_strtol", "-123", "strconv", func(g *guest) { g.equal(int64(-123), int64(g.do(g.string("-123"), 0, 10))) }},
	{"memparse", "3, 3K and others", "their sizes", func(g *guest) {
		for i, s := range []string{"3", "3K", "3M", "3G"} {
			g.equal(uint64(3)<<(10*i), g.do(g.string(s), g.buf(8)), s)
		}
	}},
	{"hex2bin", "128 digits", "encoding/hex", func(g *guest) {
		out := g.buf(64)
		require.Zero(g.t, g.do(out, g.string(hexa.EncodeToString(g.data[:64])), 64))
		g.equal(g.data[:64], g.read(out, 64))
		g.equal(int32(-22), int32(g.do(out, g.string("zz"), 1)))
	}},
	{"bin2hex", "64 bytes", "encoding/hex", func(g *guest) {
		out := g.buf(129)
		g.equal(out+128, g.do(out, g.input, 64))
		g.equal(hexa.EncodeToString(g.data[:64]), g.text(out))
	}},
	{"hex_to_bin", "a digit", "strconv", func(g *guest) {
		g.equal(int32(11), int32(g.do('b')))
		g.equal(int32(-1), int32(g.do('g')))
	}},
	{"base64_encode", "1000 bytes", "encoding/base64", func(g *guest) {
		out := g.buf(2000)
		n := g.do(g.input, 1000, out)
		g.equal(base64.StdEncoding.EncodeToString(g.data[:1000]), string(g.read(out, int(n))))
	}},
	{"base64_decode", "1336 letters", "encoding/base64", func(g *guest) {
		out := g.buf(2000)
		s := base64.StdEncoding.EncodeToString(g.data[:1000])
		g.equal(uint64(1000), g.do(g.string(s), uint64(len(s)), out))
		g.equal(g.data[:1000], g.read(out, 1000))
	}},
	{"string_unescape", "escapes", "strconv.Unquote", func(g *guest) {
		out := g.buf(32)
		const flags = 1 | 2 | 4 | 8 // UNESCAPE_SPACE, OCTAL, HEX, SPECIAL
		g.equal(5, int(g.do(g.string(`a\n\x41\101\t`), out, 32, flags)))
		g.equal("a\nAA\t", g.text(out))
	}},
	{"mac_pton", "00:1b:63:84:45:e6", "net", func(g *guest) {
		out := g.buf(6)
		g.equal(uint64(1), g.do(g.string("00:1b:63:84:45:e6"), out)&1)
		g.equal([]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}, g.read(out, 6))
	}},
	{"in4_pton", "192.168.1.20", "net/netip", func(g *guest) {
		out := g.buf(4)
		g.equal(1, int(g.do(g.string("192.168.1.20"), math.MaxUint64, out, math.MaxUint64, 0)))
		g.equal([]byte{192, 168, 1, 20}, g.read(out, 4))
	}},
	{"in6_pton", "2001:db8::1", "net/netip", func(g *guest) {
		out := g.buf(16)
		g.equal(1, int(g.do(g.string("2001:db8::1"), math.MaxUint64, out, math.MaxUint64, 0)))
		g.equal(netip.MustParseAddr("2001:db8::1").AsSlice(), g.read(out, 16))
	}},
	{"uuid_parse", "a UUID", "its bytes", func(g *guest) {
		out := g.buf(16)
		require.Zero(g.t, g.do(g.string("12345678-1234-5678-9abc-def012345678"), out))
		g.equal("12345678123456789abcdef012345678", hexa.EncodeToString(g.read(out, 16)))
	}},
}

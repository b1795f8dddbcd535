package services

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

var numberFuncs = []trial{
	{"gcd", "84, 36", "math/big", func(g *guest) {
		for _, p := range [][2]int64{{84, 36}, {1 << 40, 12}, {17, 5}, {1071, 462}} {
			g.equal(new(big.Int).GCD(nil, nil, big.NewInt(p[0]), big.NewInt(p[1])).Uint64(), g.do(uint64(p[0]), uint64(p[1])))
		}
	}},
	{"lcm", "84, 36", "its definition", func(g *guest) {
		g.equal(uint64(252), g.do(84, 36))
		g.equal(uint64(0), g.do(84, 0))
	}},
	{"lcm_not_zero", "84, 0", "its definition", func(g *guest) { g.equal(uint64(84), g.do(84, 0)) }},
	{"int_sqrt", "2^64-1", "math/big", func(g *guest) {
		for _, n := range []uint64{math.MaxUint64, 0, 1, 2, 15, 16, 1 << 50, 1<<62 - 1} {
			g.equal(new(big.Int).Sqrt(new(big.Int).SetUint64(n)).Uint64(), g.do(n))
		}
	}},
	{"int_pow", "3, 40", "math/big", func(g *guest) {
		g.equal(new(big.Int).Exp(big.NewInt(3), big.NewInt(40), nil).Uint64(), g.do(3, 40))
	}},
	{"mul_u64_u64_div_u64", "three words", "math/bits", func(g *guest) {
		for _, p := range [][3]uint64{{1 << 60, 1 << 40, 1<<45 + 7}, {math.MaxUint64, 1000, 1001}, {3, 4, 5}} {
			hi, lo := bits.Mul64(p[0], p[1])
			want, _ := bits.Div64(hi, lo, p[2])
			g.equal(want, g.do(p[0], p[1], p[2]))
		}
	}},
	{"iter_div_u64_rem", "1000, 300", "/ and %", func(g *guest) {
		rest := g.buf(8)
		g.equal(uint64(3), g.do(1000, 300, rest)&math.MaxUint32)
		g.equal(uint64(100), g.u64(rest))
	}},
	{"rational_best_approximation", "31415926/10^7, up to 1000", "355/113", func(g *guest) {
		n, d := g.buf(8), g.buf(8)
		g.do(31415926, 10000000, 1000, 1000, n, d)
		g.equal([]uint64{355, 113}, []uint64{g.u64(n), g.u64(d)})
	}},
	{"_bcd2bin", "0x59", "its digits", func(g *guest) { g.equal(59, int(g.do(0x59))) }},
	{"prandom_u32_state", "four words", "L'Ecuyer's LFSR113", func(g *guest) {
		s := []uint32{12345, 23456, 34567, 45678}
		state := g.bytes(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(
			binary.LittleEndian.AppendUint32(nil, s[0]), s[1]), s[2]), s[3]))
		step := func(s, a, b, c, d uint32) uint32 { return (s&c)<<d ^ ((s<<a)^s)>>b }
		for range 100 {
			s[0] = step(s[0], 6, 13, 4294967294, 18)
			s[1] = step(s[1], 2, 27, 4294967288, 2)
			s[2] = step(s[2], 13, 21, 4294967280, 7)
			s[3] = step(s[3], 3, 12, 4294967168, 13)
			g.equal(s[0]^s[1]^s[2]^s[3], uint32(g.do(state)))
		}
	}},
}

package services

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/stretchr/testify/require"
)

const nbits = 1000

// bitmaps are two of nbits.
func (g *guest) bitmaps() (a, b *big.Int, at, bt uint64) {
	load := func(off int) (*big.Int, uint64) {
		v := slices.Clone(g.data[off : off+128])
		for i := range v {
			v[i] |= byte(i)
		}
		at := g.bytes(v)
		slices.Reverse(v)
		n := new(big.Int).SetBytes(v)
		return n.And(n, mask(nbits)), at
	}
	a, at = load(0x100)
	b, bt = load(0x4000)
	return a, b, at, bt
}

func mask(n uint) *big.Int {
	one := big.NewInt(1)
	return one.Sub(new(big.Int).Lsh(one, n), big.NewInt(1))
}

func (g *guest) bigAt(at uint64) *big.Int {
	v := g.read(at, 128)
	slices.Reverse(v)
	n := new(big.Int).SetBytes(v)
	return n.And(n, mask(nbits))
}

// weight is how many bits are set.
func weight(n *big.Int) uint64 {
	w := 0
	for _, x := range n.Bits() {
		w += bits.OnesCount(uint(x))
	}
	return uint64(w)
}

// twoBitmaps checks dst = f(a, b).
func twoBitmaps(f func(z, x, y *big.Int) *big.Int) func(g *guest) {
	return func(g *guest) {
		a, b, at, bt := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, bt, nbits)
		g.equal(f(new(big.Int), a, b).String(), g.bigAt(dst).String())
	}
}

// nextBit checks a search from each bit on.
func nextBit(of func(a, b *big.Int) *big.Int, call func(g *guest, at, bt, from uint64) uint64) func(g *guest) {
	return func(g *guest) {
		a, b, at, bt := g.bitmaps()
		n := of(a, b)
		for _, from := range []int{0, 1, 63, 64, 65, 500, 998, 999} {
			want := from
			for want < nbits && n.Bit(want) == 0 {
				want++
			}
			g.equal(uint64(want), call(g, at, bt, uint64(from)), "from %d", from)
		}
	}
}

func hweight(n int) func(g *guest) {
	return func(g *guest) {
		for i := range 200 {
			v := binary.LittleEndian.Uint64(g.data[16*i:]) & (1<<n - 1)
			g.equal(bits.OnesCount64(v), int(g.do(v)&0xff))
		}
	}
}

var bitFuncs = []trial{
	{"_find_next_bit", "1000 bits", "math/big", nextBit(func(a, _ *big.Int) *big.Int { return a },
		func(g *guest, at, _, from uint64) uint64 { return g.do(at, nbits, from) })},
	{"_find_next_zero_bit", "1000 bits", "math/big", nextBit(func(a, _ *big.Int) *big.Int { return new(big.Int).Not(a) },
		func(g *guest, at, _, from uint64) uint64 { return g.do(at, nbits, from) })},
	{"_find_next_and_bit", "twice 1000 bits", "math/big", nextBit(func(a, b *big.Int) *big.Int { return new(big.Int).And(a, b) },
		func(g *guest, at, bt, from uint64) uint64 { return g.do(at, bt, nbits, from) })},
	{"_find_next_or_bit", "twice 1000 bits", "math/big", nextBit(func(a, b *big.Int) *big.Int { return new(big.Int).Or(a, b) },
		func(g *guest, at, bt, from uint64) uint64 { return g.do(at, bt, nbits, from) })},
	{"_find_next_andnot_bit", "twice 1000 bits", "math/big", nextBit(func(a, b *big.Int) *big.Int { return new(big.Int).AndNot(a, b) },
		func(g *guest, at, bt, from uint64) uint64 { return g.do(at, bt, nbits, from) })},
	{"_find_first_bit", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(uint64(a.TrailingZeroBits()), g.do(at, nbits))
	}},
	{"_find_first_zero_bit", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(uint64(new(big.Int).Not(a).TrailingZeroBits()), g.do(at, nbits))
	}},
	{"_find_last_bit", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(uint64(a.BitLen()-1), g.do(at, nbits))
	}},
	{"__bitmap_weight", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(weight(a), g.do(at, nbits)&math.MaxUint32)
	}},
	{"__bitmap_and", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).And)},
	{"__bitmap_or", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).Or)},
	{"__bitmap_xor", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).Xor)},
	{"__bitmap_andnot", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).AndNot)},
	{"__bitmap_equal", "twice 1000 bits", "math/big", func(g *guest) {
		_, _, at, bt := g.bitmaps()
		g.equal(uint64(1), g.do(at, at, nbits)&1)
		g.equal(uint64(0), g.do(at, bt, nbits)&1)
	}},
	{"__bitmap_shift_left", "1000 bits by 77", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, 77, nbits)
		want := new(big.Int).Lsh(a, 77)
		g.equal(want.And(want, mask(nbits)).String(), g.bigAt(dst).String())
	}},
	{"__bitmap_shift_right", "1000 bits by 77", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, 77, nbits)
		g.equal(new(big.Int).Rsh(a, 77).String(), g.bigAt(dst).String())
	}},
	{"__bitmap_set", "700 bits from 100 on", "math/big", func(g *guest) {
		at := g.buf(128)
		g.do(at, 100, 700)
		g.equal(new(big.Int).Lsh(mask(700), 100).String(), g.bigAt(at).String())
	}},
	{"__bitmap_clear", "700 bits from 100 on", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.do(at, 100, 700)
		g.equal(a.AndNot(a, new(big.Int).Lsh(mask(700), 100)).String(), g.bigAt(at).String())
	}},
	{"bitmap_parselist", "1-3,7,500-999", "math/big", func(g *guest) {
		at := g.buf(128)
		require.Zero(g.t, int32(g.do(g.string("1-3,7,500-999"), at, nbits)))
		want := new(big.Int).Lsh(mask(500), 500)
		g.equal(want.Or(want, big.NewInt(0b10001110)).String(), g.bigAt(at).String())
	}},
	{"__sw_hweight8", "8 bits", "math/bits", hweight(8)},
	{"__sw_hweight16", "16 bits", "math/bits", hweight(16)},
	{"__sw_hweight32", "32 bits", "math/bits", hweight(32)},
	{"__sw_hweight64", "64 bits", "math/bits", hweight(64)},
	{"memweight", "64 KiB", "math/bits", eachLength(
		func(b []byte) uint64 {
			n := 0
			for _, c := range b {
				n += bits.OnesCount8(c)
			}
			return uint64(n)
		},
		func(g *guest, p, n uint64) uint64 { return g.do(p, n) })},
}

package services

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/stretchr/testify/require"
)

// bigBits makes a number of the bits for which f holds.
func bigBits(n int, f func(i int) bool) *big.Int {
	z := new(big.Int)
	for i := range n {
		if f(i) {
			z.SetBit(z, i, 1)
		}
	}
	return z
}

// bitsAt is a bitmap of nbits that f makes, 200 bytes of room after it.
func (g *guest) bitsAt(z *big.Int) uint64 {
	b := z.Bytes()
	slices.Reverse(b)
	return g.bytes(append(b, make([]byte, 200)...))
}

// setBits are the places of the bits that are set.
func setBits(n *big.Int) (at []int) {
	for i := range n.BitLen() {
		if n.Bit(i) != 0 {
			at = append(at, i)
		}
	}
	return at
}

// remapped is bit i of old, as bitmap_remap maps it: the nth of old to the nth of fresh,
// and around.
func remapped(i int, old, fresh *big.Int) int {
	n, to := slices.Index(setBits(old), i), setBits(fresh)
	if n < 0 || len(to) == 0 {
		return i
	}
	return to[n%len(to)]
}

// smallMaps are two maps of 100 bits for functions that move bits.
func smallMaps() (old, fresh *big.Int) {
	return bigBits(100, func(i int) bool { return i%3 == 0 }), bigBits(100, func(i int) bool { return i%7 == 2 })
}

var bitmapFuncs = []trial{
	{"__bitmap_complement", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, nbits)
		g.equal(new(big.Int).AndNot(mask(nbits), a).String(), g.bigAt(dst).String())
	}},
	{"__bitmap_intersects", "twice 1000 bits, and a bit of none", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		g.equal(new(big.Int).And(a, b).Sign() != 0, g.do(at, bt, nbits)&1 != 0)
		g.equal(uint64(0), g.do(at, g.bitsAt(new(big.Int).Not(a).And(new(big.Int).Not(a), mask(nbits))), nbits)&1)
	}},
	{"__bitmap_subset", "a map and a part of it", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		part := g.bitsAt(new(big.Int).And(a, b))
		g.equal(uint64(1), g.do(part, at, nbits)&1)
		g.equal(uint64(1), g.do(part, bt, nbits)&1)
		g.equal(new(big.Int).AndNot(a, b).Sign() == 0, g.do(at, bt, nbits)&1 != 0)
	}},
	{"__bitmap_replace", "three times 1000 bits", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		m := bigBits(nbits, func(i int) bool { return i%5 < 2 })
		dst := g.buf(128)
		g.do(dst, at, bt, g.bitsAt(m), nbits)
		g.equal(new(big.Int).Or(new(big.Int).AndNot(a, m), new(big.Int).And(b, m)).String(), g.bigAt(dst).String())
	}},
	{"__bitmap_or_equal", "a union, and another one", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		union := new(big.Int).Or(a, b)
		g.equal(uint64(1), g.do(at, bt, g.bitsAt(union), nbits)&1)
		g.equal(uint64(0), g.do(at, bt, g.bitsAt(union.SetBit(union, 700, union.Bit(700)^1)), nbits)&1)
	}},
	{"__bitmap_weight_and", "twice 1000 bits", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		g.equal(weight(new(big.Int).And(a, b)), g.do(at, bt, nbits)&math.MaxUint32)
	}},
	{"__bitmap_weight_andnot", "twice 1000 bits", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		g.equal(weight(new(big.Int).AndNot(a, b)), g.do(at, bt, nbits)&math.MaxUint32)
	}},
	{"_find_first_and_bit", "twice 1000 bits", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		g.equal(uint64(new(big.Int).And(a, b).TrailingZeroBits()), g.do(at, bt, nbits))
	}},
	{"_find_first_and_and_bit", "three times 1000 bits", "math/big", func(g *guest) {
		a, b, at, bt := g.bitmaps()
		c := bigBits(nbits, func(i int) bool { return i > 300 })
		g.equal(uint64(new(big.Int).And(c, new(big.Int).And(a, b)).TrailingZeroBits()), g.do(at, bt, g.bitsAt(c), nbits))
	}},
	{"__find_nth_bit", "each of 1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		for n, i := range setBits(a) {
			g.equal(uint64(i), g.do(at, nbits, uint64(n)))
		}
		g.equal(true, g.do(at, nbits, weight(a)) >= nbits)
	}},
	{"bitmap_find_next_zero_area_off", "10 clear bits, aligned to 8", "math/big", func(g *guest) {
		a := bigBits(nbits, func(i int) bool { return i%13 == 0 || i < 500 })
		got, want := g.do(g.bitsAt(a), nbits, 0, 10, 7, 0), 0
		for free := false; !free; {
			free = true
			for i := want; i < want+10; i++ {
				free = free && a.Bit(i) == 0
			}
			if !free {
				want += 8
			}
		}
		g.equal(uint64(want), got)
	}},
	{"bitmap_cut", "30 of 300 bits, from 100 on", "math/big", func(g *guest) {
		a := bigBits(300, func(i int) bool { return i%7 < 3 })
		dst := g.buf(64)
		g.do(dst, g.bitsAt(a), 100, 30, 300)
		want := bigBits(270, func(i int) bool {
			if i >= 100 {
				i += 30
			}
			return a.Bit(i) != 0
		})
		got := g.bigAt(dst)
		g.equal(want.String(), got.And(got, mask(270)).String())
	}},
	{"bitmap_from_arr32", "70 bits", "math/big", func(g *guest) {
		dst := g.buf(128)
		g.do(dst, g.input, 70)
		g.equal(new(big.Int).And(g.bigAt(g.input), mask(70)).String(), g.bigAt(dst).String())
	}},
	{"bitmap_to_arr32", "70 bits", "math/big", func(g *guest) {
		dst := g.buf(128)
		g.do(dst, g.input, 70)
		g.equal(new(big.Int).And(g.bigAt(g.input), mask(70)).String(), g.bigAt(dst).String())
	}},
	{"bitmap_remap", "100 bits", "by their order", func(g *guest) {
		old, fresh := smallMaps()
		src, dst := bigBits(100, func(i int) bool { return i%2 == 0 }), g.buf(128)
		g.do(dst, g.bitsAt(src), g.bitsAt(old), g.bitsAt(fresh), 100)
		want := new(big.Int)
		for _, i := range setBits(src) {
			want.SetBit(want, remapped(i, old, fresh), 1)
		}
		g.equal(want.String(), g.bigAt(dst).String())
	}},
	{"bitmap_bitremap", "each of 100 bits", "by their order", func(g *guest) {
		old, fresh := smallMaps()
		for i := range 100 {
			g.equal(uint64(remapped(i, old, fresh)), g.do(uint64(i), g.bitsAt(old), g.bitsAt(fresh), 100)&math.MaxUint32)
		}
	}},
	{"bitmap_onto", "15 bits onto 34", "by their order", func(g *guest) {
		relmap, _ := smallMaps()
		orig, dst := bigBits(30, func(i int) bool { return i%2 == 1 }), g.buf(128)
		g.do(dst, g.bitsAt(orig), g.bitsAt(relmap), 100)
		want, at := new(big.Int), setBits(relmap)
		for _, i := range setBits(orig) {
			want.SetBit(want, at[i], 1)
		}
		g.equal(want.String(), g.bigAt(dst).String())
	}},
	{"bitmap_fold", "100 bits to 17", "the remainders", func(g *guest) {
		_, orig := smallMaps()
		dst := g.buf(128)
		g.do(dst, g.bitsAt(orig), 17, 100)
		want := new(big.Int)
		for _, i := range setBits(orig) {
			want.SetBit(want, i%17, 1)
		}
		g.equal(want.String(), g.bigAt(dst).String())
	}},
	{"bitmap_parse", "hexadecimal words", "math/big", func(g *guest) {
		const s = "1,deadbeef,00000000,12345678"
		dst := g.buf(128)
		g.equal(uint32(0), uint32(g.do(g.string(s), uint64(len(s)), dst, 100)))
		want, ok := new(big.Int).SetString("1deadbeef0000000012345678", 16)
		require.True(g.t, ok)
		g.equal(want.String(), g.bigAt(dst).String())
	}},
	{"bitmap_print_to_pagebuf", "100 bits as ranges", "fmt.Sprint", func(g *guest) {
		page, err := g.Heap.AllocAligned("page", 4096, 4096)
		require.NoError(g.t, err)
		n := g.do(1, page, g.bitsAt(bigBits(100, func(i int) bool { return i >= 3 && i <= 9 || i == 77 })), 100)
		want := fmt.Sprintf("%d-%d,%d\n", 3, 9, 77)
		g.equal(len(want), int(n))
		g.equal(want, g.text(page))
	}},
	{"bitmap_alloc", "100 bits", "it is freed", func(g *guest) {
		bits := g.do(100, gfpKernel)
		g.equal(uint64(16), g.of("ksize", bits))
		g.of("bitmap_free", bits)
	}},
	{"bitmap_free", "100 bits", "they are no more", func(g *guest) {
		bits := g.of("bitmap_zalloc", 100, gfpKernel)
		g.do(bits)
		_, err := g.try("ksize", bits)
		require.Error(g.t, err)
	}},
}

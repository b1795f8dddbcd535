package services

import (
	"math/big"
	"math/rand/v2"

	"github.com/stretchr/testify/require"
)

// mpi has the kernel read a number.
func (g *guest) mpi(n *big.Int) uint64 {
	g.t.Helper()
	b := n.Bytes()
	m := g.of("mpi_read_raw_data", g.bytes(b), uint64(len(b)))
	require.NotZero(g.t, m)
	return m
}

// number is what a number of the kernel's is.
func (g *guest) number(m uint64) *big.Int {
	g.t.Helper()
	size, sign := g.words([]uint64{0}), g.words([]uint64{0})
	b := g.of("mpi_get_buffer", m, size, sign)
	require.NotZero(g.t, b)
	n := new(big.Int).SetBytes(g.read(b, int(uint32(g.u64(size)))))
	if uint32(g.u64(sign)) != 0 {
		n.Neg(n)
	}
	g.of("kfree", b)
	return n
}

// bigs are numbers of up to 2000 bits, the last one odd and not the smallest.
func bigs() []*big.Int {
	r := rand.New(rand.NewPCG(17, 18))
	all := []*big.Int{big.NewInt(1), big.NewInt(255), new(big.Int).SetUint64(1<<64 - 1), new(big.Int).Lsh(big.NewInt(1), 128)}
	for _, bits := range []int{64, 100, 500, 1000} {
		n := new(big.Int)
		for range bits/64 + 1 {
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(r.Uint64()))
		}
		all = append(all, n.SetBit(n, 0, 1))
	}
	return all
}

// ofTwo compares an operation w = f(u, v) of all pairs.
func ofTwo(want func(z, u, v *big.Int) *big.Int) func(g *guest) {
	return func(g *guest) {
		for _, u := range bigs() {
			for _, v := range bigs() {
				a, b, w := g.mpi(u), g.mpi(v), g.of("mpi_alloc", 0)
				g.equal(uint32(0), uint32(g.do(w, a, b)))
				g.equal(want(new(big.Int), u, v).String(), g.number(w).String())
				for _, m := range []uint64{a, b, w} {
					g.of("mpi_free", m)
				}
			}
		}
	}
}

// modulo compares an operation w = f(u, v) mod m, for numbers below m.
func modulo(want func(z, u, v *big.Int) *big.Int) func(g *guest) {
	return func(g *guest) {
		all := bigs()
		mod := all[len(all)-1]
		for _, u := range all[:len(all)-1] {
			for _, v := range all[:len(all)-1] {
				a, b, m, w := g.mpi(u), g.mpi(v), g.mpi(mod), g.of("mpi_alloc", 0)
				g.do(w, a, b, m)
				z := want(new(big.Int), u, v)
				g.equal(z.Mod(z, mod).String(), new(big.Int).Mod(g.number(w), mod).String())
			}
		}
	}
}

var mpis = []trial{
	{"mpi_read_raw_data", "8 numbers", "math/big", mpiReads},
	{"mpi_get_buffer", "8 numbers", "math/big", mpiReads},
	{"mpi_get_nbits", "8 numbers", "math/big", mpiReads},
	{"mpi_test_bit", "8 numbers", "math/big", mpiReads},
	{"mpi_copy", "8 numbers", "math/big", mpiReads},
	{"mpi_free", "8 numbers", "nothing is left", mpiReads},
	{"mpi_alloc", "no limbs, for a product", "math/big", func(g *guest) {
		w := g.do(0)
		g.equal(uint32(0), uint32(g.of("mpi_mul", w, g.mpi(big.NewInt(6)), g.mpi(big.NewInt(7)))))
		g.equal("42", g.number(w).String())
	}},
	{"mpi_add", "64 pairs", "math/big", ofTwo((*big.Int).Add)},
	{"mpi_sub", "64 pairs", "math/big", ofTwo((*big.Int).Sub)},
	{"mpi_mul", "64 pairs", "math/big", ofTwo((*big.Int).Mul)},
	{"mpi_mod", "64 pairs", "math/big", ofTwo((*big.Int).Mod)},
	{"mpi_addm", "49 pairs", "math/big", modulo((*big.Int).Add)},
	{"mpi_subm", "49 pairs", "math/big", modulo((*big.Int).Sub)},
	{"mpi_mulm", "49 pairs", "math/big", modulo((*big.Int).Mul)},
	{"mpi_powm", "16 numbers modulo one of 1024 bits", "math/big", func(g *guest) {
		all := bigs()
		mod := all[len(all)-1]
		for _, base := range all[2:6] {
			for _, exp := range all[:4] {
				w := g.of("mpi_alloc", 0)
				g.equal(uint32(0), uint32(g.do(w, g.mpi(base), g.mpi(exp), g.mpi(mod))))
				g.equal(new(big.Int).Exp(base, exp, mod).String(), g.number(w).String())
			}
		}
	}},
	{"mpi_cmp", "64 pairs", "math/big", func(g *guest) {
		for _, u := range bigs() {
			for _, v := range bigs() {
				g.equal(int64(u.Cmp(v)), sign(int32(g.do(g.mpi(u), g.mpi(v)))))
			}
		}
	}},
	{"mpi_cmp_ui", "8 numbers and 255", "math/big", func(g *guest) {
		for _, u := range bigs() {
			g.equal(int64(u.Cmp(big.NewInt(255))), sign(int32(g.do(g.mpi(u), 255))))
		}
	}},
	{"mpi_sub_ui", "8 numbers less 200", "math/big", func(g *guest) {
		for _, u := range bigs() {
			w := g.of("mpi_alloc", 0)
			g.equal(uint32(0), uint32(g.do(w, g.mpi(u), 200)))
			g.equal(new(big.Int).Sub(u, big.NewInt(200)).String(), g.number(w).String())
		}
	}},
	{"mpi_rshift", "8 numbers by up to 200", "math/big", func(g *guest) {
		for _, u := range bigs() {
			for _, n := range []uint64{0, 1, 7, 63, 64, 65, 200} {
				w := g.of("mpi_alloc", 0)
				g.do(w, g.mpi(u), n)
				g.equal(new(big.Int).Rsh(u, uint(n)).String(), g.number(w).String(), n)
			}
		}
	}},
}

func mpiReads(g *guest) {
	for _, n := range bigs() {
		m := g.mpi(n)
		g.equal(n.String(), g.number(m).String())
		g.equal(uint64(n.BitLen()), g.of("mpi_get_nbits", m)&0xffff_ffff)
		for bit := range uint64(n.BitLen() + 70) {
			g.equal(uint64(n.Bit(int(bit))), g.of("mpi_test_bit", m, bit)&0xffff_ffff)
		}
		dup := g.of("mpi_copy", m)
		live := len(g.objects.live)
		g.of("mpi_free", m)
		g.equal(live-2, len(g.objects.live), "the number and its limbs")
		g.equal(n.String(), g.number(dup).String())
	}
}

package services

import (
	"math"
	"math/rand/v2"

	"github.com/stretchr/testify/require"
)

// mapleSize is how many indexes the model of a maple tree has.
const mapleSize = 3000

// maple is a maple tree, and what is in it.
type maple struct {
	*guest
	tree uint64
	want [mapleSize]uint64
}

// maple makes a tree of ranges, stored at random and over one another.
func (g *guest) maple() *maple {
	m := &maple{guest: g, tree: g.xarray(1)} // MT_FLAGS_ALLOC_RANGE
	r := rand.New(rand.NewPCG(5, 6))
	for i := range uint64(150) {
		first := r.Uint64() % mapleSize
		last := min(first+r.Uint64()%20, mapleSize-1)
		require.Zero(g.t, g.of("mtree_store_range", m.tree, first, last, entryOf(i), gfpKernel))
		m.set(first, last, entryOf(i))
	}
	return m
}

func (m *maple) set(first, last, entry uint64) {
	for i := first; i <= last; i++ {
		m.want[i] = entry
	}
}

// same compares all that is there.
func (m *maple) same() {
	m.t.Helper()
	for i, want := range m.want {
		if got := m.of("mtree_load", m.tree, uint64(i)); got != want {
			m.equal(want, got, i)
		}
	}
}

// next is the first entry from an index on, and the last index that it is at without
// another one between.
func (m *maple) next(from uint64) (entry, last uint64) {
	for i := from; i < mapleSize; i++ {
		if m.want[i] != 0 {
			for last = i; last+1 < mapleSize && m.want[last+1] == m.want[i]; last++ {
			}
			return m.want[i], last
		}
	}
	return 0, 0
}

func (m *maple) destroy() {
	m.of("mtree_destroy", m.tree)
	m.equal(uint64(0), m.u64(m.tree+8))
}

func mapleStores(g *guest) {
	m := g.maple()
	m.same()
	m.destroy()
}

var maples = []trial{
	{"mtree_store_range", "150 ranges", "a Go array", mapleStores},
	{"mtree_load", "3000 indexes", "a Go array", mapleStores},
	{"mtree_destroy", "about 100 ranges", "it is empty", mapleStores},
	{"mtree_store", "200 indexes", "a Go array", func(g *guest) {
		m := g.maple()
		for i := range uint64(200) {
			require.Zero(g.t, g.do(m.tree, i*11, entryOf(i+1000), gfpKernel))
			m.set(i*11, i*11, entryOf(i+1000))
		}
		m.same()
		m.destroy()
	}},
	{"mtree_insert", "every 5th index", "EEXIST, a Go array", func(g *guest) {
		m := g.maple()
		for i := uint64(0); i < mapleSize; i += 5 {
			want := uint32(0)
			if m.want[i] != 0 {
				want = minus(eexist)
			} else {
				m.want[i] = entryOf(i + 5000)
			}
			g.equal(want, uint32(g.do(m.tree, i, entryOf(i+5000), gfpKernel)))
		}
		m.same()
		m.destroy()
	}},
	{"mtree_insert_range", "100 ranges of 7", "EEXIST, a Go array", func(g *guest) {
		m := g.maple()
		for first := uint64(0); first+7 < mapleSize; first += 30 {
			free := true
			for i := first; i < first+7; i++ {
				free = free && m.want[i] == 0
			}
			result := uint32(g.do(m.tree, first, first+6, entryOf(first+9000), gfpKernel))
			g.equal(free, result == 0)
			if free {
				m.set(first, first+6, entryOf(first+9000))
			} else {
				g.equal(minus(eexist), result)
			}
		}
		m.same()
		m.destroy()
	}},
	{"mtree_erase", "every 17th index", "a Go array", func(g *guest) {
		m := g.maple()
		for i := uint64(0); i < mapleSize; i += 17 {
			entry := m.want[i]
			g.equal(entry, g.do(m.tree, i))
			if entry == 0 {
				continue
			}
			for j := i; j < mapleSize && m.want[j] == entry; j++ { // the whole range
				m.want[j] = 0
			}
			for j := i - 1; j < i && m.want[j] == entry; j-- {
				m.want[j] = 0
			}
		}
		m.same()
		m.destroy()
	}},
	{"mt_find", "from the start to the end", "a Go array", func(g *guest) {
		m := g.maple()
		at, from := g.words([]uint64{0}), uint64(0)
		for {
			want, last := m.next(from)
			got := g.do(m.tree, at, math.MaxUint64)
			g.equal(want, got)
			if want == 0 || got != want {
				break
			}
			from = last + 1
			g.equal(from, g.u64(at))
		}
		m.destroy()
	}},
	{"mt_next", "200 indexes", "a Go array", func(g *guest) {
		m := g.maple()
		for i := uint64(3); i < mapleSize; i += 15 {
			after := i + 1
			if m.want[i] != 0 { // the range that the index is in is not the next one
				_, last := m.next(i)
				after = last + 1
			}
			want, _ := m.next(after)
			g.equal(want, g.do(m.tree, i, math.MaxUint64), i)
		}
		m.destroy()
	}},
	{"mt_prev", "200 indexes", "a Go array", func(g *guest) {
		m := g.maple()
		for i := uint64(3); i < mapleSize; i += 15 {
			j := i
			for j > 0 && m.want[i] != 0 && m.want[j-1] == m.want[i] {
				j--
			}
			want := uint64(0)
			for j > 0 && want == 0 {
				j--
				want = m.want[j]
			}
			g.equal(want, g.do(m.tree, i, 0), i)
		}
		m.destroy()
	}},
	{"mtree_alloc_range", "100 ranges of 1 to 10", "the lowest gap", func(g *guest) {
		m := g.maple()
		at := g.words([]uint64{0})
		for i := range uint64(100) {
			size := 1 + i%10
			require.Zero(g.t, g.do(m.tree, at, entryOf(i+20000), size, 0, mapleSize-1, gfpKernel))
			first := uint64(0)
			for run := uint64(0); run < size; first++ {
				if run++; m.want[first] != 0 {
					run = 0
				}
			}
			first -= size
			g.equal(first, g.u64(at))
			m.set(first, first+size-1, entryOf(i+20000))
		}
		m.same()
		m.destroy()
	}},
	{"mtree_dup", "about 100 ranges", "the original", func(g *guest) {
		m := g.maple()
		dup := g.xarray(1)
		require.Zero(g.t, g.do(m.tree, dup, gfpKernel))
		m.destroy()
		m.tree = dup
		m.same()
		m.destroy()
	}},
}

package services

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/stretchr/testify/require"
)

// Of include/linux/xarray.h.
const (
	xaPresent = 8 // XA_PRESENT
	ebusy     = 16
	eexist    = 17
)

// minus is -n as an int that a function returned.
func minus(n uint64) uint32 { return uint32(-n) }

// xarray makes an empty struct xarray, which a radix_tree_root is too.
func (g *guest) xarray(flags uint32) uint64 {
	b := make([]byte, 16)
	binary.LittleEndian.PutUint32(b[4:], flags)
	return g.bytes(b)
}

// allocating is XA_FLAGS_ALLOC, and IDR_RT_MARKER: it depends on how many gfp flags there
// are, and is read from an IDA of the kernel's.
func (g *guest) allocatingFlags() uint32 {
	return uint32(g.u64(g.symbol("unnamed_dev_ida"))>>32) &^ 1 // XA_FLAGS_LOCK_IRQ
}

// xaIndexes are small, at the edges of nodes, and large.
func xaIndexes() []uint64 {
	all := []uint64{0, 1, 62, 63, 64, 4095, 4096, 1 << 20, 1<<40 + 5, math.MaxUint64}
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		all = append(all, r.Uint64()>>(r.Uint64()%60))
	}
	return all
}

// entryOf is what is stored: a pointer is a multiple of 4.
func entryOf(index uint64) uint64 { return index<<4&math.MaxUint32 | 0x10_0000_0000_0008 }

// xaFilled makes an xarray that holds what a Go map does.
func (g *guest) xaFilled() (xa uint64, want map[uint64]uint64) {
	xa, want = g.xarray(0), make(map[uint64]uint64)
	for _, i := range xaIndexes() {
		g.equal(want[i], g.of("xa_store", xa, i, entryOf(i), gfpKernel), "index %#x", i)
		want[i] = entryOf(i)
	}
	return xa, want
}

// xaEmptied takes all away, and looks whether the nodes were freed.
func (g *guest) xaEmptied(xa uint64) {
	g.of("xa_destroy", xa)
	g.equal(uint64(0), g.u64(xa+8), "the root")
}

// xaWalk collects the indexes that xa_find and xa_find_after return.
func (g *guest) xaWalk(xa, filter uint64) (found []uint64) {
	at := g.words([]uint64{0})
	for e := g.of("xa_find", xa, at, math.MaxUint64, filter); e != 0; e = g.of("xa_find_after", xa, at, math.MaxUint64, filter) {
		g.equal(entryOf(g.u64(at)), e)
		found = append(found, g.u64(at))
	}
	return found
}

func xaLoads(g *guest) {
	xa, want := g.xaFilled()
	for _, i := range sortedKeys(want) {
		g.equal(want[i], g.of("xa_load", xa, i))
		_, next := want[i+1]
		g.equal(next, g.of("xa_load", xa, i+1) != 0)
	}
	g.xaEmptied(xa)
	for _, i := range sortedKeys(want) {
		g.equal(uint64(0), g.of("xa_load", xa, i), "destroyed")
	}
}

func xaFinds(g *guest) {
	xa, want := g.xaFilled()
	g.equal(sortedKeys(want), g.xaWalk(xa, xaPresent))
	g.xaEmptied(xa)
}

func xaMarks(g *guest) {
	xa, want := g.xaFilled()
	all := sortedKeys(want)
	marked := func(i uint64) bool { return i%3 == 0 }
	for _, i := range all {
		g.of("xa_set_mark", xa, i, 1)
	}
	for _, i := range all {
		if !marked(i) {
			g.of("xa_clear_mark", xa, i, 1)
		}
	}
	for _, i := range all {
		g.equal(marked(i), g.of("xa_get_mark", xa, i, 1)&1 != 0)
		g.equal(uint64(0), g.of("xa_get_mark", xa, i, 2)&1, "another mark")
	}
	g.equal(slices.DeleteFunc(slices.Clone(all), func(i uint64) bool { return !marked(i) }), g.xaWalk(xa, 1))
	g.xaEmptied(xa)
}

// lowestFree is the model of all that hand out numbers.
func lowestFree(used map[uint32]bool, from uint32) uint32 {
	for used[from] {
		from++
	}
	return from
}

func xaAllocs(g *guest) {
	xa, id, used := g.xarray(g.allocatingFlags()), g.words([]uint64{0}), make(map[uint32]bool)
	const limit = 1<<32*100 | 10000 // struct xa_limit: max, min
	for range 130 {
		require.Zero(g.t, g.of("__xa_alloc", xa, id, 8, limit, gfpKernel))
		got := uint32(g.u64(id))
		g.equal(lowestFree(used, 100), got)
		if used[got] = true; got%5 == 0 {
			g.equal(uint64(8), g.of("xa_erase", xa, uint64(got)))
			delete(used, got)
			g.of("xa_store", xa, uint64(got), 16, gfpKernel)
			used[got] = true
		}
	}
	g.equal(minus(ebusy), uint32(g.of("__xa_alloc", xa, id, 8, 1<<32*100|101, gfpKernel)), "all taken")
	g.xaEmptied(xa)
}

func radixTagged(g *guest) {
	root, tagged := g.xarray(0), []uint64{}
	for i := range uint64(200) {
		require.Zero(g.t, g.of("radix_tree_insert", root, i*7, entryOf(i*7)))
	}
	g.equal(false, uint32(g.of("radix_tree_tagged", root, 0)) != 0)
	for i := range uint64(200) {
		if i%9 == 4 {
			g.equal(entryOf(i*7), g.of("radix_tree_tag_set", root, i*7, 0))
			tagged = append(tagged, entryOf(i*7))
		}
	}
	g.of("radix_tree_tag_set", root, 0, 0)
	g.equal(entryOf(0), g.of("radix_tree_tag_clear", root, 0, 0))
	g.equal(true, uint32(g.of("radix_tree_tagged", root, 0)) != 0)
	out := g.buf(8 * 64)
	n := g.of("radix_tree_gang_lookup_tag", root, out, 0, 64, 0)
	g.equal(tagged, g.u64s(out, n))
	for i := range uint64(200) {
		g.equal(i%9 == 4, g.of("radix_tree_tag_get", root, i*7, 0)&1 != 0)
	}
	g.radixEmptied(root, 200, 7)
}

func (g *guest) radixEmptied(root uint64, n, step uint64) {
	for i := range n {
		g.of("radix_tree_delete", root, i*step)
	}
	g.equal(uint64(0), g.u64(root+8))
}

func (g *guest) u64s(addr, n uint64) []uint64 {
	list := []uint64{}
	for i := range n {
		list = append(list, g.u64(addr+8*i))
	}
	return list
}

func radixStores(g *guest) {
	root, want := g.xarray(0), []uint64{}
	for i := range uint64(200) {
		require.Zero(g.t, g.of("radix_tree_insert", root, i*i, entryOf(i)))
		g.equal(minus(eexist), uint32(g.of("radix_tree_insert", root, i*i, 8)))
		want = append(want, entryOf(i))
	}
	out := g.buf(8 * 200)
	g.equal(want[3:], g.u64s(out, g.of("radix_tree_gang_lookup", root, out, 5, 200)))
	for i := range uint64(200) {
		g.equal(entryOf(i), g.of("radix_tree_lookup", root, i*i))
		slot := g.of("radix_tree_lookup_slot", root, i*i)
		g.equal(entryOf(i), g.u64(slot))
		g.of("radix_tree_replace_slot", root, slot, entryOf(i+1))
		g.equal(uint64(0), g.of("radix_tree_delete_item", root, i*i, entryOf(i)))
		g.equal(entryOf(i+1), g.of("radix_tree_delete_item", root, i*i, entryOf(i+1)))
		g.equal(uint64(0), g.of("radix_tree_lookup", root, i*i))
	}
	g.equal(uint64(0), g.u64(root+8))
}

// idr makes an empty struct idr.
func (g *guest) idr() uint64 {
	return g.bytes(append(g.read(g.xarray(g.allocatingFlags()), 16), make([]byte, 8)...))
}

func idrAllocs(g *guest) {
	idr, used := g.idr(), make(map[uint32]bool)
	for range 200 {
		got := uint32(g.of("idr_alloc", idr, 8, 10, 0, gfpKernel))
		g.equal(lowestFree(used, 10), got)
		used[got] = true
		if got%3 == 0 {
			g.equal(uint64(8), g.of("idr_remove", idr, uint64(got)))
			delete(used, got)
			g.equal(uint64(0), g.of("idr_find", idr, uint64(got)))
			g.equal(got, uint32(g.of("idr_alloc", idr, 8, uint64(got), uint64(got+1), gfpKernel)))
			used[got] = true
		}
	}
	g.equal(minus(28), uint32(g.of("idr_alloc", idr, 8, 10, 11, gfpKernel)), "-ENOSPC")
	g.of("idr_destroy", idr)
	g.equal(uint64(0), g.u64(idr+8))
}

func idrFinds(g *guest) {
	idr, ids := g.idr(), []uint64{3, 4, 70, 5000}
	next := g.words([]uint64{0})
	for _, id := range ids {
		require.NoError(g.t, g.Mem.Store64(next, id))
		require.Zero(g.t, g.of("idr_alloc_u32", idr, entryOf(id), next, id, gfpKernel))
		g.equal(id, g.u64(next)&math.MaxUint32)
	}
	var walked, called []uint64
	require.NoError(g.t, g.Mem.Store64(next, 0))
	for e := g.of("idr_get_next", idr, next); e != 0; e = g.of("idr_get_next", idr, next) {
		walked = append(walked, g.u64(next))
		require.NoError(g.t, g.Mem.Store64(next, g.u64(next)+1))
	}
	g.equal(ids, walked)
	fn := g.gate(func(args [8]uint64) uint64 {
		g.equal([]uint64{entryOf(args[0]), 77}, args[1:3])
		called = append(called, args[0])
		return 0
	})
	require.Zero(g.t, g.of("idr_for_each", idr, fn, 77))
	g.equal(ids, called)
	for _, id := range ids {
		g.equal(entryOf(id), g.of("idr_find", idr, id))
		g.equal(entryOf(id), g.of("idr_replace", idr, 16, id))
		g.equal(uint64(16), g.of("idr_find", idr, id))
	}
	g.of("idr_destroy", idr)
}

func idaAllocs(g *guest) {
	ida, used := g.xarray(g.allocatingFlags()|1), make(map[uint32]bool)
	r := rand.New(rand.NewPCG(3, 4))
	for range 600 {
		min := uint32(r.Uint64() % 2000)
		got := uint32(g.of("ida_alloc_range", ida, uint64(min), math.MaxInt32, gfpKernel))
		g.equal(lowestFree(used, min), got)
		used[got] = true
		if free := lowestFree(used, min) - 1; r.Uint64()%2 == 0 && used[free] {
			g.of("ida_free", ida, uint64(free))
			delete(used, free)
		}
	}
	g.of("ida_destroy", ida)
	g.equal(uint64(0), g.u64(ida+8))
}

var xarrays = []trial{
	{"xa_store", "50 indexes up to 2^64-1", "a Go map", xaLoads},
	{"xa_load", "50 indexes and those after them", "a Go map", xaLoads},
	{"xa_destroy", "50 entries", "nothing is found", xaLoads},
	{"xa_find", "50 entries", "slices.Sorted", xaFinds},
	{"xa_find_after", "50 entries", "slices.Sorted", xaFinds},
	{"xa_set_mark", "50 entries", "those divisible by 3", xaMarks},
	{"xa_get_mark", "50 entries", "those divisible by 3", xaMarks},
	{"xa_clear_mark", "50 entries", "those divisible by 3", xaMarks},
	{"xa_erase", "50 entries, two at a time", "a Go map", func(g *guest) {
		xa, want := g.xaFilled()
		for _, i := range sortedKeys(want) {
			g.equal(want[i], g.do(xa, i))
			g.equal(uint64(0), g.do(xa, i))
			delete(want, i)
			g.equal(len(want), len(g.xaWalk(xa, xaPresent)))
		}
		g.equal(uint64(0), g.u64(xa+8), "empty")
	}},
	{"xa_extract", "50 entries from the 10th on", "slices.Sorted", func(g *guest) {
		xa, want := g.xaFilled()
		all := sortedKeys(want)[10:]
		out := g.buf(8 * 64)
		got := g.u64s(out, g.do(xa, out, all[0], math.MaxUint64, 64, xaPresent)&math.MaxUint32)
		for i := range all {
			all[i] = want[all[i]]
		}
		g.equal(all, got)
		g.xaEmptied(xa)
	}},
	{"xa_store_range", "1024 indexes", "each of them", func(g *guest) {
		xa := g.xarray(0)
		g.equal(uint64(0), g.do(xa, 1024, 2047, 8, gfpKernel))
		for _, i := range []uint64{1023, 1024, 1500, 2047, 2048} {
			g.equal(i >= 1024 && i < 2048, g.of("xa_load", xa, i) == 8, i)
		}
		g.xaEmptied(xa)
	}},
	{"__xa_insert", "an index twice", "EBUSY", func(g *guest) {
		xa := g.xarray(0)
		g.equal(uint32(0), uint32(g.do(xa, 1000, 8, gfpKernel)))
		g.equal(minus(ebusy), uint32(g.do(xa, 1000, 16, gfpKernel)))
		g.equal(uint64(8), g.of("xa_load", xa, 1000))
		g.xaEmptied(xa)
	}},
	{"__xa_cmpxchg", "right and wrong old values", "what it held", func(g *guest) {
		xa := g.xarray(0)
		g.of("xa_store", xa, 9, 8, gfpKernel)
		g.equal(uint64(8), g.do(xa, 9, 16, 24, gfpKernel))
		g.equal(uint64(8), g.do(xa, 9, 8, 24, gfpKernel))
		g.equal(uint64(24), g.of("xa_load", xa, 9))
		g.xaEmptied(xa)
	}},
	{"__xa_alloc", "130 times, from 100 on", "the lowest free number", xaAllocs},
	{"__xa_alloc_cyclic", "10 times of 4 numbers", "they go around", func(g *guest) {
		xa, id, next := g.xarray(g.allocatingFlags()), g.words([]uint64{0}), g.words([]uint64{0})
		for i := range uint32(10) {
			result := uint32(g.do(xa, id, 8, 1<<32*5|8, next, gfpKernel))
			g.equal(i > 0 && i%4 == 0, result == 1, "it began again")
			g.equal(5+i%4, uint32(g.u64(id)))
			g.of("xa_erase", xa, g.u64(id))
		}
		g.xaEmptied(xa)
	}},
	{"radix_tree_insert", "200 squares", "EEXIST, a Go slice", radixStores},
	{"radix_tree_lookup", "200 squares", "a Go slice", radixStores},
	{"radix_tree_lookup_slot", "200 squares", "a Go slice", radixStores},
	{"radix_tree_replace_slot", "200 squares", "a Go slice", radixStores},
	{"radix_tree_delete_item", "right and wrong items", "a Go slice", radixStores},
	{"radix_tree_gang_lookup", "200 squares from 5 on", "a Go slice", radixStores},
	{"radix_tree_tag_set", "every 9th", "those", radixTagged},
	{"radix_tree_tag_get", "every 9th", "those", radixTagged},
	{"radix_tree_tag_clear", "the first", "those", radixTagged},
	{"radix_tree_tagged", "before and after", "those", radixTagged},
	{"radix_tree_gang_lookup_tag", "every 9th", "those", radixTagged},
	{"radix_tree_delete", "200 items", "the tree is empty", radixTagged},
	{"idr_alloc", "200 times, from 10 on", "the lowest free number", idrAllocs},
	{"idr_remove", "every third", "the lowest free number", idrAllocs},
	{"idr_destroy", "200 numbers", "it is empty", idrAllocs},
	{"idr_alloc_u32", "4 numbers", "themselves", idrFinds},
	{"idr_find", "4 numbers", "what was stored", idrFinds},
	{"idr_replace", "4 numbers", "what was stored", idrFinds},
	{"idr_get_next", "4 numbers", "in their order", idrFinds},
	{"idr_for_each", "4 numbers", "in their order", idrFinds},
	{"idr_alloc_cyclic", "10 times of 4 numbers", "they go around", func(g *guest) {
		idr := g.idr()
		for i := range uint32(10) {
			got := uint32(g.do(idr, 8, 5, 9, gfpKernel))
			g.equal(5+i%4, got)
			g.of("idr_remove", idr, uint64(got))
		}
	}},
	{"ida_alloc_range", "600 times from random numbers on", "the lowest free number", idaAllocs},
	{"ida_free", "about 300 numbers", "the lowest free number", idaAllocs},
	{"ida_destroy", "300 numbers", "it is empty", idaAllocs},
}

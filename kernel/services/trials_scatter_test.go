package services

import (
	"bytes"
	"slices"

	"github.com/stretchr/testify/require"
)

// sgSize is the size of a struct scatterlist, and what it holds of memory
// (include/linux/scatterlist.h).
const (
	sgSize   = 32
	sgOffset = 8
	sgLength = 12
)

// scatter makes a scatterlist of three pieces in pages of their own, and what is in them.
func (g *guest) scatter() (sg uint64, want []byte) {
	sizes, offsets := []int{100, 4096, 37}, []uint64{50, 0, 4000}
	sg = g.buf(sgSize * len(sizes))
	g.of("sg_init_table", sg, uint64(len(sizes)))
	for i, n := range sizes {
		at := g.of("get_free_pages_noprof", gfpKernel, 0) + offsets[i]
		piece := g.data[5000*i : 5000*i+n]
		require.NoError(g.t, g.Mem.Write(at, piece))
		want = append(want, piece...)
		entry := sg + sgSize*uint64(i)
		page := g.linear.page(at-offsets[i], 4096)
		require.NoError(g.t, g.Mem.Store64(entry, g.u64(entry)|page))
		require.NoError(g.t, g.Mem.Store32(entry+sgOffset, uint32(offsets[i])))
		require.NoError(g.t, g.Mem.Store32(entry+sgLength, uint32(n)))
	}
	return sg, want
}

func (g *guest) gathered(sg uint64, n int) []byte {
	out := g.buf(n)
	g.equal(uint64(n), g.of("sg_copy_to_buffer", sg, 3, out, uint64(n)))
	return g.read(out, n)
}

func sgCopies(g *guest) {
	sg, want := g.scatter()
	g.equal(want, g.gathered(sg, len(want)))
	g.equal(uint64(200), g.of("sg_copy_from_buffer", sg, 3, g.input, 200))
	copy(want, g.data[:200])
	out := g.buf(5000)
	g.equal(uint64(len(want)-90), g.of("sg_pcopy_to_buffer", sg, 3, out, 5000, 90), "all that is left")
	g.equal(want[90:], g.read(out, len(want)-90))
	g.equal(uint64(300), g.of("sg_zero_buffer", sg, 3, 300, 60))
	copy(want[60:], make([]byte, 300))
	g.equal(true, bytes.Equal(want, g.gathered(sg, len(want))))
}

func sgEntries(g *guest) {
	sg, want := g.scatter()
	g.equal(uint32(3), uint32(g.of("sg_nents", sg)))
	g.equal(sg+2*sgSize, g.of("sg_last", sg, 3))
	g.equal(sg+sgSize, g.of("sg_next", sg))
	g.equal(uint64(0), g.of("sg_next", sg+2*sgSize))
	for i, n := range []int{100, 101, len(want)} {
		g.equal(uint32(i+1), uint32(g.of("sg_nents_for_len", sg, uint64(n))))
	}
	g.equal(minus(22), uint32(g.of("sg_nents_for_len", sg, uint64(len(want)+1))), "EINVAL")
}

// sgTable: 300 entries take three pages, chained.
func sgTable(g *guest) {
	live, table := len(g.objects.live), g.buf(16)
	require.Zero(g.t, uint32(g.of("sg_alloc_table", table, 300, gfpKernel)))
	n := 0
	for sg := g.u64(table); sg != 0; sg = g.of("sg_next", sg) {
		n++
	}
	g.equal(300, n)
	g.equal(live+3, len(g.objects.live))
	g.of("sg_free_table", table)
	g.equal(live, len(g.objects.live))
}

var scatterlists = slices.Concat(
	each("3 pieces of 3 pages", "copy", sgCopies, "sg_copy_to_buffer", "sg_copy_from_buffer", "sg_pcopy_to_buffer", "sg_zero_buffer"),
	each("3 entries", "their sizes", sgEntries, "sg_init_table", "sg_nents", "sg_nents_for_len", "sg_last", "sg_next"),
	each("300 entries", "how many there are", sgTable, "sg_alloc_table", "sg_free_table"),
)

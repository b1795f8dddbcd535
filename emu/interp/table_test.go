package interp

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInst_IsSmallAndFlat(t *testing.T) {
	assert.EqualValues(t, 16, unsafe.Sizeof(inst{}))
}

// Two rows that a word can both match would make their order matter.
func TestRows_DoNotOverlap(t *testing.T) {
	for i := range rows[:len(rows)-1] {
		a := &rows[i]
		assert.Zero(t, a.value&^a.mask, a.name)
		for j := range rows[:i] {
			b := &rows[j]
			common := a.mask & b.mask
			assert.NotEqual(t, a.value&common, b.value&common, "%s and %s", a.name, b.name)
		}
	}
}

func TestRows_AreComplete(t *testing.T) {
	names := map[string]bool{}
	for i := range rows {
		assert.NotNil(t, rows[i].exec, rows[i].name)
		assert.NotEmpty(t, rows[i].name)
		assert.False(t, names[rows[i].name], "%s twice", rows[i].name)
		names[rows[i].name] = true
	}
	last := rows[len(rows)-1]
	assert.Zero(t, last.mask, "the last row is for all that is left")
}

func TestRows_AreInTheirBuckets(t *testing.T) {
	for i := range rows {
		assert.Equal(t, i, lookupRow(rows[i].value|anyUnallocated(i)), rows[i].name)
	}
}

// anyUnallocated is a word of no other row, for the last.
func anyUnallocated(i int) uint32 {
	if i == len(rows)-1 {
		return 0x0000ffff
	}
	return 0
}

func TestOps_HaveNames(t *testing.T) {
	seen := map[string]bool{}
	for o := range numOps {
		name := o.String()
		require.NotEmpty(t, name, uint16(o))
		assert.False(t, seen[name], name)
		seen[name] = true
	}
	assert.Equal(t, "op(65535)", op(65535).String())
}

func TestTranslate_Forms(t *testing.T) {
	const pc = 0xffff_8000_8000_0010
	for _, c := range []struct {
		word uint32
		want inst
	}{
		{0xd503201f, inst{op: opNop}},
		{0xd503245f, inst{op: opNop}}, // bti c
		{0xf9800020, inst{op: opNop}}, // prfm
		{0x910003fd, inst{op: opMov64, rd: 29, rn: slotSP}},
		{0xd10043ff, inst{op: opAddImm64, rd: slotSP, rn: slotSP, imm: ^uint64(15)}},
		{0xeb01001f, inst{op: opSubs64, rd: slotSink, rn: 0, rm: 1}},
		{0xaa1e03e9, inst{op: opMov64, rd: 9, rn: 30, rm: 30}},
		{0xd2800020, inst{op: opMovImm, rd: 0, imm: 1}},
		{0x12800000, inst{op: opMovImm, rd: 0, imm: 0xffffffff}},
		{0xb0000000, inst{op: opMovImm, rd: 0, imm: 0xffff_8000_8000_1000}}, // adrp
		{0xd2400000 ^ 0x00400000, inst{op: opEorImm64, rd: 0, rn: 0, imm: 0x0000000100000001}},
		{0x53187c20, inst{op: opUbfx, rd: 0, rn: 1, ra: 24, imm: 0xff}},
		{0x53185c20, inst{op: opLsl32, rd: 0, rn: 1, ra: 8, imm: 0xffffff}},
		{0xa9bf7bfd, inst{op: opStpW64, rd: 29, rm: 30, rn: slotSP, imm: 0xfffffff0_fffffff0}},
		{0xa8c17bfd, inst{op: opLdpW64, rd: 29, rm: 30, rn: slotSP, imm: 16 << 32}},
		{0xf940001f, inst{op: opLdr64, rd: slotSink, rn: 0}},
		{0xf900001f, inst{op: opStr64, rd: slotZR, rn: 0}},
		{0x14000002, inst{op: opB, imm: 2 * 16}},
		{0x94000400, inst{op: opBlFar, imm: pc + 0x1000}},
		{0x54fffff0 | 1, inst{}}, // bc.ne: no such instruction here
		{0xd65f03c0, inst{op: opBr, rn: 30}},
		{0xd5384101, inst{op: opMov64, rd: 1, rn: slotSPEL0}},
	} {
		if c.want.op == opDecode {
			assert.Equal(t, opExecEnd, translate(c.word, pc).op, "%#08x", c.word)
			continue
		}
		assert.Equal(t, c.want, translate(c.word, pc), "%#08x", c.word)
	}
}

// What has no form of its own must name the row that executes it.
func TestTranslate_FallsBackOnTheRow(t *testing.T) {
	for _, w := range []uint32{0xd5033fdf, 0xc87f0420, 0x48207c22, 0x9ac10800, 0x1e204000, 0} {
		in := translate(w, 0)
		assert.Contains(t, []op{opExec, opExecEnd}, in.op)
		assert.EqualValues(t, lookupRow(w), in.imm)
	}
}

func BenchmarkDecodePage(b *testing.B) {
	c := newTestCPU(b)
	words := make([]uint32, pageWords)
	for i := range words {
		words[i] = []uint32{0xa9bf7bfd, 0x910003fd, 0xf9400001, 0x8b020020, 0xf100043f, 0x54000041, 0xd503201f, 0x52800020}[i%8]
	}
	c.put(b, agreeText, words...)
	p := c.fetch(agreeText)
	for b.Loop() {
		p.drop()
		for i := 0; i < pageWords; i++ {
			if p.ops[i].op == opDecode {
				c.decode(p, &p.ops[i])
			}
		}
	}
}

func BenchmarkNewCPU(b *testing.B) {
	c := newTestCPU(b)
	for b.Loop() {
		newCPU(c.engine, 0)
	}
}

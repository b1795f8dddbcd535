package interp

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

const (
	agreeText = 0xffff_8000_8000_0000
	agreeData = 0xffff_8000_9000_0000
	agreeSize = 4 * emu.PageSize
)

// testCPU is a CPU with two pages of text and four of data.
type testCPU struct {
	*CPU
	mem  *emu.Memory
	data []byte
}

func newTestCPU(tb testing.TB) *testCPU {
	tb.Helper()
	mem := emu.NewMemory()
	_, err := mem.Map("text", agreeText, 2*emu.PageSize, emu.Read|emu.Exec)
	require.NoError(tb, err)
	data, err := mem.Map("data", agreeData, agreeSize, emu.Read|emu.Write)
	require.NoError(tb, err)
	e, err := New(mem)
	require.NoError(tb, err)
	cpu, err := e.NewCPU(0)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.NoError(tb, e.Close())
		require.NoError(tb, mem.Close())
	})
	return &testCPU{cpu.(*CPU), mem, data.Host()}
}

// put places words in the text.
func (c *testCPU) put(tb testing.TB, addr uint64, words ...uint32) {
	tb.Helper()
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	require.NoError(tb, c.mem.Write(addr, b))
	c.mem.SyncText(addr, uint64(len(b)))
}

// wordShapes are words with the bits that may be anything. Registers come from a
// few, so that one instruction uses what the other made.
var wordShapes = []struct{ value, free uint32 }{
	{0x52800000, 0xe07fffe0 &^ 0x60000000}, {0xd2800000, 0x007fffe0}, {0xf2800000, 0x007fffe0}, {0x72800000, 0x003fffe0}, {0x92800000, 0x007fffe0}, // mov
	{0x10000000, 0xe0ffffe0},                                                     // adr, adrp
	{0x11000000, 0xe07ffc00}, {0x11000000, 0xe0000400}, {0x11000000, 0x80000000}, // add, sub immediate
	{0x12000000, 0xe07ffc00}, {0x13000000, 0xe07ffc00}, {0x13800000, 0x8040fc00}, // logic, bit fields, extr
	{0x0a000000, 0xe0e0fc00}, {0x0a000000, 0xe0000000}, {0x2a0003e0, 0x80000000}, {0x4ac00000, 0x00007c00},
	{0x0b000000, 0xe0c0fc00}, {0x0b000000, 0xe0000000}, {0x0b200000, 0xe000fc00},
	{0x1a800000, 0xc000f400}, {0x3a400000, 0xc000f80f}, {0x1b000000, 0x80a08000}, {0x1ac00000, 0x80003c00}, {0x5ac00000, 0x80001c00},
	{0x39000000, 0xc0c01c00}, {0x38000000, 0xc0ddfc00}, {0x38200800, 0xc0c0f000}, {0x18000000, 0xc00007e0},
	{0x28000000, 0xc1c18000}, {0xa9000000, 0x00418000}, {0xa8800000, 0x01418000}, {0xa9000000, 0x00010000}, {0xa9400000, 0x00010000},
	{0xf9400000, 0x00000400}, {0x92400000, 0x00007c00},
	{0x14000000, 0x80000007}, {0x34000000, 0x81000060}, {0x36000000, 0x81f80060}, {0x54000000, 0x0000006f}, {0x5400000a, 0x00000061},
	{0xd503201f, 0x00000fe0}, {0xd61f0000, 0x00600000}, {0xd5384100, 0}, {0xd5184100, 0}, {0xd53bd040, 0}, {0xd51bd040, 0}, {0xd53b4200, 0}, {0xd53be040, 0},
	{0x13800000, 0x8000fc00}, {0x4ac00400, 0x00007800}, {0x53185c00, 0}, {0xc8dffc00, 0x40000000}, {0xc89ffc00, 0x40000000}, {0x88dffc00, 0}, {0x889ffc00, 0}, {0x19000000, 0xc0dff000}, {0xb8bfc000, 0x40000000},
	{0x08dffc00, 0x40000000}, {0x089ffc00, 0x40000000}, {0xd503305f, 0x00000f00}, {0xd503309f, 0x00000f00}, {0xd50330bf, 0x00000f00}, // ordered, barriers
	{0x085f7c00, 0xc0008000}, {0x08007c00, 0xc01f8000}, {0x08a07c00, 0xc05f8000}, {0x38200000, 0xc0df7000}, {0x38208000, 0xc0df0000}, {0x08207c00, 0x405f8000}, // exclusives, atomics
}

var agreeRegs = []uint32{0, 1, 2, 3, 30, 31}

func randomWord(r *rand.Rand) uint32 {
	s := wordShapes[r.IntN(len(wordShapes))]
	w := s.value | r.Uint32()&s.free
	pick := func() uint32 { return agreeRegs[r.IntN(len(agreeRegs))] }
	if s.value>>26&31 == 5 || s.value == 0xd503201f {
		return w
	}
	w = w&^31 | pick()
	if s.value>>24 == 0x54 {
		w = s.value | r.Uint32()&s.free
	}
	if s.free&0x3e0 == 0 && s.value>>20 != 0xd53 && s.value>>20 != 0xd51 && s.value&0x3e0 == 0 {
		w |= pick() << 5
	}
	if s.value>>21&0x7f8 != 0x6b0 && s.free&0x7c00 == 0 && s.value>>25&5 == 4 {
		w |= pick() << 10 // pairs
	}
	if s.free&0x1f0000 == 0 && (s.value>>25&7 == 5 || s.value&0x3b200c00 == 0x38200800 || s.value&0x1f800000 == 0x13800000) {
		w |= pick() << 16
	}
	if s.value&0x1f000000 == 0x1b000000 {
		w = w&^0x7c00 | pick()<<10
	}
	if s.value>>24 == 0xd6 { // br, blr, ret without operands
		w = w&^31 | 0x1f0000
	}
	return w
}

// What the loop does, pairs of instructions included, is what the reference
// does one instruction at a time.
func TestLoop_AgreesWithReference(t *testing.T) {
	c := newTestCPU(t)
	r := rand.New(rand.NewPCG(11, 12))
	seen := map[op]bool{}
	first, second := make([]byte, agreeSize), make([]byte, agreeSize)
	supers := superRuns(t, readRuns(t))
	n := 100000
	if testing.Short() || raceFactor > 1 {
		n /= 10
	}
	for i := range n {
		start := agreeText + 4*r.Uint64N(8)
		if r.IntN(8) == 0 {
			start = agreeText + emu.PageSize - 12
		}
		var words []uint32
		for range 4 {
			words = append(words, randomWord(r))
		}
		switch i % 4 {
		case 0:
			s := &supers[i/4%len(supers)]
			start, words = s.pc, append(slices.Clone(s.words), words[:r.IntN(3)]...)
		case 2:
			if r.IntN(2) == 0 {
				words = append(randomAtomic(r), words[:2]...)
			}
		case 1: // two or three registers' pairs from one base
			for j := range words {
				words[j] = words[0]&^0x7c1f | words[j]&0x7c1f
				if words[0]>>24 == 0xa9 {
					words[j] += uint32(j) * 2 << 15
				}
			}
		}
		c.put(t, agreeText, make([]uint32, 16)...)
		c.put(t, start, append(words, 0xd65f03c0)...)
		before := randomRegs(r, start)
		fill(r, first)
		budget := 1 + r.Uint64N(40)

		copy(c.data, first)
		*c.Regs() = before
		c.count, c.head = 0, 0
		c.monitor.clear()
		c.sys.reset(0) // real code writes DAIF and the like
		exit, err := c.Run(context.Background(), budget)
		after, ran := *c.Regs(), c.Count()
		recent := c.Recent(int(ran))
		copy(second, c.data)
		for _, p := range c.pages {
			for k := range p.ops {
				seen[p.ops[k].op] = true
			}
		}

		copy(c.data, first)
		*c.Regs() = before
		c.count, c.head = 0, 0
		c.monitor.clear()
		c.sys.reset(0) // real code writes DAIF and the like
		var stepped emu.Exit
		var stepErr error
		var pcs []uint64
		for c.Count() < budget {
			pcs = append(pcs, c.Regs().PC)
			if stepped, stepErr = c.Step(); stepErr != nil || stepped.Reason != emu.ExitBudget {
				pcs = pcs[:len(pcs)-1]
				break
			}
		}
		if stepErr == nil && stepped.Reason == emu.ExitBudget && emu.InGates(c.Regs().PC) {
			stepped.Reason = emu.ExitGate
		}
		ok := assert.Equal(t, stepErr, err) && assert.Equal(t, stepped.String(), exit.String()) &&
			assert.Equal(t, c.Count(), ran) && assert.True(t, *c.Regs() == after, "%v\n%v", *c.Regs(), after) &&
			assert.True(t, bytes.Equal(c.data, second), "memory")
		if ok && ran > 0 {
			ok = assert.Equal(t, pcs, recent)
		}
		for k := 0; !ok && k < len(words); k++ {
			t.Log(asm.Disassemble(words[k], start+4*uint64(k), nil))
		}
		require.True(t, ok, "program %d", i)
	}
	for o := range numOps {
		if n == 100000 {
			never := o == opFence && !fences || (o == opStlrb || o == opStlrh) && !tso
			assert.True(t, !never == seen[o] || o >= opSuper && !(tso && fences), "a program had %s", o)
		}
	}
}

// randomAtomic is a load, and an exclusive store or a compare and swap that mostly succeeds.
func randomAtomic(r *rand.Rand) []uint32 {
	pick := func() uint32 { return agreeRegs[r.IntN(len(agreeRegs))] }
	size, base, old := r.Uint32()>>30<<30, pick()<<5, pick()
	second := size | base | pick()
	if r.IntN(2) == 0 {
		return []uint32{0x085f7c00 | size | base | old, 0x08007c00 | second | pick()<<16} // LDXR, STXR
	}
	return []uint32{0x39400000 | size | base | old, 0x08a07c00 | second | old<<16} // LDR, CAS
}

func fill(r *rand.Rand, b []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
}

// randomRegs has addresses in most registers, some at the ends of pages and of
// the data, and corner values in the others.
func randomRegs(r *rand.Rand, pc uint64) emu.Regs {
	regs := emu.Regs{PC: pc, NZCV: r.Uint32() >> 28 << 28, SPEL0: r.Uint64(), TPIDREL0: r.Uint64()}
	corners := []uint64{0, 1, 1 << 31, 1<<31 - 1, 1<<32 - 1, 1 << 63, 1<<63 - 1, ^uint64(0), r.Uint64(), uint64(r.Uint32()), r.Uint64N(64)}
	addr := func() uint64 {
		a := agreeData + r.Uint64N(agreeSize/8)*8
		switch r.IntN(8) {
		case 0:
			a = agreeData + emu.PageSize*(1+r.Uint64N(4)) - r.Uint64N(32)
		case 1:
			a = agreeData + r.Uint64N(16)
		case 2:
			a += r.Uint64N(8)
		}
		return a
	}
	for i := range regs.X {
		regs.X[i] = corners[r.IntN(len(corners))]
		if r.IntN(3) != 0 {
			regs.X[i] = addr()
		}
	}
	regs.SP = addr()
	regs.X[30] = emu.ReturnGate
	if r.IntN(4) == 0 {
		regs.X[r.IntN(4)] = agreeText + 4*r.Uint64N(8)
	}
	return regs
}

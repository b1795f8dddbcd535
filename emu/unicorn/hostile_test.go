//go:build cgo

package unicorn

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/isa"
)

const (
	hostileText = 0xffff_8000_8000_0000
	hostileData = 0xffff_8000_9000_0000
	hostileSize = 1 << 20
)

// A hostile is a CPU that is given any word, and tried afterwards.
type hostile struct {
	testing.TB
	cpu  emu.CPU
	mem  *emu.Memory
	text []byte
	rand *rand.Rand
}

func newHostile(tb testing.TB, seed uint64) *hostile {
	h := &hostile{TB: tb, mem: emu.NewMemory(), rand: rand.New(rand.NewPCG(seed, 0))}
	text, err := h.mem.Map("text", hostileText, hostileSize, emu.Read|emu.Exec)
	require.NoError(tb, err)
	h.text = text.Host()
	_, err = h.mem.Map("data", hostileData, hostileSize, emu.Read|emu.Write)
	require.NoError(tb, err)
	engine, err := New(h.mem)
	require.NoError(tb, err)
	h.cpu, err = engine.NewCPU(0)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		assert.NoError(tb, engine.Close())
		assert.NoError(tb, h.mem.Close())
	})
	return h
}

// fill puts words into all text, drawn by next. Those that the library never
// sees come last, since running others beside them takes long.
func (h *hostile) fill(next func() uint32) {
	first, last := 0, len(h.text)
	for first < last {
		if w := next(); contained(w) {
			binary.LittleEndian.PutUint32(h.text[first:], w)
			first += 4
		} else {
			last -= 4
			binary.LittleEndian.PutUint32(h.text[last:], w)
		}
	}
	h.mem.SyncText(hostileText, hostileSize)
}

// each runs up to budget instructions from each of the first n words of text,
// with registers that point to data or hold what next gives.
func (h *hostile) each(n int, budget uint64, next func() uint64) {
	h.Helper()
	for off := range n {
		r := h.cpu.Regs()
		*r = emu.Regs{PC: hostileText + 4*uint64(off), SP: hostileData + hostileSize/2}
		for i := range r.X {
			r.X[i] = hostileData + hostileSize/2
		}
		for range 4 {
			r.X[h.rand.IntN(31)] = next()
		}
		pc, word := r.PC, binary.LittleEndian.Uint32(h.text[4*off:])
		exit, err := h.cpu.Run(context.Background(), budget)
		if err != nil {
			require.ErrorIs(h, err, errors.ErrUnsupported, "%#08x", word)
		}
		if class := isa.Classify(word); exit.PC == pc {
			require.Equal(h, class == isa.Unsupported, err != nil, "%#08x: %v", word, err)
			require.False(h, class == isa.Undefined && exit.Reason != emu.ExitUndefined, "%#08x: %v", word, exit)
		} else {
			require.True(h, class == isa.Executed, "%#08x", word)
		}
	}
	h.probe()
}

// probe tries that an address means what it meant, and that text cannot be
// written.
func (h *hostile) probe() {
	h.Helper()
	// str x0, [x1]; ldr x2, [x1]; mrs x3, currentel; mrs x4, spsel; str x0, [x5]; ret
	for i, w := range []uint32{0xf9000020, 0xf9400022, 0xd5384243, 0xd5384204, 0xf90000a0, 0xd65f03c0} {
		binary.LittleEndian.PutUint32(h.text[4*i:], w)
	}
	h.mem.SyncText(hostileText, 24)
	for value, to := range map[uint64]uint64{1: hostileText, 2: tablesAt, 3: tablesAt + emu.PageSize, 4: tablesAt + tablesSize, 5: framesAt} {
		r := h.cpu.Regs()
		*r = emu.Regs{PC: hostileText}
		r.X[0], r.X[1], r.X[5], r.X[30] = value, hostileData, to, emu.ReturnGate
		exit, err := h.cpu.Run(context.Background(), 100)
		require.NoError(h, err)
		require.Equal(h, emu.ExitFault, exit.Reason, exit)
		assert.Equal(h, to, exit.Fault.Addr)
		assert.Equal(h, []uint64{value, 4, 1}, r.X[2:5])
		r.PC += 4
		exit, err = h.cpu.Run(context.Background(), 100)
		require.NoError(h, err)
		assert.Equal(h, emu.ExitGate, exit.Reason, exit)
	}
}

// The words that the library cannot survive are few, and no list of them is
// complete: so a million random ones.
func TestRun_NoWordEndsTheProcess(t *testing.T) {
	rounds := 4 // of 2^18 words
	if testing.Short() || raceEnabled {
		rounds = 1
	}
	for round := range rounds {
		h := newHostile(t, uint64(round))
		h.fill(h.rand.Uint32)
		h.each(hostileSize/4, 1, h.rand.Uint64)
	}
}

// What is made of words where they stand among others.
func TestRun_NoBlockEndsTheProcess(t *testing.T) {
	h := newHostile(t, 0)
	for i := 0; i < len(h.text); i += 4 {
		binary.LittleEndian.PutUint32(h.text[i:], h.rand.Uint32())
	}
	h.mem.SyncText(hostileText, hostileSize)
	h.each(4096, 16, h.rand.Uint64)
}

// Random words seldom meet a system register: all of them, to read and to
// write, and all system instructions.
func TestRun_NoSystemRegisterEndsTheProcess(t *testing.T) {
	values := []uint64{^uint64(0), 0x1ff1, 0}
	if testing.Short() || raceEnabled {
		values = values[:1]
	}
	for _, value := range values {
		h := newHostile(t, value)
		word := uint32(0)
		h.fill(func() uint32 {
			word++
			return 0xd5000000 | word<<5&0x3fffe0 | word>>17*31 // from x0 to begin with, then xzr
		})
		h.each(1<<17, 1, func() uint64 { return value })
	}
}

func FuzzRun(f *testing.F) {
	f.Add([]byte{0x07, 0x3e, 0xd0, 0x6e, 0xeb, 0x49, 0xf8, 0x5e}, uint64(8))
	f.Add([]byte{0x40, 0x10, 0x18, 0xd5, 0x20, 0x00, 0x1f, 0xd6}, ^uint64(0)) // msr cpacr_el1, x0; br x1
	f.Fuzz(func(t *testing.T, code []byte, x0 uint64) {
		h := newHostile(t, 0)
		copy(h.text[64:], code)
		h.mem.SyncText(hostileText, hostileSize)
		r := h.cpu.Regs()
		r.PC, r.SP, r.X[0], r.X[1], r.X[30] = hostileText+64, hostileData+hostileSize/2, x0, hostileText+64, emu.ReturnGate
		if _, err := h.cpu.Run(context.Background(), 1000); err != nil {
			require.ErrorIs(t, err, errors.ErrUnsupported)
		}
		h.probe()
	})
}

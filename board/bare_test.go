package board

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/internal/errno"
)

// bare is a board with a megabyte of RAM and nothing in it.
func bare(t testing.TB, cpus int) *Machine {
	t.Helper()
	m := &Machine{mem: emu.NewMemory(), ram: make([]byte, 1<<20), page: emu.PageSize}
	m.mem.SetTranslation(m)
	m.uart.emit = func(string) {}
	m.gic = newGIC(cpus, m.level)
	e, err := interp.New(m.mem)
	require.NoError(t, err)
	for i := range cpus {
		c, err := e.NewCPU(i)
		require.NoError(t, err)
		m.cpus = append(m.cpus, &cpu{CPU: c.(*interp.CPU), m: m, trap: make(map[asm.SysReg]uint64), waits: true})
		m.cpus[i].Supervise()
	}
	t.Cleanup(func() {
		assert.NoError(t, e.Close())
		assert.NoError(t, m.mem.Close())
	})
	return m
}

// put writes instructions to RAM.
func (m *Machine) put(at uint64, words ...uint32) {
	for i, w := range words {
		binary.LittleEndian.PutUint32(m.ram[at-ramBase+4*uint64(i):], w)
	}
}

func (m *Machine) put64(at, v uint64) { binary.LittleEndian.PutUint64(m.ram[at-ramBase:], v) }

const (
	upper  = 0xffff_8000_0000_0000
	normal = descValid | descTable | 1<<10 // of a page, which can be read, written and executed
)

// tables maps pages of a granule from upper on, and turns translation on: each entry is what the last table has.
func (m *Machine) tables(t *testing.T, granule uint, entries ...uint64) *cpu {
	t.Helper()
	c := m.cpus[0]
	c.reset(ramBase, 0)
	tg1 := map[uint]uint64{12: 2, 14: 1, 16: 3}[granule]
	c.SetSystem(tcr, 16|16<<16|tg1<<30)
	c.SetSystem(ttbr1, ramBase+0x80000)
	c.SetSystem(sctlr, c.system(sctlr)|sctlrM)
	stride := granule - 3
	table := uint64(ramBase + 0x80000)
	for shift := granule + (48-granule-1)/stride*stride; shift > granule; shift -= stride {
		index := uint64(upper) & (1<<min(shift+stride, 48) - 1) >> shift
		next := table + 1<<granule
		m.put64(table+8*index, next|descValid|descTable)
		table = next
	}
	for i, e := range entries {
		m.put64(table+8*uint64(i), e)
	}
	return c
}

func TestTranslate_PagesOfEverySize(t *testing.T) {
	for _, granule := range []uint{12, 14, 16} {
		m := bare(t, 1)
		c := m.tables(t, granule, ramBase|normal, 0, ramBase+0x20000|normal|descReadOnly|descPXN)
		size := uint64(1) << granule
		at, ok := c.translate(upper + 8)
		require.True(t, ok, granule)
		assert.Equal(t, uint64(ramBase), at.pa, granule)
		assert.Equal(t, size, at.size, granule)
		assert.Equal(t, emu.Read|emu.Write|emu.Exec, at.perm, granule)
		_, ok = c.translate(upper + size)
		assert.False(t, ok, granule)
		at, ok = c.translate(upper + 2*size)
		require.True(t, ok, granule)
		assert.Equal(t, emu.Read, at.perm, granule)
		_, ok = c.translate(0x0001_0000_0000_0000)
		assert.False(t, ok, "an address in neither half")
	}
}

func TestFill_MapsThePagesThatGoOn(t *testing.T) {
	m := bare(t, 1)
	c := m.tables(t, 12, ramBase|normal, ramBase+0x1000|normal, ramBase+0x2000|normal, ramBase+0x9000|normal)
	at, ok := c.translate(upper + 0x1000)
	require.True(t, ok)
	filled, err := c.fill(at)
	require.NoError(t, err)
	require.True(t, filled)
	r := m.mem.Region(upper + 0x1000)
	require.NotNil(t, r)
	assert.Equal(t, uint64(upper), r.Base)
	assert.Equal(t, uint64(0x3000), r.Size)

	m.put64(ramBase+0x83000+8, 0) // the second page goes
	m.Invalidate(false, upper+0x1000)
	assert.Nil(t, m.mem.Region(upper+0x1000))
	assert.NotNil(t, m.mem.Region(upper))
	assert.NotNil(t, m.mem.Region(upper+0x2000))
	m.put64(ramBase+0x83000+16, ramBase+0x5000|normal) // the third page moves
	m.Invalidate(true, 0)
	assert.Nil(t, m.mem.Region(upper+0x2000))
	assert.NotNil(t, m.mem.Region(upper))
	require.NoError(t, m.err)
}

const (
	eretWord = 0xd69f03e0
	hvc0     = 0xd4000002
	nop      = 0xd503201f
	wfi      = 0xd503207f
	clearIRQ = 0xd50342ff // MSR DAIFClr, #2
)

// steps runs a CPU instruction by instruction until it stands at an address.
func steps(t *testing.T, c *cpu, to uint64) {
	t.Helper()
	for range 100 {
		if c.Regs().PC == to {
			return
		}
		require.NoError(t, c.run(t.Context(), 1))
	}
	t.Fatalf("it stands at %#x, and not at %#x", c.Regs().PC, to)
}

func TestException_GoesToTheVectorAndBack(t *testing.T) {
	tests := []struct {
		name  string
		word  uint32
		class uint64
	}{
		{"brk", 0xd4210000, ecBRK},
		{"undefined", 0x00000000, ecUnknown},
		{"a load from nowhere", 0xf9400020, ecDataAbort}, // LDR X0, [X1]
		{"a branch to nowhere", 0xd61f0020, ecFetchAbort},
		{"svc", 0xd4000001, ecUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := bare(t, 1)
			c := m.cpus[0]
			m.put(ramBase, nop, tt.word, nop)
			m.put(ramBase+0x1000+vectorSync, nop, eretWord)
			c.reset(ramBase, 0)
			c.SetSystem(vbar, ramBase+0x1000)
			c.SetSystem(asm.DAIF, 0)
			c.Regs().X[1], c.Regs().NZCV = 0x1234_5000_0000, 0x6000_0000
			steps(t, c, ramBase+0x1000+vectorSync)
			assert.Equal(t, tt.class, c.system(esr)>>26)
			assert.EqualValues(t, psDAIF, c.system(asm.DAIF))
			if tt.class == ecDataAbort || tt.class == ecFetchAbort {
				assert.Equal(t, uint64(0x1234_5000_0000), c.system(far))
			}
			c.SetSystem(elr, ramBase+8) // as a handler that goes on behind it
			steps(t, c, ramBase+8)
			assert.EqualValues(t, 0x6000_0000, c.Regs().NZCV)
			assert.Zero(t, c.system(asm.DAIF))
		})
	}
}

func TestTimer_InterruptsWhenItIsDueAndWakes(t *testing.T) {
	m := bare(t, 1)
	c := m.cpus[0]
	m.gic = ready(1, m.level)
	m.put(ramBase, clearIRQ, wfi, nop)
	c.reset(ramBase, 0)
	c.SetSystem(vbar, ramBase+0x1000)
	c.writeTrapped(cntvCVAL, 5000)
	c.writeTrapped(cntvCTL, timerEnable)
	m.put(ramBase+0x1000+vectorIRQ, hvc0)
	c.Regs().X[0] = psciSystemOff
	err := m.run(t.Context(), 1000)
	var stop *StopError
	require.ErrorAs(t, err, &stop)
	assert.EqualValues(t, ramBase+8, c.system(elr), "behind WFI")
	assert.GreaterOrEqual(t, m.cpus[0].now(), uint64(5000))
	assert.Less(t, m.Count(), uint64(100), "waiting takes no instructions")
	assert.EqualValues(t, timerEnable|timerStatus, c.readTrapped(cntvCTL))
}

func TestPSCI_TurnsCPUsOn(t *testing.T) {
	m := bare(t, 2)
	m.put(ramBase, hvc0, nop)
	m.put(ramBase+0x1000, nop, wfi)
	c := m.cpus[0]
	c.reset(ramBase, psciCPUOn)
	c.Regs().X[1], c.Regs().X[2], c.Regs().X[3] = 1, ramBase+0x1000, 42
	steps(t, c, ramBase+4)
	assert.Zero(t, c.Regs().X[0])
	other := m.cpus[1]
	assert.True(t, other.online)
	assert.EqualValues(t, 42, other.Regs().X[0])
	steps(t, other, ramBase+0x1004)
	for _, tt := range []struct{ target, want uint64 }{{1, psciAlreadyOn}, {2, psciInvalid}} {
		assert.Equal(t, tt.want, m.turnOn(tt.target, ramBase, 0))
	}
}

func TestRun_NoVectorsIsAnError(t *testing.T) {
	for _, at := range []uint64{
		0x1_0000_0000_0000,   // no address
		0,                    // no RAM
		ramBase + 0x1000,     // zeros, which are UDF
		ramBase - vectorSync, // the instruction itself
	} {
		m := bare(t, 1)
		m.put(ramBase, 0xd4210000) // BRK
		m.cpus[0].reset(ramBase, 0)
		m.cpus[0].SetSystem(vbar, at)
		require.ErrorContains(t, m.run(t.Context(), 1000), "no vector to go to")
	}
}

func TestRun_EndlessExceptionsEndWithTheBudget(t *testing.T) {
	m := bare(t, 1)
	m.put(ramBase+0x1000+vectorSync, nop, 0xd4210000) // BRK
	m.cpus[0].reset(ramBase+0x1000+vectorSync, 0)
	m.cpus[0].SetSystem(vbar, ramBase+0x1000)
	require.ErrorIs(t, m.run(t.Context(), 1000), emu.ErrBudget)
}

func TestRun_AllCPUsWaitForever(t *testing.T) {
	m := bare(t, 1)
	m.put(ramBase, wfi)
	m.cpus[0].reset(ramBase, 0)
	require.ErrorContains(t, m.run(t.Context(), 1000), "no timer is armed")
}

func TestRun_ATimerThatWakesNobody(t *testing.T) {
	m := bare(t, 1)
	m.put(ramBase, wfi)
	m.cpus[0].reset(ramBase, 0)
	m.cpus[0].timer = timer{control: timerEnable, compare: 5} // and the GIC is off
	require.ErrorIs(t, m.run(t.Context(), 1000), errno.EDEADLK)
}

func TestDevice_LoadsAndStoresOfAnyForm(t *testing.T) {
	m := bare(t, 1)
	var printed []string
	m.uart.emit = func(line string) { printed = append(printed, line) }
	m.put(ramBase,
		0x39000020, // STRB W0, [X1]
		0xb8001422, // STR W2, [X1], #1: no driver's
		0xb8236822, // STR W2, [X1, X3]
		0xb9401824, // LDR W4, [X1, #24]
		nop)
	c := m.cpus[0]
	c.reset(ramBase, 'a')
	c.SetSystem(vbar, ramBase+0x1000)
	r := c.Regs()
	r.X[1], r.X[2] = uartBase, '\n'
	steps(t, c, ramBase+4)
	steps(t, c, ramBase+0x1000+vectorSync)
	assert.EqualValues(t, ecDataAbort, c.system(esr)>>26)
	r.PC = ramBase + 8
	steps(t, c, ramBase+16)
	assert.Equal(t, []string{"a"}, printed)
	assert.EqualValues(t, uartEmpty, r.X[4])
}

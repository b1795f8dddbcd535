package interp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

const (
	systemText = 0xffff_8000_8000_0000
	systemData = 0xffff_8000_8010_0000
)

// supervised is a CPU on text and data that are aliases of host memory, and is told of interrupts.
type supervised struct {
	*CPU
	mem        *emu.Memory
	text, data []byte
}

func newSupervised(t *testing.T, words ...uint32) *supervised {
	t.Helper()
	s := &supervised{mem: emu.NewMemory(), text: make([]byte, emu.PageSize), data: make([]byte, emu.PageSize)}
	_, err := s.mem.Alias("text", systemText, s.text, emu.Read|emu.Exec)
	require.NoError(t, err)
	_, err = s.mem.Alias("data", systemData, s.data, emu.Read|emu.Write)
	require.NoError(t, err)
	e, err := New(s.mem)
	require.NoError(t, err)
	c, err := e.NewCPU(0)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, e.Close())
		assert.NoError(t, s.mem.Close())
	})
	s.CPU = c.(*CPU)
	s.Supervise()
	s.put(t, words...)
	s.Regs().PC = systemText
	return s
}

func (s *supervised) put(t *testing.T, words ...uint32) {
	t.Helper()
	for i, w := range words {
		require.NoError(t, s.mem.Store32(systemText+4*uint64(i), w))
	}
	s.mem.SyncText(systemText, emu.PageSize)
}

func (s *supervised) runs(t *testing.T, want emu.ExitReason, at uint64) {
	t.Helper()
	exit, err := s.Run(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, want, exit.Reason, exit)
	require.Equal(t, uint64(systemText)+at, s.Regs().PC)
}

const (
	daifClr = 0xd50342ff // MSR DAIFClr, #2
	daifSet = 0xd50342df
)

func TestSupervised_InterruptAsSoonAsItIsNotMasked(t *testing.T) {
	s := newSupervised(t, nop, nop, daifClr, nop, daifSet, nop, wfi, nop)
	s.SetInterrupt(true)
	s.runs(t, emu.ExitInterrupt, 12)
	assert.EqualValues(t, 3, s.Count())
	s.runs(t, emu.ExitInterrupt, 12)
	s.SetInterrupt(false)
	s.runs(t, emu.ExitWait, 28)
	s.SetInterrupt(true)
	s.Regs().PC = systemText + 12
	v, ok := s.System(asm.DAIF)
	require.True(t, ok)
	assert.EqualValues(t, 0x3c0, v, "masked")
	require.True(t, s.SetSystem(asm.DAIF, 0))
	s.runs(t, emu.ExitInterrupt, 12)
}

func TestUnsupervised_WFIGoesOn(t *testing.T) {
	s := newSupervised(t, wfi, brSelf)
	s.supervised = false
	s.runs(t, emu.ExitBudget, 4)
}

func TestCounter_GoesOnFromWhatIsSet(t *testing.T) {
	s := newSupervised(t, nop, 0xd53be040, wfi) // MRS X0, CNTVCT_EL0
	require.True(t, s.SetSystem(asm.CNTVCT_EL0, 1_000_000))
	s.runs(t, emu.ExitWait, 12)
	assert.EqualValues(t, 1_000_001, s.Regs().X[0])
}

func TestUnmapped_TextIsFetchedAnew(t *testing.T) {
	s := newSupervised(t, 0xd2800020, wfi) // MOV X0, #1
	s.runs(t, emu.ExitWait, 8)
	require.NoError(t, s.mem.Unmap(systemText, emu.PageSize))
	s.Regs().PC = systemText
	exit, err := s.Run(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, emu.ExitFault, exit.Reason)
	assert.Equal(t, emu.Fetch, exit.Fault.Access)

	other := make([]byte, emu.PageSize)
	_, err = s.mem.Alias("text", systemText, other, emu.Read|emu.Exec)
	require.NoError(t, err)
	s.put(t, 0xd2800040, wfi) // MOV X0, #2
	s.runs(t, emu.ExitWait, 8)
	assert.EqualValues(t, 2, s.Regs().X[0])
}

func TestUnmapped_DataFaults(t *testing.T) {
	s := newSupervised(t, 0xf9000020, 0xf9400022, wfi, 0xf9400022, wfi) // STR X0, [X1]; LDR X2, [X1]
	s.Regs().X[0], s.Regs().X[1] = 42, systemData
	s.runs(t, emu.ExitWait, 12)
	require.NoError(t, s.mem.Unmap(systemData, emu.PageSize))
	exit, err := s.Run(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, emu.ExitFault, exit.Reason)
	assert.Equal(t, uint64(systemData), exit.Fault.Addr)
}

// invalidations are the TLB maintenance that a CPU did.
type invalidations []uint64

func (i *invalidations) Invalidate(all bool, addr uint64) {
	if all {
		addr = 1
	}
	*i = append(*i, addr)
}

func TestTLBI_TellsWhatItInvalidates(t *testing.T) {
	var got invalidations
	s := newSupervised(t, 0xd508871f, 0xd5088361, wfi) // TLBI VMALLE1; TLBI VAAE1IS, X1
	s.mem.SetTranslation(&got)
	s.Regs().X[1] = systemData >> 12 & (1<<44 - 1)
	s.runs(t, emu.ExitWait, 12)
	assert.Equal(t, invalidations{1, systemData}, got)
}

func TestUnprivileged_ReachesUserRegionsAlone(t *testing.T) {
	s := newSupervised(t, 0xf8400820, wfi) // LDTR X0, [X1]
	user := make([]byte, emu.PageSize)
	user[0] = 7
	_, err := s.mem.Alias("user", 0x10000, user, emu.Read|emu.User)
	require.NoError(t, err)
	s.Regs().X[1] = 0x10000
	s.runs(t, emu.ExitWait, 8)
	assert.EqualValues(t, 7, s.Regs().X[0])
	s.Regs().PC, s.Regs().X[1] = systemText, systemData
	exit, err := s.Run(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, emu.ExitFault, exit.Reason)
	assert.Equal(t, emu.Denied, exit.Fault.Kind)
}

func TestSupervised_StopsAfterWFEAndYieldWhereItIsTold(t *testing.T) {
	s := newSupervised(t, wfe, yield, nop, wfi)
	s.runs(t, emu.ExitWait, 16)
	s.Regs().PC = systemText
	s.WatchSpins(true)
	s.runs(t, emu.ExitSpin, 4)
	s.runs(t, emu.ExitSpin, 8)
	s.runs(t, emu.ExitWait, 16)
	assert.EqualValues(t, 8, s.Count())
}

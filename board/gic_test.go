package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// ready is an interrupt controller as a kernel sets it up.
func ready(cpus int, level func(int) uint32) *gic {
	g := newGIC(cpus, level)
	g.writeDistributor(0, gicdCtlr, 1)
	for i := range cpus {
		g.writeDistributor(i, gicdIsenabler, 0xffffffff)
		g.writeInterface(i, giccPmr, 0xf0)
		g.writeInterface(i, giccCtlr, 1)
	}
	return g
}

func noLevel(int) uint32 { return 0 }

// Kernels access some of the registers by bytes.
func TestGIC_EndsWhereItsRegistersDo(t *testing.T) {
	g := ready(2, noLevel)
	for off := range uint64(gicSize) {
		assert.NotPanics(t, func() {
			g.writeDistributor(1, off, 0)
			g.readDistributor(1, off)
			g.writeInterface(1, off, 0)
			g.readInterface(1, off)
		}, off)
	}
}

func TestGIC_SGIReachesItsTargets(t *testing.T) {
	tests := []struct {
		name    string
		sgir    uint32
		targets []bool
	}{
		{"a list", 0b101<<16 | 3, []bool{true, false, true}},
		{"all others", 1<<24 | 3, []bool{true, false, true}},
		{"itself", 2<<24 | 3, []bool{false, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := ready(3, noLevel)
			g.writeDistributor(1, gicdSgir, tt.sgir)
			for cpu, want := range tt.targets {
				assert.Equal(t, want, g.signals(cpu), cpu)
				if want {
					assert.EqualValues(t, 3|1<<10, g.readInterface(cpu, giccIar), "the number, and the CPU that sent it")
				}
				assert.EqualValues(t, spurious, g.readInterface(cpu, giccIar))
			}
		})
	}
}

func TestGIC_LevelStaysPendingUntilItsLineIsLow(t *testing.T) {
	high := uint32(1 << 27)
	g := ready(1, func(int) uint32 { return high })
	assert.EqualValues(t, 27, g.readInterface(0, giccIar))
	assert.False(t, g.signals(0), "it is active")
	g.writeInterface(0, giccEoir, 27)
	assert.True(t, g.signals(0))
	high = 0
	assert.False(t, g.signals(0))
}

func TestGIC_SignalsOnlyWhatIsEnabled(t *testing.T) {
	off := map[string]func(*gic){
		"distributor": func(g *gic) { g.writeDistributor(0, gicdCtlr, 0) },
		"interface":   func(g *gic) { g.writeInterface(0, giccCtlr, 0) },
		"interrupt":   func(g *gic) { g.writeDistributor(0, gicdIcenabler, 1<<27) },
		"priority":    func(g *gic) { g.writeInterface(0, giccPmr, 0) },
	}
	for name, disable := range off {
		t.Run(name, func(t *testing.T) {
			g := ready(1, func(int) uint32 { return 1 << 27 })
			assert.True(t, g.signals(0))
			disable(g)
			assert.False(t, g.signals(0))
		})
	}
}

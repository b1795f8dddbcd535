package board

import "math/bits"

// gic is the interrupt controller, a GICv2 (ARM IHI 0048B) with interrupts of CPUs alone: SGIs
// (0 to 15) and PPIs (16 to 31). All have the same priority, so an active one holds back the others.
type gic struct {
	enabled bool // GICD_CTLR
	cpus    []gicCPU
	// level is the PPIs whose line is high.
	level func(cpu int) uint32
}

// gicCPU is what is banked for each CPU.
type gicCPU struct {
	On       bool // GICC_CTLR
	Enable   uint32
	Pending  uint32 // PPIs that software made pending
	Active   uint32
	SGI      [16]uint8 // pending, by the CPUs that sent them
	Priority [32]uint8
	Config   [2]uint32
	Mask     uint32 // GICC_PMR
}

// Registers of the distributor.
const (
	gicdCtlr       = 0x000
	gicdTyper      = 0x004
	gicdIIDR       = 0x008
	gicdIsenabler  = 0x100
	gicdIcenabler  = 0x180
	gicdIspendr    = 0x200
	gicdIcpendr    = 0x280
	gicdIsactiver  = 0x300
	gicdIcactiver  = 0x380
	gicdIpriorityr = 0x400
	gicdItargetsr  = 0x800
	gicdIcfgr      = 0xc00
	gicdSgir       = 0xf00
	gicdCpendsgir  = 0xf10
	gicdSpendsgir  = 0xf20
	gicdPIDR2      = 0xfe8
)

// Registers of a CPU's interface.
const (
	giccCtlr = 0x00
	giccPmr  = 0x04
	giccIar  = 0x0c
	giccEoir = 0x10
	giccRpr  = 0x14
	giccIIDR = 0xfc
)

const (
	gicVersion = 0x0200_143b // IIDR: version 2, Arm
	gicPIDR2   = 0x2b
	spurious   = 1023
	noPriority = 0xff
)

func newGIC(cpus int, level func(cpu int) uint32) *gic {
	return &gic{cpus: make([]gicCPU, cpus), level: level}
}

// waiting are the enabled interrupts of a CPU that are pending.
func (g *gic) waiting(cpu int) uint32 {
	c := &g.cpus[cpu]
	p := c.Pending | g.level(cpu)
	for i, from := range c.SGI {
		if from != 0 {
			p |= 1 << i
		}
	}
	return p & c.Enable
}

// signals reports whether a CPU's interrupt line is high.
func (g *gic) signals(cpu int) bool {
	c := &g.cpus[cpu]
	return g.enabled && c.On && c.Active == 0 && c.Mask != 0 && g.waiting(cpu) != 0
}

// acknowledge is a read of GICC_IAR.
func (g *gic) acknowledge(cpu int) uint32 {
	if !g.signals(cpu) {
		return spurious
	}
	c := &g.cpus[cpu]
	n := bits.TrailingZeros32(g.waiting(cpu))
	c.Active |= 1 << n
	if n >= 16 {
		c.Pending &^= 1 << n
		return uint32(n)
	}
	from := bits.TrailingZeros8(c.SGI[n])
	c.SGI[n] &^= 1 << from
	return uint32(n) | uint32(from)<<10
}

// send is a write to GICD_SGIR.
func (g *gic) send(cpu int, v uint32) {
	targets := uint8(v >> 16)
	switch v >> 24 & 3 {
	case 1: // all but this CPU
		targets = ^uint8(1 << cpu)
	case 2:
		targets = 1 << cpu
	}
	for i := range g.cpus {
		if targets>>i&1 == 1 {
			g.cpus[i].SGI[v&15] |= 1 << cpu
		}
	}
}

func (g *gic) readDistributor(cpu int, off uint64) uint32 {
	c := &g.cpus[cpu]
	switch {
	case off == gicdCtlr:
		return oneIf(g.enabled)
	case off == gicdTyper:
		return uint32(len(g.cpus)-1) << 5
	case off == gicdIIDR:
		return gicVersion
	case off == gicdIsenabler, off == gicdIcenabler:
		return c.Enable
	case off == gicdIspendr, off == gicdIcpendr:
		return c.Pending | g.level(cpu)
	case off == gicdIsactiver, off == gicdIcactiver:
		return c.Active
	case off >= gicdIpriorityr && off < gicdIpriorityr+32:
		i := (off - gicdIpriorityr) &^ 3
		return uint32(c.Priority[i]) | uint32(c.Priority[i+1])<<8 | uint32(c.Priority[i+2])<<16 | uint32(c.Priority[i+3])<<24
	case off >= gicdItargetsr && off < gicdItargetsr+32:
		return 0x01010101 << cpu
	case off == gicdIcfgr, off == gicdIcfgr+4:
		return c.Config[off>>2&1]
	case off == gicdPIDR2:
		return gicPIDR2
	}
	return 0
}

func (g *gic) writeDistributor(cpu int, off uint64, v uint32) {
	c := &g.cpus[cpu]
	switch {
	case off == gicdCtlr:
		g.enabled = v&1 == 1
	case off == gicdIsenabler:
		c.Enable |= v
	case off == gicdIcenabler:
		c.Enable &^= v
	case off == gicdIspendr:
		c.Pending |= v &^ 0xffff
	case off == gicdIcpendr:
		c.Pending &^= v
	case off == gicdIsactiver:
		c.Active |= v
	case off == gicdIcactiver:
		c.Active &^= v
	case off >= gicdIpriorityr && off < gicdIpriorityr+32:
		for i := range uint64(4) {
			c.Priority[(off-gicdIpriorityr)&^3+i] = uint8(v >> (8 * i))
		}
	case off == gicdIcfgr+4:
		c.Config[1] = v
	case off == gicdSgir:
		g.send(cpu, v)
	case off >= gicdCpendsgir && off < gicdCpendsgir+16:
		for i := range uint64(4) {
			c.SGI[(off-gicdCpendsgir)&^3+i] &^= uint8(v >> (8 * i))
		}
	case off >= gicdSpendsgir && off < gicdSpendsgir+16:
		for i := range uint64(4) {
			c.SGI[(off-gicdSpendsgir)&^3+i] |= uint8(v >> (8 * i))
		}
	}
}

func (g *gic) readInterface(cpu int, off uint64) uint32 {
	c := &g.cpus[cpu]
	switch off {
	case giccCtlr:
		return oneIf(c.On)
	case giccPmr:
		return c.Mask
	case giccIar:
		return g.acknowledge(cpu)
	case giccRpr:
		if c.Active != 0 {
			return 0
		}
		return noPriority
	case giccIIDR:
		return gicVersion
	}
	return 0
}

func (g *gic) writeInterface(cpu int, off uint64, v uint32) {
	c := &g.cpus[cpu]
	switch off {
	case giccCtlr:
		c.On = v&1 == 1
	case giccPmr:
		c.Mask = v & 0xff
	case giccEoir:
		if n := v & 0x3ff; n < 32 {
			c.Active &^= 1 << n
		}
	}
}

// oneIf is 1 for true.
func oneIf(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

package board

import "callops/asm"

// Functions of PSCI (ARM DEN 0022) that the board has.
const (
	psciVersion     = 0x8400_0000
	psciCPUOff      = 0x8400_0002
	psciMigrateType = 0x8400_0006
	psciSystemOff   = 0x8400_0008
	psciSystemReset = 0x8400_0009
	psciFeatures    = 0x8400_000a
	psciCPUOn       = 0xc400_0003
	psciAffinity    = 0xc400_0004
)

// Results of PSCI.
const (
	psciNotSupported = ^uint64(0)     // -1
	psciInvalid      = ^uint64(0) - 1 // -2
	psciAlreadyOn    = ^uint64(0) - 3 // -4
	psciNoMigration  = 2              // MIGRATE_INFO_TYPE: there is no trusted OS
	psciCPUIsOff     = 1
	psciVersion10    = 0x1_0000
)

// psci serves a call of the firmware.
func (m *Machine) psci(c *cpu) {
	x := &c.Regs().X
	switch uint64(uint32(x[0])) {
	case psciVersion:
		x[0] = psciVersion10
	case psciFeatures:
		switch uint64(uint32(x[1])) {
		case psciVersion, psciCPUOff, psciSystemOff, psciSystemReset, psciCPUOn, psciAffinity, psciMigrateType, psciFeatures:
			x[0] = 0
		default:
			x[0] = psciNotSupported
		}
	case psciMigrateType:
		x[0] = psciNoMigration
	case psciCPUOn:
		x[0] = m.turnOn(x[1], x[2], x[3])
	case psciCPUOff:
		c.online = false
		c.waits = true
	case psciAffinity:
		x[0] = psciInvalid
		if n := x[1]; n < uint64(len(m.cpus)) {
			x[0] = 0
			if !m.cpus[n].online {
				x[0] = psciCPUIsOff
			}
		}
	case psciSystemOff:
		m.stop(&StopError{Reset: false})
	case psciSystemReset:
		m.stop(&StopError{Reset: true})
	default:
		x[0] = psciNotSupported
	}
}

// turnOn is CPU_ON.
func (m *Machine) turnOn(target, entry, context uint64) uint64 {
	if target >= uint64(len(m.cpus)) {
		return psciInvalid
	}
	c := m.cpus[target]
	if c.online {
		return psciAlreadyOn
	}
	c.reset(entry, context)
	return 0
}

// reset has a CPU begin at a physical address, with its MMU off.
func (c *cpu) reset(entry, x0 uint64) {
	r := c.Regs()
	clear(r.X[:])
	r.X[0], r.PC, r.NZCV = x0, entry, 0
	c.SetSystem(asm.DAIF, psDAIF)
	c.SetSystem(sctlr, c.system(sctlr)&^sctlrM)
	c.SetSystem(asm.CNTVCT_EL0, c.m.now)
	c.timer, c.online, c.waits = timer{}, true, false
}

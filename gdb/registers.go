package gdb

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"callops/asm"
	"callops/emu"
	"callops/emu/isa"
	"callops/internal/errno"
)

// register is one of the target description. Its number is its place in registers.
type register struct {
	name string
	kind string // its type to the debugger
	size int    // bytes
	get  func(r *emu.Regs, c emu.Debuggable) (uint64, bool)
	set  func(r *emu.Regs, c emu.Debuggable, v uint64) bool
}

// Features of the target description, by the number of their first register.
const (
	coreFeature   = "org.gnu.gdb.aarch64.core"
	systemFeature = "org.callops.aarch64.el1"
	firstSystem   = 34
)

// field is a register that Regs has.
func field(name, kind string, at func(r *emu.Regs) *uint64) register {
	return register{
		name, kind, 8,
		func(r *emu.Regs, _ emu.Debuggable) (uint64, bool) { return *at(r), true },
		func(r *emu.Regs, _ emu.Debuggable, v uint64) bool { *at(r) = v; return true },
	}
}

// system is a register that only the engine has.
func system(name string, id asm.SysReg) register {
	return register{
		name, "uint64", 8,
		func(_ *emu.Regs, c emu.Debuggable) (uint64, bool) {
			if c == nil {
				return 0, false
			}
			return c.SystemRegister(uint16(id))
		},
		func(_ *emu.Regs, c emu.Debuggable, v uint64) bool {
			return c != nil && c.SetSystemRegister(uint16(id), v)
		},
	}
}

// PSTATE as SPSR_EL1 has it.
const (
	flagsMask = 0xf << 28
	daifMask  = 0xf << 6
	el1h      = 5
)

var cpsr = register{
	"cpsr", "cpsr_flags", 4,
	func(r *emu.Regs, c emu.Debuggable) (uint64, bool) {
		daif := uint64(0)
		if c != nil {
			daif, _ = c.SystemRegister(uint16(asm.DAIF))
		}
		return uint64(r.NZCV)&flagsMask | daif&daifMask | el1h, true
	},
	func(r *emu.Regs, _ emu.Debuggable, v uint64) bool { r.NZCV = uint32(v) & flagsMask; return true },
}

// registers are all of them, in the order of g: first those of coreFeature.
var registers = func() (list []register) {
	for i := range 31 {
		list = append(list, field(fmt.Sprintf("x%d", i), "int", func(r *emu.Regs) *uint64 { return &r.X[i] }))
	}
	list = append(list,
		field("sp", "data_ptr", func(r *emu.Regs) *uint64 { return &r.SP }),
		field("pc", "code_ptr", func(r *emu.Regs) *uint64 { return &r.PC }),
		cpsr,

		field("sp_el0", "data_ptr", func(r *emu.Regs) *uint64 { return &r.SPEL0 }),
		field("tpidr_el1", "data_ptr", func(r *emu.Regs) *uint64 { return &r.TPIDREL1 }),
		field("tpidr_el0", "data_ptr", func(r *emu.Regs) *uint64 { return &r.TPIDREL0 }),
	)
	for _, r := range systemRegisters {
		list = append(list, system(r.name, r.id))
	}
	return list
}()

// systemRegisters are those of EL1 that a debugger of a kernel looks for.
var systemRegisters = []struct {
	name string
	id   asm.SysReg
}{
	{"sctlr_el1", isa.ID(3, 0, 1, 0, 0)}, {"cpacr_el1", isa.ID(3, 0, 1, 0, 2)},
	{"ttbr0_el1", isa.ID(3, 0, 2, 0, 0)}, {"ttbr1_el1", isa.ID(3, 0, 2, 0, 1)}, {"tcr_el1", isa.ID(3, 0, 2, 0, 2)},
	{"spsr_el1", isa.ID(3, 0, 4, 0, 0)}, {"elr_el1", isa.ID(3, 0, 4, 0, 1)},
	{"esr_el1", isa.ID(3, 0, 5, 2, 0)}, {"far_el1", isa.ID(3, 0, 6, 0, 0)}, {"par_el1", isa.ID(3, 0, 7, 4, 0)},
	{"mair_el1", isa.ID(3, 0, 10, 2, 0)}, {"vbar_el1", isa.ID(3, 0, 12, 0, 0)}, {"contextidr_el1", isa.ID(3, 0, 13, 0, 1)},
	{"tpidrro_el0", isa.ID(3, 3, 13, 0, 3)}, {"cntvct_el0", asm.CNTVCT_EL0},
	{"midr_el1", asm.MIDR_EL1}, {"mpidr_el1", asm.MPIDR_EL1}, {"currentel", asm.CurrentEL},
}

// targetXML is the target description.
var targetXML = func() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">` + "\n<target><architecture>aarch64</architecture>\n")
	b.WriteString(`<feature name="` + coreFeature + `">` + "\n")
	b.WriteString(`<flags id="cpsr_flags" size="4">` +
		`<field name="SP" start="0" end="0"/><field name="EL" start="2" end="3"/><field name="F" start="6" end="6"/><field name="I" start="7" end="7"/>` +
		`<field name="A" start="8" end="8"/><field name="D" start="9" end="9"/><field name="V" start="28" end="28"/><field name="C" start="29" end="29"/>` +
		`<field name="Z" start="30" end="30"/><field name="N" start="31" end="31"/></flags>` + "\n")
	for i, r := range registers {
		group := ""
		if i == firstSystem {
			b.WriteString(`</feature><feature name="` + systemFeature + `">` + "\n")
		}
		if i >= firstSystem {
			group = ` group="system"`
		}
		fmt.Fprintf(&b, `<reg name="%s" bitsize="%d" type="%s" regnum="%d"%s/>`+"\n", r.name, 8*r.size, r.kind, i, group)
	}
	b.WriteString("</feature></target>\n")
	return b.String()
}()

func (r *register) hex(regs *emu.Regs, c emu.Debuggable) string {
	v, ok := r.get(regs, c)
	if !ok {
		return strings.Repeat("x", 2*r.size)
	}
	return little(v, r.size)
}

// parse reads the register's value.
func (r *register) parse(s string) (uint64, error) {
	var b [8]byte
	if len(s) != 2*r.size {
		return 0, malformed("value of " + r.name)
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, malformed("value of " + r.name)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

func (c *client) readRegisters(string) (string, error) {
	return c.stub.registers(c.current, false, func(regs *emu.Regs, cpu emu.Debuggable) (string, error) {
		var b strings.Builder
		for i := range registers {
			b.WriteString(registers[i].hex(regs, cpu))
		}
		return b.String(), nil
	})
}

func (c *client) readRegister(args string) (string, error) {
	r, err := registerOf(args)
	if err != nil {
		return "", err
	}
	return c.stub.registers(c.current, false, func(regs *emu.Regs, cpu emu.Debuggable) (string, error) {
		return r.hex(regs, cpu), nil
	})
}

func registerOf(s string) (*register, error) {
	n, err := number(s)
	if err != nil || n >= uint64(len(registers)) {
		return nil, fmt.Errorf("no register %q: %w", s, errno.EINVAL)
	}
	return &registers[n], nil
}

// writeRegisters writes those of G: what is constant, or cut off, stays as it is.
func (c *client) writeRegisters(args string) (string, error) {
	return c.stub.registers(c.current, true, func(regs *emu.Regs, cpu emu.Debuggable) (string, error) {
		for i := range registers {
			r := &registers[i]
			if len(args) < 2*r.size {
				break
			}
			v, err := r.parse(args[:2*r.size])
			if err != nil {
				return "", err
			}
			args = args[2*r.size:]
			if was, ok := r.get(regs, cpu); ok && was != v {
				r.set(regs, cpu, v)
			}
		}
		return "OK", nil
	})
}

func (c *client) writeRegister(args string) (string, error) {
	which, value, ok := strings.Cut(args, "=")
	if !ok {
		return "", malformed("P")
	}
	r, err := registerOf(which)
	if err != nil {
		return "", err
	}
	v, err := r.parse(value)
	if err != nil {
		return "", err
	}
	return c.stub.registers(c.current, true, func(regs *emu.Regs, cpu emu.Debuggable) (string, error) {
		if !r.set(regs, cpu, v) {
			return "", textErrorf("%s can't be written", r.name)
		}
		return "OK", nil
	})
}

// registers gives f the registers of a thread, to change them where write is set.
func (s *Stub) registers(id int, write bool, f func(*emu.Regs, emu.Debuggable) (string, error)) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.thread(id)
	if t == nil {
		return "", fmt.Errorf("no thread %d: %w", id, errno.ENOENT)
	}
	regs, writable := t.registers()
	switch {
	case write && s.history != nil && s.history.past():
		return "", textErrorf("the CPU is in the past, where nothing can be changed: %w", errno.EPERM)
	case write && !writable:
		return "", textErrorf("%s executes no guest code now: %w", t.name, errno.EBUSY)
	case write && s.history != nil:
		s.history.last().wrote = true
	}
	if !writable {
		return f(regs, nil)
	}
	return f(regs, t.cpu)
}

func (s *Stub) thread(id int) *thread {
	for _, t := range s.threads {
		if t.id == id {
			return t
		}
	}
	return nil
}

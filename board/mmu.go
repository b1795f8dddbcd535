package board

import (
	"encoding/binary"

	"callops/emu"
	"callops/emu/isa"
)

// Registers of translation and of exceptions.
var (
	sctlr = isa.ID(3, 0, 1, 0, 0)
	ttbr0 = isa.ID(3, 0, 2, 0, 0)
	ttbr1 = isa.ID(3, 0, 2, 0, 1)
	tcr   = isa.ID(3, 0, 2, 0, 2)
	spsr  = isa.ID(3, 0, 4, 0, 0)
	elr   = isa.ID(3, 0, 4, 0, 1)
	esr   = isa.ID(3, 0, 5, 2, 0)
	far   = isa.ID(3, 0, 6, 0, 0)
	par   = isa.ID(3, 0, 7, 4, 0)
	vbar  = isa.ID(3, 0, 12, 0, 0)
)

const sctlrM = 1 << 0 // SCTLR_EL1.M: addresses are translated

// mapping is what a descriptor says of a page or a block.
type mapping struct {
	va, pa, size uint64
	perm         emu.Perm
	table        uint64 // how much of addresses its table covers, in bytes
}

// Bits of descriptors (VMSAv8-64, stage 1, without LPA2).
const (
	descValid    = 1 << 0
	descTable    = 1 << 1 // or a page, at the last level
	descUser     = 1 << 6 // AP[1]
	descReadOnly = 1 << 7 // AP[2]
	descPXN      = 1 << 53
	tablePXN     = 1 << 59
	tableRO      = 1 << 62 // APTable[1]
	descAddr     = 1<<48 - 1
)

// granuleBits are the sizes of pages that TCR_EL1.TG0 and TG1 stand for.
var granuleBits = [2][4]uint{{12, 16, 14, 0}, {0, 14, 12, 16}}

// translate walks the tables that the CPU's registers name, as its hardware would. ok is false
// where they map nothing at va.
func (c *cpu) translate(va uint64) (m mapping, ok bool) {
	if c.system(sctlr)&sctlrM == 0 {
		at := va &^ (blockSize - 1)
		return mapping{va: at, pa: at, size: blockSize, perm: emu.Read | emu.Write | emu.Exec, table: blockSize}, va < 1<<48
	}
	if va-windowBase < windowSize {
		return mapping{va: windowBase, pa: ramBase + ramSize, size: windowSize, perm: emu.Read | emu.Write | emu.User, table: windowSize}, true
	}
	upper := va >> 55 & 1
	control := c.system(tcr)
	table := c.system(ttbr0) & descAddr &^ 1
	if upper == 1 {
		table = c.system(ttbr1) & descAddr &^ 1
		control >>= 16
	}
	vaBits := 64 - uint(control&63)
	granule := granuleBits[upper][control>>14&3]
	if top := uint64(int64(va) >> vaBits); granule == 0 || top+upper != 0 || vaBits <= granule {
		return m, false
	}
	perm := emu.Read | emu.Write | emu.Exec
	stride := granule - 3
	for shift := granule + (vaBits-granule-1)/stride*stride; ; shift -= stride {
		index := va & (1<<min(shift+stride, vaBits) - 1) >> shift
		d, present := c.m.physical64(table&^7 + 8*index)
		last := shift == granule
		switch {
		case !present || d&descValid == 0 || last && d&descTable == 0:
			return m, false
		case !last && d&descTable != 0:
			if d&tablePXN != 0 {
				perm &^= emu.Exec
			}
			if d&tableRO != 0 {
				perm &^= emu.Write
			}
			table = d & descAddr &^ (1<<granule - 1)
			continue
		}
		if d&descReadOnly != 0 {
			perm &^= emu.Write
		}
		if d&descPXN != 0 {
			perm &^= emu.Exec
		}
		if d&descUser != 0 {
			perm |= emu.User
		}
		size := uint64(1) << shift
		return mapping{va: va &^ (size - 1), pa: d & descAddr &^ (size - 1), size: size, perm: perm, table: size << stride}, true
	}
}

// blockSize is how much of memory becomes one region where addresses are not translated.
const blockSize = 2 << 20

// maxRegion bounds how much one fault maps.
const maxRegion = 32 << 20

// fill makes the region that the tables describe at va: its page, and the pages around it in the
// same table that go on with it. A CPU may keep what it has walked until the kernel invalidates it, and may
// walk ahead; the regions are that cache. ok is false where no RAM is mapped.
func (c *cpu) fill(at mapping) (ok bool, err error) {
	first := c.m.clip(at)
	if first.size == 0 {
		return false, nil
	}
	m := first
	limit := min(at.table, maxRegion)
	low := at.va &^ (limit - 1)
	for m.va+m.size-low < limit {
		next, ok := c.translate(m.va + m.size)
		if !ok || next.pa != m.pa+m.size || next.perm != m.perm || c.m.mem.Region(next.va) != nil || c.m.clip(next) != next {
			break
		}
		m.size += next.size
	}
	for m.va > low {
		prev, ok := c.translate(m.va - 1)
		if !ok || prev.pa+prev.size != m.pa || prev.perm != m.perm || c.m.mem.Region(prev.va+prev.size-1) != nil || c.m.clip(prev) != prev {
			break
		}
		m.va, m.pa, m.size = prev.va, prev.pa, m.size+prev.size
	}
	if err := c.m.mem.Unmap(first.va, first.size); err != nil {
		return false, err
	}
	off := m.pa - ramBase
	_, err = c.m.mem.Alias("ram", m.va, c.m.ram[off:off+m.size:off+m.size], m.perm)
	return err == nil, err
}

// clip is the part of a mapping that is RAM, from its start on.
func (m *Machine) clip(at mapping) mapping {
	end := uint64(ramBase + len(m.ram))
	if at.pa < ramBase || at.pa >= end {
		at.size = 0
		return at
	}
	at.size = min(at.size, end-at.pa)
	return at
}

// Invalidate implements [emu.Translation]: regions that the tables no longer describe go.
func (m *Machine) Invalidate(all bool, addr uint64) {
	if !all {
		m.keep(m.mem.Unmap(addr&^(m.page-1), m.page))
		return
	}
	for _, r := range m.mem.Regions() {
		m.checkRegion(r)
	}
}

// checkRegion unmaps what the tables do not describe of a region.
func (m *Machine) checkRegion(r *emu.Region) {
	c := m.cpus[m.running]
	for va := r.Base; va < r.End(); {
		at, ok := c.translate(va)
		size := m.page
		if ok {
			size = at.va + at.size - va
		}
		size = min(size, r.End()-va)
		same := ok && at.perm == r.Perm && at.pa >= ramBase && &r.Host()[va-r.Base] == m.host(at.pa+va-at.va)
		if !same {
			m.keep(m.mem.Unmap(va, size))
		}
		va += size
	}
}

// host is the host's address of a byte of RAM; nil for any other address.
func (m *Machine) host(pa uint64) *byte {
	if pa < ramBase || pa-ramBase >= uint64(len(m.ram)) {
		return nil
	}
	return &m.ram[pa-ramBase]
}

// physical64 reads a doubleword of RAM.
func (m *Machine) physical64(pa uint64) (uint64, bool) {
	off := pa - ramBase
	if pa < ramBase || off > uint64(len(m.ram))-8 {
		return 0, false
	}
	if m.checkpoints != nil {
		m.checkpoints.tables[off>>pageShift] = true
	}
	return binary.LittleEndian.Uint64(m.ram[off:]), true
}

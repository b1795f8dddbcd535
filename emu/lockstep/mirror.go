package lockstep

import (
	"errors"
	"fmt"

	"callops/emu"
)

// mirror keeps the copies of a memory.
type mirror struct {
	real  *emu.Memory
	sides [2]*emu.Memory // what the engines run on
	base  *emu.Memory    // what was there when the chunk began; between chunks all three copies are equal
	text  changes

	seen   []*emu.Region // the real regions when last looked at
	copies map[*emu.Region]*copies
}

// copies are those of one region.
type copies struct {
	real, base *emu.Region
	sides      [2]*emu.Region
	touched    pageSet // of the sides, when they were last compared
}

func newMirror(real *emu.Memory) *mirror {
	m := &mirror{
		real: real, base: emu.NewMemory(), sides: [2]*emu.Memory{emu.NewMemory(), emu.NewMemory()},
		copies: map[*emu.Region]*copies{},
	}
	for _, side := range m.sides {
		side.CopyRegisters(real)
	}
	return m
}

func (m *mirror) close() error {
	return errors.Join(m.base.Close(), m.sides[0].Close(), m.sides[1].Close())
}

// sync makes the copies equal to the real memory.
func (m *mirror) sync() error {
	if err := m.mapRegions(); err != nil {
		return err
	}
	// Changed text is taken first: a change after this line is announced to the
	// engines next time, with the words that it announces.
	changed, sealed := m.text.take()
	for _, r := range m.seen {
		c := m.copies[r]
		base := c.base.Host()
		var present pageSet
		if !r.Filed() { // a file's pages have content before anything touches them
			present = touched(r.Host())
		}
		for off := range differing(r.Host(), base, present) {
			to := base[off : off+emu.PageSize]
			load(to, r.Host()[off:])
			copy(c.sides[0].Host()[off:], to)
			copy(c.sides[1].Host()[off:], to)
		}
	}
	for _, r := range sealed {
		c := m.copies[r]
		if err := errors.Join(m.base.WriteProtect(c.base), m.sides[0].WriteProtect(c.sides[0]), m.sides[1].WriteProtect(c.sides[1])); err != nil {
			return err
		}
	}
	for _, s := range changed {
		m.sides[0].SyncText(s.addr, s.size)
		m.sides[1].SyncText(s.addr, s.size)
	}
	return nil
}

// mapRegions gives each new region its copies.
func (m *mirror) mapRegions() error {
	regions := m.real.Regions()
	if len(regions) == len(m.seen) && (len(regions) == 0 || &regions[0] == &m.seen[0]) {
		return nil
	}
	for _, r := range regions {
		if m.copies[r] != nil {
			continue
		}
		c := &copies{real: r}
		for _, to := range []struct {
			mem    *emu.Memory
			region **emu.Region
		}{{m.base, &c.base}, {m.sides[0], &c.sides[0]}, {m.sides[1], &c.sides[1]}} {
			copied, err := to.mem.Map(r.Name, r.Base, r.Size, r.Perm)
			if err != nil {
				return fmt.Errorf("copy of %s: %w", r.Name, err)
			}
			*to.region = copied
		}
		m.copies[r] = c
	}
	m.seen = regions
	return nil
}

// rewind takes back what the engines did in a chunk that is not published.
func (m *mirror) rewind() {
	for _, r := range m.seen {
		c := m.copies[r]
		base := c.base.Host()
		for _, side := range c.sides {
			for off := range differing(side.Host(), base, touched(side.Host(), base)) {
				copy(side.Host()[off:off+emu.PageSize], base[off:])
			}
		}
	}
}

// equal compares what the engines made of their copies.
func (m *mirror) equal() bool {
	for _, r := range m.seen {
		c := m.copies[r]
		a, b := c.sides[0].Host(), c.sides[1].Host()
		c.touched = touched(a, b)
		for range differing(a, b, c.touched) {
			return false
		}
	}
	return true
}

// publish writes to the real memory what guest code changed, and only that. It
// follows equal.
func (m *mirror) publish() {
	for _, r := range m.seen {
		c := m.copies[r]
		after := c.sides[0].Host()
		for off := range differing(after, c.base.Host(), c.touched) {
			end := off + emu.PageSize
			merge(r.Host()[off:end], c.base.Host()[off:end], after[off:end])
			copy(c.base.Host()[off:end], after[off:end])
		}
	}
}

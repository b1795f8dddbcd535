package interp

import (
	"unsafe"

	"callops/emu"
)

//go:generate go run ./internal/genfast

// loop executes from pc, which is in p, until something stops it or count
// reaches limit. pc and count are exact when it returns.
func (c *CPU) loop(p *page, limit uint64) stop {
	in, count := p.at(c.pc), c.count
	halted := c.took(in, &count, limit)
	for {
		if !halted {
			p, in, count, halted = c.fast(p, in, count, limit)
		}
		if halted {
			c.pc, c.count = p.pc(in), count-uint64(in.left)
			return c.finish(p, in, limit)
		}
		switch in.op {
		case opDecode:
			if p.host == nil { // gates, or unmapped
				c.pc, c.count = p.pc(in), count
				return stopNone
			}
			c.decode(p, in)
			count += uint64(in.left)
			halted = count > limit
			continue
		case opPageEnd:
			c.pc, c.count = p.base+emu.PageSize, count
			if p = c.goOn(limit); p == nil {
				return stopNone
			}
			in = p.at(c.pc)
			halted = c.took(in, &count, limit)
			continue
		}
		left := uint64(in.left)
		c.pc, c.count = p.pc(in), count-left
		switch s := c.reference(p, in); s {
		case stopNone:
			c.pc += 4
			if c.changes.pending.Load() {
				c.count++
				return stopNone
			}
			in = next(in)
			if left == 1 { // it was the run's last
				count += uint64(in.left)
				halted = count > limit
			}
		case stopBranch:
			c.count++
			count = c.count
			if p = c.goOn(limit); p == nil {
				return stopNone
			}
			in = p.at(c.pc)
			halted = c.took(in, &count, limit)
		default:
			return s
		}
	}
}

// took enters the run at in by a branch, and reports whether that has to halt.
func (c *CPU) took(in *inst, count *uint64, limit uint64) bool {
	c.ring[c.head%ringSize] = ringEntry{uintptr(unsafe.Pointer(in)), *count}
	c.head++
	*count += uint64(in.left)
	return *count > limit || c.changes.pending.Load()
}

// reference executes the instruction at pc by its row's function. Of what the
// loop does as one it is the first.
func (c *CPU) reference(p *page, in *inst) stop {
	w := p.words[p.offset(in)/4]
	c.word = w
	if in.op == opExec || in.op == opExecEnd {
		if in.imm == breakpoint {
			return c.breakpoint(w)
		}
		return rows[in.imm].exec(c, w)
	}
	return rows[lookupRow(w)].exec(c, w)
}

// goOn returns the page that pc is in, or nil when the loop can't go on there
// or must not.
func (c *CPU) goOn(limit uint64) *page {
	if c.count >= limit || c.pc%4 != 0 || c.changes.pending.Load() {
		return nil
	}
	return c.fetch(c.pc)
}

// finish executes what is left up to the limit, one instruction at a time, since
// less is left than the run at in has. It stops for changed text.
func (c *CPU) finish(p *page, in *inst, limit uint64) stop {
	for c.count < limit && !c.changes.pending.Load() {
		if in.op == opDecode {
			if p.host == nil {
				return stopNone
			}
			c.decode(p, in)
		}
		c.went(in)
		switch s := c.reference(p, in); s {
		case stopNone:
			c.pc += 4
		case stopBranch:
		default:
			return s
		}
		c.count++
		if p = c.goOn(limit); p == nil {
			return stopNone
		}
		in = p.at(c.pc)
	}
	return stopNone
}

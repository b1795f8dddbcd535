package interp

import (
	"sync/atomic"
	"unsafe"

	"callops/emu"
)

// Exclusives, acquire and release, and the LSE atomics.

// monitor is the local exclusive monitor. As in QEMU it remembers the address
// and what was there, and the store is a compare and swap with that: another
// CPU's store that leaves the value as it was goes unnoticed.
type monitor struct {
	addr      uint64
	val, high uint64
}

// noMonitor is an address that no exclusive access can have: they are aligned.
const noMonitor = ^uint64(0)

func (m *monitor) clear() { m.addr = noMonitor }

// aligned refuses an address that is no multiple of size.
func (c *CPU) aligned(addr, size, elem uint64, access emu.Access) bool {
	if addr%size == 0 {
		return true
	}
	c.refuse(addr, elem, access, emu.Misaligned)
	return false
}

// writable returns the host address of size bytes, aligned, to change.
func (c *CPU) writable(addr, size, elem uint64) (unsafe.Pointer, bool) {
	if !c.aligned(addr, size, elem, emu.Store) {
		return nil, false
	}
	p, ok := c.stores.at(addr, 0)
	if !ok {
		p, ok = c.lookup(addr, elem, emu.Store)
	}
	return p, ok
}

// execExclusive is the encodings of exclusives, ordered accesses, CAS and CASP.
func execExclusive(c *CPU, w uint32) stop {
	o2, load, o1 := w>>23&1, w>>22&1 == 1, w>>21&1
	switch {
	case o2 == 1 && o1 == 1:
		return c.cas(w)
	case o2 == 1:
		return c.ordered(w, c.regSP(fieldRn(w)), load)
	case o1 == 1 && !is64(w):
		return c.casPair(w)
	case load:
		return c.loadExclusive(w, o1 == 1)
	}
	return c.storeExclusive(w, o1 == 1)
}

// ordered is LDAR, STLR, LDAPR and the like. The architecture wants them
// aligned; QEMU 5 does not ask, and neither does this. Unaligned they are
// neither atomic nor, on all hosts, ordered.
func (c *CPU) ordered(w uint32, addr uint64, load bool) stop {
	size := uint64(1) << (w >> 30)
	if load {
		return c.loadAcquire(element{size: size, load: true}, fieldRd(w), addr)
	}
	return c.storeRelease(size, c.reg(fieldRd(w)), addr)
}

func (c *CPU) loadAcquire(e element, rt uint32, addr uint64) stop {
	p, q, ok := c.span(addr, e.size, emu.Load)
	if !ok {
		return stopFault
	}
	var v uint64
	switch {
	case q != nil:
		v = loadSplit(p, q, addr, e.size)
		fence()
	case addr%e.size != 0 || e.size < 4:
		v = loadHost(p, e.size)
		fence()
	case e.size == 4:
		v = uint64(atomic.LoadUint32((*uint32)(p)))
	default:
		v = atomic.LoadUint64((*uint64)(p))
	}
	c.setReg(rt, e.extend(v))
	return stopNone
}

func (c *CPU) storeRelease(size, v, addr uint64) stop {
	p, q, ok := c.span(addr, size, emu.Store)
	if !ok {
		return stopFault
	}
	switch {
	case q != nil:
		fence()
		storeSplit(p, q, addr, size, v)
	case addr%size != 0 || size < 4:
		// Also after it: STLR is ordered before a later LDAR.
		fence()
		storeHost(p, size, v)
		fence()
	case size == 4:
		atomic.StoreUint32((*uint32)(p), uint32(v))
	default:
		atomic.StoreUint64((*uint64)(p), v)
	}
	c.stored(addr, size)
	return stopNone
}

// execOrderedUnscaled is LDAPUR and STLUR.
func execOrderedUnscaled(c *CPU, w uint32) stop {
	e, ok := transfer(w)
	if !ok || isPrefetch(w) {
		return stopUndefined
	}
	addr := c.regSP(fieldRn(w)) + signedField(w, 12, 9)
	if e.load {
		return c.loadAcquire(e, fieldRd(w), addr)
	}
	return c.storeRelease(e.size, c.reg(fieldRd(w)), addr)
}

func (c *CPU) loadExclusive(w uint32, pair bool) stop {
	addr, elem := c.regSP(fieldRn(w)), uint64(1)<<(w>>30)
	size := elem
	if pair {
		size *= 2
	}
	if !c.aligned(addr, size, elem, emu.Load) {
		return stopFault
	}
	p, _, ok := c.span(addr, elem, emu.Load)
	if !ok {
		return stopFault
	}
	m := monitor{addr: addr}
	switch size {
	case 4:
		m.val = uint64(atomic.LoadUint32((*uint32)(p)))
	case 8:
		m.val = atomic.LoadUint64((*uint64)(p))
	case 16:
		m.val = atomic.LoadUint64((*uint64)(p))
		m.high = atomic.LoadUint64((*uint64)(unsafe.Add(p, 8)))
	default:
		m.val = loadHost(p, size)
		fence()
	}
	c.monitor = m
	rt, rt2 := fieldRd(w), fieldRa(w)
	switch {
	case !pair:
		c.setReg(rt, m.val)
	case elem == 4:
		c.setReg(rt, uint64(uint32(m.val)))
		c.setReg(rt2, m.val>>32)
	default:
		c.setReg(rt, m.val)
		c.setReg(rt2, m.high)
	}
	return stopNone
}

// storeExclusive fails without a look at memory when the monitor is not on the
// address.
func (c *CPU) storeExclusive(w uint32, pair bool) stop {
	addr, elem, m := c.regSP(fieldRn(w)), uint64(1)<<(w>>30), c.monitor
	if m.addr != addr {
		c.monitor.clear()
		c.setReg(fieldRm(w), 1)
		return stopNone
	}
	size, v := elem, c.reg(fieldRd(w))
	if pair {
		size *= 2
	}
	p, ok := c.writable(addr, size, elem)
	if !ok {
		return stopFault
	}
	switch {
	case size == 16:
		_, _, ok = cas128(p, m.val, m.high, v, c.reg(fieldRa(w)))
	case pair:
		_, ok = casHost(p, 8, m.val, uint64(uint32(v))|c.reg(fieldRa(w))<<32)
	default:
		_, ok = casHost(p, size, m.val, v)
	}
	c.stored(addr, size)
	c.monitor.clear()
	c.setReg(fieldRm(w), uint64(bit(!ok, 1)))
	return stopNone
}

func (c *CPU) cas(w uint32) stop {
	if fieldRa(w) != 31 {
		return stopUndefined
	}
	addr, size := c.regSP(fieldRn(w)), uint64(1)<<(w>>30)
	p, ok := c.writable(addr, size, size)
	if !ok {
		return stopFault
	}
	old, _ := casHost(p, size, c.reg(fieldRm(w)), c.reg(fieldRd(w)))
	c.stored(addr, size)
	c.setReg(fieldRm(w), old)
	return stopNone
}

func (c *CPU) casPair(w uint32) stop {
	rs, rt := fieldRm(w), fieldRd(w)
	if fieldRa(w) != 31 || (rs|rt)&1 != 0 {
		return stopUndefined
	}
	addr, elem := c.regSP(fieldRn(w)), uint64(4)<<(w>>30&1)
	p, ok := c.writable(addr, 2*elem, elem)
	if !ok {
		return stopFault
	}
	s0, s1, t0, t1 := c.reg(rs), c.reg(rs+1), c.reg(rt), c.reg(rt+1)
	if elem == 4 {
		old, _ := casHost(p, 8, uint64(uint32(s0))|s1<<32, uint64(uint32(t0))|t1<<32)
		s0, s1 = uint64(uint32(old)), old>>32
	} else {
		s0, s1, _ = cas128(p, s0, s1, t0, t1)
	}
	c.stored(addr, 2*elem)
	c.setReg(rs, s0)
	c.setReg(rs+1, s1)
	return stopNone
}

// casHost replaces the size bytes at p when they are old, and returns what was
// there. Bytes and halfwords go through the word they lie in.
func casHost(p unsafe.Pointer, size, old, v uint64) (uint64, bool) {
	switch size {
	case 8:
		for {
			have := atomic.LoadUint64((*uint64)(p))
			if have != old {
				fence()
				return have, false
			}
			if atomic.CompareAndSwapUint64((*uint64)(p), old, v) {
				return old, true
			}
		}
	case 4:
		for {
			have := atomic.LoadUint32((*uint32)(p))
			if have != uint32(old) {
				fence()
				return uint64(have), false
			}
			if atomic.CompareAndSwapUint32((*uint32)(p), have, uint32(v)) {
				return uint64(have), true
			}
		}
	}
	mask := uint64(1)<<(8*size) - 1
	return update(p, size, func(have uint64) (uint64, bool) { return v, have == old&mask })
}

// update replaces the 1 or 2 bytes at p by what f makes of them, if it wants to.
func update(p unsafe.Pointer, size uint64, f func(uint64) (uint64, bool)) (uint64, bool) {
	off := uintptr(p) & 3
	word := (*uint32)(unsafe.Add(p, -int(off)))
	shift, mask := 8*off, uint32(1)<<(8*size)-1
	for {
		have := atomic.LoadUint32(word)
		old := uint64(have >> shift & mask)
		v, replace := f(old)
		if !replace {
			fence()
			return old, false
		}
		if atomic.CompareAndSwapUint32(word, have, have&^(mask<<shift)|uint32(v)&mask<<shift) {
			return old, true
		}
	}
}

// execAtomic is LDADD and its like, SWP and LDAPR. All are executed with
// acquire and release semantics, which is more than some ask for.
func execAtomic(c *CPU, w uint32) stop {
	size, op := uint64(1)<<(w>>30), w>>12&15
	addr := c.regSP(fieldRn(w))
	if op == 12 && w>>22&3 == 2 && fieldRm(w) == 31 {
		return c.loadAcquire(element{size: size, load: true}, fieldRd(w), addr)
	}
	if op > 8 {
		return stopUndefined
	}
	p, ok := c.writable(addr, size, size)
	if !ok {
		return stopFault
	}
	old := modify(p, size, op, c.reg(fieldRm(w)))
	c.stored(addr, size)
	c.setReg(fieldRd(w), old)
	return stopNone
}

// modify changes memory and returns what was there.
func modify(p unsafe.Pointer, size uint64, op uint32, v uint64) uint64 {
	switch size {
	case 8:
		w := (*uint64)(p)
		for {
			old := atomic.LoadUint64(w)
			if atomic.CompareAndSwapUint64(w, old, combine(op, 64, old, v)) {
				return old
			}
		}
	case 4:
		w := (*uint32)(p)
		for {
			old := atomic.LoadUint32(w)
			if atomic.CompareAndSwapUint32(w, old, uint32(combine(op, 32, uint64(old), v))) {
				return uint64(old)
			}
		}
	}
	old, _ := update(p, size, func(have uint64) (uint64, bool) { return combine(op, uint(8*size), have, v), true })
	return old
}

// combine is the arithmetic of the atomics on operands of n bits.
func combine(op uint32, n uint, a, b uint64) uint64 {
	sa, sb := int64(a<<(64-n)), int64(b<<(64-n))
	switch op {
	case 0:
		return a + b
	case 1:
		return a &^ b
	case 2:
		return a ^ b
	case 3:
		return a | b
	case 4:
		return uint64(max(sa, sb)) >> (64 - n)
	case 5:
		return uint64(min(sa, sb)) >> (64 - n)
	case 6:
		return max(uint64(sa), uint64(sb)) >> (64 - n)
	case 7:
		return min(uint64(sa), uint64(sb)) >> (64 - n)
	}
	return b // SWP
}

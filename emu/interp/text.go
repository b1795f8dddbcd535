package interp

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"callops/emu"
)

// maxChanges is how many changed pages are dropped one by one; beyond it, all
// that is decoded goes.
const maxChanges = 64

// changes are the pages of text changed since the CPU last looked. They may
// come from any goroutine.
type changes struct {
	pending atomic.Bool // there is something to look at

	mu    sync.Mutex
	pages []uint64
	all   bool
}

// TextChanged implements [emu.TextObserver].
func (c *CPU) TextChanged(addr, size uint64) {
	if size == 0 {
		return
	}
	ch := &c.changes
	ch.mu.Lock()
	defer ch.mu.Unlock()
	first, last := addr&^pageMask, (addr+size-1)&^pageMask
	for p := first; !ch.all; p += emu.PageSize {
		if n := len(ch.pages); n == 0 || ch.pages[n-1] != p {
			ch.pages = append(ch.pages, p)
			ch.all = n == maxChanges
		}
		if p == last {
			break
		}
	}
	ch.pending.Store(true)
}

// syncText drops what has changed.
func (c *CPU) syncText() {
	ch := &c.changes
	if !ch.pending.Load() {
		return
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.pending.Store(false)
	if ch.all {
		for _, p := range c.pages {
			p.drop()
		}
	} else {
		for _, addr := range ch.pages {
			if p := c.pages[addr]; p != nil {
				p.drop()
			}
		}
	}
	ch.pages, ch.all = ch.pages[:0], false
}

// cachedPage is an entry of the cache in front of the CPU's pages. base is that
// of the page.
type cachedPage struct {
	base uint64
	page *page
}

const (
	cachedPages = 256 // see slotOf
	noPage      = 4   // as base: no address has bit 2 set with bits 11:2 masked out
)

// target is where a branch led the last time, found by the branch's inst. What
// it says of pc is true for good, since the inst of an address never changes.
// Going by it, the loop knows the next inst without waiting for anything to be
// computed from pc; that pc is the right one, the host's branch prediction
// assumes.
type target struct {
	pc   uint64
	page *page
	in   *inst
	_    uint64
}

const targets = 1024 // a power of two

func targetSlot(in *inst) uintptr { return uintptr(unsafe.Pointer(in)) / instSize % targets }

// gates is where unused targets lead: nothing there can be decoded, which ends
// the loop.
var gates = page{base: emu.GateBase}

// fetch returns the page that holds pc, or nil where nothing can be executed.
func (c *CPU) fetch(pc uint64) *page {
	if emu.InGates(pc) {
		return nil
	}
	base := pc &^ pageMask
	p := c.pages[base]
	if p == nil || p.host == nil {
		r := c.engine.mem.Region(pc)
		if r == nil || r.Perm&emu.Exec == 0 {
			return nil
		}
		if p == nil {
			p = &page{base: base}
			p.drop()
			c.pages[base] = p
		}
		p.host, p.wx = unsafe.Pointer(&r.Host()[base-r.Base]), r.Perm&emu.Write != 0
	}
	c.cache[slotOf(base)] = cachedPage{base, p}
	return p
}

// decode decodes the straight run that begins at in. The page is not gates.
func (c *CPU) decode(p *page, in *inst) {
	if p.wx {
		c.engine.decoded.Store(p.base, struct{}{})
		fence() // see textStored
	}
	first := int(p.offset(in) / 4)
	i := first
	for ; i < pageWords && p.ops[i].op == opDecode; i++ {
		p.words[i] = p.word(i)
		p.ops[i] = c.traps.at(translate(p.words[i], p.base+4*uint64(i)), p.base+4*uint64(i))
		if p.ops[i].op.endsRun() {
			i++
			break
		}
	}
	// What follows is a separate run after the end of this one; otherwise
	// this one goes on in it.
	end, left := i-1, uint16(0)
	if i < pageWords && !p.ops[i-1].op.endsRun() {
		left = p.ops[i].left
	}
	for i--; i >= first; i-- {
		left++
		p.ops[i].left = left
	}
	c.join(p, first, end)
}

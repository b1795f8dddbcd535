package gdb

import (
	"callops/emu"
)

const (
	// interval is how many instructions there are at most between two checkpoints: what going back
	// by one executes again.
	interval = 1 << 20

	// maxHistory bounds the memory that a history takes, in bytes. The oldest of it is forgotten.
	maxHistory = 256 << 20

	epochCost = 2048 // of one without pages, in bytes
)

// history is what one CPU has executed, and how to get back there. It is cut into epochs. What guest code
// did in one follows from the state in which it began, and is executed again. What Go code did (a gate, an
// operation of ftrace's core, the debugger) is known by what it left: its effects are put back and forth, and
// Go's own state stays as it is. So nothing but guest code's execution can be travelled, and in the past nothing
// can be changed.
//
// Stub.mu guards it, except while guest code runs, when it is that CPU's goroutine's.
type history struct {
	mem    *emu.Memory
	cpu    emu.Debuggable
	epochs []*epoch // the last is the one being recorded
	size   int      // bytes
	limit  int      // of size

	at     int          // the epoch that the CPU is in; the last: the present, or within that epoch
	behind bool         // the CPU is in the past
	live   emu.CPUState // where it is in the present
	regs   emu.Regs     // its registers there
}

// epoch is a stretch of guest code, or of Go code between two of these.
type epoch struct {
	guest bool
	begin emu.CPUState
	regs  emu.Regs          // at its beginning
	pre   map[uint64][]byte // by address: pages as they were at its beginning, all that it stores to
	post  map[uint64][]byte // the same at its end, while the CPU is before that
	wrote bool              // the debugger has written a system register
}

func newHistory(mem *emu.Memory, cpu emu.Debuggable) *history {
	h := &history{mem: mem, cpu: cpu, limit: maxHistory}
	h.begin(false)
	return h
}

func (h *history) last() *epoch { return h.epochs[len(h.epochs)-1] }

// past reports whether the CPU is in the past.
func (h *history) past() bool { return h.behind }

// begin begins an epoch where the CPU is.
func (h *history) begin(guest bool) {
	h.epochs = append(h.epochs, &epoch{guest: guest, begin: h.cpu.Save(), regs: *h.cpu.Regs(), pre: make(map[uint64][]byte)})
	h.at = len(h.epochs) - 1
	h.size += epochCost
	if guest {
		h.cpu.ForgetPages()
	}
	for h.size > h.limit && len(h.epochs) > 2 {
		first := h.epochs[0]
		h.size -= epochCost + len(first.pre)*emu.PageSize
		h.epochs = h.epochs[1:]
		h.at--
	}
}

// enterGuest says that guest code goes on, and returns how many instructions it may execute of most.
func (h *history) enterGuest(most uint64) uint64 {
	if e := h.last(); !e.guest {
		if len(h.epochs) > 1 && !h.did(h.at, h.cpu.Regs()) {
			h.epochs, h.at = h.epochs[:h.at], h.at-1
			h.size -= epochCost
			h.present()
		} else {
			h.begin(true)
		}
	}
	done := h.cpu.Count() - h.last().begin.Count()
	if done >= interval {
		h.begin(true)
		done = 0
	}
	return min(most, interval-done)
}

// leaveGuest says that guest code has stopped.
func (h *history) leaveGuest() { h.begin(false) }

// did reports whether Go code changed anything in an epoch, which ends with such registers.
func (h *history) did(at int, end *emu.Regs) bool {
	e := h.epochs[at]
	return len(e.pre) > 0 || e.wrote || e.regs != *end
}

// present says that the last epoch goes on.
func (h *history) present() {
	e := h.last()
	h.size -= len(e.post) * emu.PageSize
	e.post = nil
}

// keep keeps the page at addr as it is, for the way back.
func (h *history) keep(addr uint64) {
	if h.behind {
		return
	}
	page := addr &^ (emu.PageSize - 1)
	e := h.last()
	if _, ok := e.pre[page]; ok {
		return
	}
	if b := h.page(page); b != nil {
		e.pre[page] = append([]byte(nil), b...)
		h.size += emu.PageSize
	}
}

// page is the host memory of a page, nil where there is none.
func (h *history) page(page uint64) []byte {
	r := h.mem.Region(page)
	if r == nil {
		return nil
	}
	return r.Host()[page-r.Base:][:emu.PageSize]
}

// hostStores keeps what Go code is about to change.
func (h *history) hostStores(addr, size uint64) {
	for page := addr &^ (emu.PageSize - 1); page-addr < size || page <= addr; page += emu.PageSize {
		h.keep(page)
	}
}

// put makes pages what they were.
func (h *history) put(pages map[uint64][]byte) {
	for page, was := range pages {
		b := h.page(page)
		if b == nil {
			continue
		}
		copy(b, was)
		if h.mem.Region(page).Perm&emu.Exec != 0 {
			h.mem.SyncText(page, emu.PageSize)
		}
	}
}

// rewind goes to the beginning of the epoch that the CPU is in. Where it has not been there before, the
// CPU is at the epoch's end.
func (h *history) rewind() {
	e := h.epochs[h.at]
	if !h.behind {
		h.live, h.regs, h.behind = h.cpu.Save(), *h.cpu.Regs(), true
	}
	if e.post == nil {
		e.post = make(map[uint64][]byte, len(e.pre))
		for page := range e.pre {
			e.post[page] = append([]byte(nil), h.page(page)...)
		}
		h.size += len(e.post) * emu.PageSize
	}
	h.put(e.pre)
	h.cpu.Restore(e.begin)
}

// forward goes to the end of the epoch that the CPU is in, which is the beginning of the next or the present.
func (h *history) forward() {
	h.put(h.epochs[h.at].post)
	if h.at == len(h.epochs)-1 {
		h.cpu.Restore(h.live)
		h.behind = false
		h.present()
		return
	}
	h.at++
	h.cpu.Restore(h.epochs[h.at].begin)
}

// toPresent goes to the present.
func (h *history) toPresent() {
	for h.behind {
		h.forward()
	}
}

// end is the count of instructions at the end of an epoch, and the registers there.
func (h *history) end(at int) (uint64, *emu.Regs) {
	if at == len(h.epochs)-1 {
		return h.live.Count(), &h.regs
	}
	next := h.epochs[at+1]
	return next.begin.Count(), &next.regs
}

// changed returns the watchpoint for stores whose bytes Go code has changed in an epoch, or nil.
func (h *history) changed(e *epoch, traps *emu.Traps) *emu.Watchpoint {
	if traps == nil {
		return nil
	}
	for i, w := range traps.Watchpoints {
		for addr := w.Addr; w.Store && addr-w.Addr < w.Size; addr++ {
			page, off := addr&^(emu.PageSize-1), addr%emu.PageSize
			if was, ok := e.pre[page]; ok && was[off] != e.post[page][off] {
				return &traps.Watchpoints[i]
			}
		}
	}
	return nil
}

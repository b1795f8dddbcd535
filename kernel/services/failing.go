package services

import (
	"fmt"
	"sync"
)

// FailedAlloc is an allocation that was made to fail.
type FailedAlloc struct {
	N       uint64   // which one, counted from 1 since it was asked for
	Func    string   // that returned NULL
	Size    uint64   // bytes that it was asked for
	Callers []string // as %pS, innermost first
}

func (f FailedAlloc) String() string {
	by := ""
	if len(f.Callers) > 0 {
		by = " by " + f.Callers[0]
	}
	return fmt.Sprintf("allocation %d failed: %s of %d bytes%s", f.N, f.Func, f.Size, by)
}

// failing counts allocations, and makes one of them fail (lib/fault-inject.c,
// mm/failslab.c).
type failing struct {
	report func(FailedAlloc)

	mu    sync.Mutex
	count uint64
	from  uint64 // the count when it was asked for
	at    uint64 // the count that fails; 0: none
}

// fails counts an allocation, and reports whether it is the one to fail. One that must
// not (__GFP_NOFAIL) is not counted.
func (f *failing) fails(c *request, size uint64, flags gfp) bool {
	if flags&gfpNoFail != 0 {
		return false
	}
	f.mu.Lock()
	f.count++
	n := f.count - f.from
	failed := f.count == f.at
	if failed {
		f.at = 0
	}
	f.mu.Unlock()
	if failed && f.report != nil {
		f.report(FailedAlloc{N: n, Func: c.r.Name, Size: size, Callers: c.callers()})
	}
	return failed
}

// callers is the calls that led to the gate, as %pS.
func (c *request) callers() []string {
	var callers []string
	for _, pc := range c.s.k.Backtrace(c.cpu.ID())[1:] {
		callers = append(callers, c.s.k.Where(pc))
	}
	return callers
}

// FailAlloc has the n-th allocation from now on fail, once: the guest gets NULL, as by
// the kernel's fault injection. 0 has none fail. It may be called while CPUs run.
func (s *Services) FailAlloc(n int) {
	s.failing.mu.Lock()
	defer s.failing.mu.Unlock()
	s.failing.from, s.failing.at = s.failing.count, 0
	if n > 0 {
		s.failing.at = s.failing.from + uint64(n)
	}
}

// Allocations is how many allocations there were that could have failed.
func (s *Services) Allocations() uint64 {
	s.failing.mu.Lock()
	defer s.failing.mu.Unlock()
	return s.failing.count
}

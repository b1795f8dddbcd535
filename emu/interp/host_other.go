//go:build !amd64 && !arm64

package interp

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// What the loop may do for the guest's order: tso says that plain loads and plain stores each
// keep theirs, fences that an atomic addition orders as fence does.
const (
	tso    = false
	fences = true
)

var cas128Mu sync.Mutex

// cas128 replaces the 16 bytes at p when they are old, and returns what was
// there. Only against itself is it atomic here, not against other accesses to
// one of the halves.
func cas128(p unsafe.Pointer, old0, old1, new0, new1 uint64) (have0, have1 uint64, swapped bool) {
	lo, hi := (*uint64)(p), (*uint64)(unsafe.Add(p, 8))
	cas128Mu.Lock()
	defer cas128Mu.Unlock()
	have0, have1 = atomic.LoadUint64(lo), atomic.LoadUint64(hi)
	if have0 == old0 && have1 == old1 {
		atomic.StoreUint64(lo, new0)
		atomic.StoreUint64(hi, new1)
		return have0, have1, true
	}
	return have0, have1, false
}

var fenced atomic.Uint64

// fence orders atomic accesses; others as far as this host's atomics do.
func fence() { fenced.Add(0) }

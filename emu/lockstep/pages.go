package lockstep

import (
	"bytes"
	"iter"
	"sync/atomic"
	"unsafe"

	"callops/emu"
)

// stride is what is compared at once; most of memory is equal most of the time.
const stride = 16 * emu.PageSize

// differing gives the offsets of the pages that differ, of those that present
// does not rule out. x and y are whole regions.
func differing(x, y []byte, present pageSet) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := 0; at < len(x); at += stride {
			end := min(at+stride, len(x))
			if !present.any(at, end) || bytes.Equal(x[at:end], y[at:end]) {
				continue
			}
			for off := at; off < end; off += emu.PageSize {
				if !bytes.Equal(x[off:off+emu.PageSize], y[off:off+emu.PageSize]) && !yield(off) {
					return
				}
			}
		}
	}
}

// words is a page of host memory as aligned words, for access that does not
// tear what another thread stores meanwhile.
func words(page []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(page))), emu.PageSize/8)
}

// load copies a page that others may be writing.
func load(to, from []byte) {
	src := words(from)
	for i := range words(to) {
		words(to)[i] = atomic.LoadUint64(&src[i])
	}
}

// merge writes to real the bytes in which after differs from before, and
// leaves alone what others have written beside them.
func merge(real, before, after []byte) {
	dst, old, now := words(real), words(before), words(after)
	for i := range now {
		for mask := changedBytes(old[i] ^ now[i]); mask != 0; {
			have := atomic.LoadUint64(&dst[i])
			if atomic.CompareAndSwapUint64(&dst[i], have, have&^mask|now[i]&mask) {
				break
			}
		}
	}
}

// changedBytes turns each byte that is not zero into 0xff.
func changedBytes(diff uint64) uint64 {
	var mask uint64
	for b := uint64(0xff); b != 0; b <<= 8 {
		if diff&b != 0 {
			mask |= b
		}
	}
	return mask
}

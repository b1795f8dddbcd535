package lockstep

import (
	"encoding/binary"
	"os"
	"sync"
	"unsafe"

	"callops/emu"
)

// A heap of 64 MiB of which 1 MiB is used is mostly pages that were never
// written. Linux reports which: /proc/self/pagemap has a word for each page, with
// bits for "present" and "swapped".
const (
	pagemapEntry   = 8
	pagemapPresent = 1 << 63
	pagemapSwapped = 1 << 62

	// smallRegion is compared faster than the kernel is asked.
	smallRegion = 256 << 10
)

// pageSet says for each stride of a region whether a page of it has been
// touched. In the nil set all pages are touched.
type pageSet []bool

func (s pageSet) any(from, _ int) bool { return s == nil || s[from/stride] }

// pagemap is opened once; where there is none, every page counts as touched.
var pagemap = sync.OnceValue(func() *os.File {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil || os.Getpagesize() != emu.PageSize {
		return nil
	}
	return f
})

// touched returns where any of the regions, which have one size, has been
// touched. What has not been is zero in all.
func touched(regions ...[]byte) pageSet {
	f, size := pagemap(), len(regions[0])
	if f == nil || size < smallRegion {
		return nil
	}
	set := make(pageSet, (size+stride-1)/stride)
	entries := make([]byte, size/emu.PageSize*pagemapEntry)
	for _, r := range regions {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(r))) / emu.PageSize * pagemapEntry
		if n, err := f.ReadAt(entries, int64(at)); err != nil || n != len(entries) {
			return nil
		}
		for i := range size / emu.PageSize {
			if binary.LittleEndian.Uint64(entries[i*pagemapEntry:])&(pagemapPresent|pagemapSwapped) != 0 {
				set[i*emu.PageSize/stride] = true
			}
		}
	}
	return set
}

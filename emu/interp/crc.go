package interp

import stdcrc "hash/crc32"

var (
	crcIEEE       = stdcrc.MakeTable(stdcrc.IEEE)
	crcCastagnoli = stdcrc.MakeTable(stdcrc.Castagnoli)
)

// crc32 adds 1<<size bytes. The instructions leave out the inversions that
// hash/crc32 makes before and after, so a loop over its table is what they do.
func crc32(crc uint32, v uint64, size uint32, castagnoli bool) uint64 {
	table := crcIEEE
	if castagnoli {
		table = crcCastagnoli
	}
	for range 1 << size {
		crc = table[byte(crc)^byte(v)] ^ crc>>8
		v >>= 8
	}
	return uint64(crc)
}

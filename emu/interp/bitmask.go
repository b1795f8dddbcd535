package interp

import "math/bits"

// bitmask decodes the immediate of the logical instructions (DecodeBitMasks);
// not ok is a reserved value.
func bitmask(n, imms, immr uint32, is64 bool) (uint64, bool) {
	length := bits.Len32(n<<6|^imms&0x3f) - 1
	if length < 1 || !is64 && n == 1 {
		return 0, false
	}
	size := uint32(1) << length
	s, r := imms&(size-1), immr&(size-1)
	if s == size-1 {
		return 0, false
	}
	elem := uint64(1)<<(s+1) - 1
	if r != 0 {
		elem = elem>>r | elem<<(size-r)
		if size < 64 {
			elem &= uint64(1)<<size - 1
		}
	}
	for ; size < 64; size *= 2 {
		elem |= elem << size
	}
	if !is64 {
		elem = uint64(uint32(elem))
	}
	return elem, true
}

package difftest

import "callops/emu"

// Where the regions lie. Two writable pages meet, then comes one that is
// read-only; the others are followed by nothing. Text is just in reach of the
// gates.
const (
	textBase = emu.GateBase - 0x10_0000
	textSize = 0x4_0000

	dataBase = 0xffff_8000_9000_0000
	data0    = dataBase
	data1    = dataBase + 1*emu.PageSize
	readOnly = dataBase + 2*emu.PageSize
	gap      = dataBase + 3*emu.PageSize
	noAccess = dataBase + 4*emu.PageSize
	data2    = dataBase + 5*emu.PageSize
	lowData  = 0x40_0000
)

var regions = []struct {
	name       string
	base, size uint64
	perm       emu.Perm
}{
	{"text", textBase, textSize, emu.Read | emu.Exec},
	{"data0", data0, emu.PageSize, emu.Read | emu.Write},
	{"data1", data1, emu.PageSize, emu.Read | emu.Write},
	{"readonly", readOnly, emu.PageSize, emu.Read},
	{"noaccess", noAccess, emu.PageSize, 0},
	{"data2", data2, emu.PageSize, emu.Read | emu.Write},
	{"low", lowData, emu.PageSize, emu.Read | emu.Write},
}

// Addresses where something begins or ends.
var edges = []uint64{
	data0, data1, readOnly, gap, noAccess, data2, data2 + emu.PageSize, lowData, lowData + emu.PageSize,
	textBase, textBase + textSize, emu.GateBase, 0, 1 << 48, 1 << 55, ^uint64(0),
}

var corners = []uint64{
	0, 0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
	0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, 0xffff_ffff, 0x1_0000_0000,
	0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0x8000_0000_0000_0001,
	^uint64(0), ^uint64(0), ^uint64(1), 0xffff_ffff_8000_0000, 0xffff_ffff_0000_0000,
	0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, 0x0123_4567_89ab_cdef,
	0xdead_0000_0000_0000, 0xdead_0000_0001_0000, // poison of freed memory
}

// value is what a register holds.
func (s *source) value() uint64 {
	switch s.n(10) {
	case 0, 1, 2:
		return pick(s, corners)
	case 3:
		v := uint64(1)<<s.n(64) - uint64(s.n(2))
		return v ^ -uint64(s.n(2))
	case 4:
		return uint64(int64(s.n(64)) - 32)
	case 5:
		return s.uint64() >> s.n(64)
	case 6:
		return s.address()
	case 7:
		return uint64(s.uint32()) << (32 * s.n(2))
	default:
		return s.uint64()
	}
}

// address is a place in memory, seven times in ten one where an access works.
func (s *source) address() uint64 {
	switch s.n(20) {
	case 0, 1, 2: // about an edge
		return pick(s, edges) + uint64(int64(s.n(49))-24)
	case 3:
		return pick(s, []uint64{readOnly, noAccess, gap, textBase}) + uint64(s.n(emu.PageSize))
	case 4:
		return s.good() ^ 1<<(40+s.n(24))
	case 5: // unaligned
		return s.good() + uint64(s.n(16))
	default:
		return s.good()
	}
}

// good is an aligned address in writable memory, with room on both sides.
func (s *source) good() uint64 {
	base := pick(s, []uint64{data0, data0, data1, data2, lowData})
	return base + 64 + uint64(s.n(emu.PageSize/16-8))*16
}

package interp

import (
	"sync/atomic"
	"unsafe"

	"callops/emu"
)

const (
	pageMask  = emu.PageSize - 1
	pageWords = emu.PageSize / 4
)

// Slots of the register file. Decoding has told SP and ZR apart, so that
// executing needs no test for register 31.
const (
	slotZR   = 31 // reads as zero, never written
	slotSP   = 32
	slotSink = 33 // where results for ZR go, never read

	slotSPEL0    = 34
	slotTPIDREL1 = 35
	slotTPIDREL0 = 36
)

// inst is a decoded instruction: flat, without pointers, so that a page of
// them is nothing to the garbage collector.
//
// imm is whatever constant the operation needs, ready for use; for a branch
// within the page, the distance in bytes from this inst to the target's.
type inst struct {
	op op

	// left is how many instructions there are from this one to the end of its
	// straight run, both counted. Whoever enters the run pays for all of it.
	left uint16

	rd, rn, rm, ra uint8 // slots; ra is a shift amount or the like where there is no fourth register

	imm uint64
}

const instSize = unsafe.Sizeof(inst{})

// page is the decoded text of one page. It is decoded a straight run at a time:
// what is not decoded yet is opDecode, the zero value. The inst after the last
// leads to the next page.
//
// Pages are never freed or moved while their CPU lives: the ring that Recent
// reads holds addresses of insts.
type page struct {
	base  uint64
	ops   [pageWords + 1]inst
	words [pageWords]uint32 // what was decoded
	host  unsafe.Pointer    // the page itself; nil: it has been unmapped, and nothing of it is decoded
	wx    bool              // guest code can write it
}

func (p *page) at(pc uint64) *inst { return &p.ops[pc>>2&(pageWords-1)] }

// pc is the address of the inst, which is one of the page's.
func (p *page) pc(in *inst) uint64 { return p.base + p.offset(in) }

func (p *page) offset(in *inst) uint64 {
	return uint64(uintptr(unsafe.Pointer(in))-uintptr(unsafe.Pointer(&p.ops))) / (uint64(instSize) / 4)
}

func (p *page) word(i int) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Add(p.host, 4*i)))
}

// drop forgets what was decoded.
func (p *page) drop() {
	clear(p.ops[:pageWords])
	p.ops[pageWords] = inst{op: opPageEnd}
}

// next is the inst after in.
func next(in *inst) *inst {
	return (*inst)(unsafe.Add(unsafe.Pointer(in), instSize))
}

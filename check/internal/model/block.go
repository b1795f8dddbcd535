package model

import (
	"encoding/binary"
	"slices"

	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/check/internal/weak"
)

// A block is the part of a state that is one CPU's, a string of bytes:
//
//	0  node
//	4  what waits for the CPU: bit 0 the patcher, then a bit a callback
//	6  low: all data up to this time is visible to the CPU
//	8  text: all instructions cleaned up to this time are
//	10 known: the CPU knows what was owed to ops up to this time
//	12 begun, knew: time, and what was known, when its call began
//	16 a byte a data location: the version read last, if that is newer than what low implies
//
// A time stands for the earliest one at which nothing was different that still
// matters to the CPU.
const (
	cpuNode  = 0
	cpuWaits = 4
	cpuLow   = 6
	cpuText  = 8
	cpuKnown = 10
	cpuBegun = 12
	cpuKnew  = 14
	cpuRead  = 16
)

func get16(s []byte, at int) uint16         { return binary.LittleEndian.Uint16(s[at:]) }
func put16(s []byte, at int, v uint16)      { binary.LittleEndian.PutUint16(s[at:], v) }
func getTime(s []byte, at int) weak.Time    { return weak.Time(get16(s, at)) }
func putTime(s []byte, at int, t weak.Time) { put16(s, at, uint16(t)) }
func getNode(s []byte, at int) uint32       { return binary.LittleEndian.Uint32(s[at:]) }
func putNode(s []byte, at int, id uint32)   { binary.LittleEndian.PutUint32(s[at:], id) }

// block is one that was met, with what a search asks of it most.
type block struct {
	bytes []byte
	node  *guest.Node
	waits uint16
}

// blocks numbers the blocks that a search meets. There are few, for a CPU by
// itself is in few states; what is large is the number of ways in which CPUs
// can be in them at the same time.
type blocks struct {
	list []block
	ids  map[string]search.Part // by kind and bytes
}

// number returns the number of a block of a kind of task.
func (m *product) number(kind int, b []byte) search.Part {
	bs := &m.blocks
	key := string(append([]byte{byte(kind)}, b...))
	id, ok := bs.ids[key]
	if !ok {
		id = search.Part(len(bs.list))
		bs.ids[key] = id
		bs.list = append(bs.list, block{bytes: slices.Clone(b), node: m.g.Node(kind, getNode(b, cpuNode)), waits: get16(b, cpuWaits)})
	}
	return id
}

// block returns the block of a number, which came from number.
func (m *product) block(id search.Part) *block { return &m.blocks.list[id] }

package search

import "encoding/binary"

// order is a set of states that knows in which order they came: the states one
// after another in chunks, and a table of their numbers.
type order struct {
	size   int // of a state
	n      int
	chunks [][]byte
	table  []uint32 // number plus one by hash; 0: nothing
	packed []uint64
}

// maxOrder is how many states can be numbered.
const maxOrder = 1<<32 - 2

// state returns the n-th.
func (o *order) state(n int) []byte { return o.chunks[n/batch][n%batch*o.size:][:o.size] }

// add reports whether the state is new; then it is the last one.
func (o *order) add(state []byte) bool {
	at := o.find(state)
	if o.table[at] != 0 {
		return false
	}
	if o.n%batch == 0 {
		o.chunks = append(o.chunks, make([]byte, 0, batch*o.size))
	}
	last := &o.chunks[len(o.chunks)-1]
	*last = append(*last, state...)
	o.n++
	o.table[at] = uint32(o.n)
	if o.n*4 > len(o.table)*3 {
		o.table = make([]uint32, 2*len(o.table))
		for i := range o.n {
			o.table[o.find(o.state(i))] = uint32(i + 1)
		}
	}
	return true
}

// find returns the place in the table that is the state's, or would be.
func (o *order) find(state []byte) uint64 {
	mask := uint64(len(o.table) - 1)
	for at := o.hash(state) & mask; ; at = (at + 1) & mask {
		if n := o.table[at]; n == 0 || string(o.state(int(n-1))) == string(state) {
			return at
		}
	}
}

func (o *order) hash(state []byte) uint64 {
	o.packed = o.packed[:0]
	for ; len(state) >= 8; state = state[8:] {
		o.packed = append(o.packed, binary.LittleEndian.Uint64(state))
	}
	var last [8]byte
	copy(last[:], state)
	return hash(append(o.packed, binary.LittleEndian.Uint64(last[:])))
}

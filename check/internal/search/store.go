package search

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	shards    = 64
	firstSize = 64 // slots of a new shard

	shareBits = 12 // of a hash, which choose the shard
)

// shardOf is the shard that the highest bits of a hash choose. The shards' parts
// of all states grow from one to the next, to twice the first's: so they double
// one after another, and the store grows by little at a time.
var shardOf = shares()

func shares() (of [1 << shareBits]uint8) {
	at, total := 0.0, 1/(math.Exp2(1.0/shards)-1)
	for i := range shards {
		for n := int(at / total * (1 << shareBits)); n < len(of); n++ {
			of[n] = uint8(i)
		}
		at += math.Exp2(float64(i) / shards)
	}
	return of
}

func shardNumber(h uint64) int { return int(shardOf[h>>(64-shareBits)]) }

// store is the set of states seen: open-addressed tables of whole states, in
// shards so that workers seldom meet.
type store struct {
	words  int // of a slot
	room   *room
	shards [shards]shard
}

// room is memory that a search may take up. What it is asked for only grows
// within a level, and is the same at its end whatever the workers' order was; so
// whether a level fits does not depend on it.
type room struct {
	max  int64 // bytes; 0: no bound
	used atomic.Int64
}

// take reports whether there was room for n bytes more.
func (r *room) take(n int) bool {
	used := r.used.Add(int64(n))
	return r.max == 0 || used <= r.max
}

// full reports whether more was asked for than there is.
func (r *room) full() bool { return r.max > 0 && r.used.Load() > r.max }

// shard is one table. A slot holds the state's bytes and a 1 after them, as
// words, so that an empty slot is one whose last word is 0.
type shard struct {
	mu    sync.Mutex
	slots []uint64
	mask  uint64 // slots, less one
	n     uint64 // states
	_     [64]byte
}

func newStore(size int, room *room) *store {
	s := &store{words: size/8 + 1, room: room}
	for i := range s.shards {
		s.shards[i].slots = make([]uint64, firstSize*s.words)
		s.shards[i].mask = firstSize - 1
	}
	room.take(8 * shards * firstSize * s.words)
	return s
}

// pack makes words of a state.
func (s *store) pack(to []uint64, state []byte) []uint64 {
	to = to[:0]
	for ; len(state) >= 8; state = state[8:] {
		to = append(to, binary.LittleEndian.Uint64(state))
	}
	var last [8]byte
	copy(last[:], state)
	last[len(state)] = 1
	return append(to, binary.LittleEndian.Uint64(last[:]))
}

// unpack appends the bytes of a state.
func unpack(to []byte, words []uint64, size int) []byte {
	n := len(to)
	for _, w := range words {
		to = binary.LittleEndian.AppendUint64(to, w)
	}
	return to[:n+size]
}

// hash mixes words by 128-bit products.
func hash(words []uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, w := range words {
		hi, lo := bits.Mul64(h^w, 0xd6e8feb86659fd93)
		h = hi ^ lo
	}
	hi, lo := bits.Mul64(h, 0xa0761d6478bd642f)
	return hi ^ lo
}

// add reports whether the state, packed, is new.
func (s *store) add(state []uint64) bool {
	h := hash(state)
	sh := &s.shards[shardNumber(h)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.add(h, state, s.room)
}

// pending are packed states on their way to one shard.
type pending struct {
	hashes []uint64
	words  []uint64
}

// addAll adds states of one shard, and calls fresh with the place of each that
// is new. One after another, with nothing between, they wait for memory at the
// same time. Where the room is full it leaves off.
func (s *store) addAll(shard int, p *pending, fresh func(i int)) {
	sh := &s.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i, h := range p.hashes {
		if sh.full() {
			return
		}
		if sh.add(h, p.words[i*s.words:][:s.words], s.room) {
			fresh(i)
		}
	}
}

func (sh *shard) add(h uint64, state []uint64, room *room) bool {
	if !sh.insert(h, state) {
		return false
	}
	if sh.n++; sh.full() && room.take(8*len(sh.slots)) {
		sh.grow(len(state))
	}
	return true
}

// full reports whether the table has to grow before it takes another state.
func (sh *shard) full() bool { return sh.n*4 > (sh.mask+1)*3 }

// insert reports whether the state was not there.
func (sh *shard) insert(h uint64, state []uint64) bool {
	w := uint64(len(state))
	for at := h & sh.mask; ; at = (at + 1) & sh.mask {
		slot := sh.slots[at*w:][:w]
		if slot[w-1] == 0 {
			copy(slot, state)
			return true
		}
		same := true
		for i := range slot {
			if slot[i] != state[i] {
				same = false
				break
			}
		}
		if same {
			return false
		}
	}
}

// grow doubles the table.
func (sh *shard) grow(words int) {
	old := sh.slots
	sh.mask = 2*sh.mask + 1
	sh.slots = make([]uint64, (int(sh.mask)+1)*words)
	for ; len(old) > 0; old = old[words:] {
		if old[words-1] != 0 {
			sh.insert(hash(old[:words]), old[:words])
		}
	}
}

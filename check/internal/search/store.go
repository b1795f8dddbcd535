package search

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

const (
	shards    = 64
	firstSize = 64 // slots of a new shard
)

// store is the set of states seen: open-addressed tables of whole states, in
// shards so that workers seldom meet.
type store struct {
	words  int // of a slot
	shards [shards]shard
}

// shard is one table. A slot holds the state's bytes and a 1 behind them, as
// words, so that an empty slot is one whose last word is 0.
type shard struct {
	mu    sync.Mutex
	slots []uint64
	mask  uint64 // slots, less one
	n     uint64 // states
	_     [64]byte
}

func newStore(size int) *store {
	s := &store{words: size/8 + 1}
	for i := range s.shards {
		s.shards[i].slots = make([]uint64, firstSize*s.words)
		s.shards[i].mask = firstSize - 1
	}
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
	sh := &s.shards[h%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.add(h, state)
}

// pending are packed states on their way to one shard.
type pending struct {
	hashes []uint64
	words  []uint64
}

// addAll adds states of one shard, and calls fresh with the place of each that
// is new. One after another, with nothing between, they wait for memory at the
// same time.
func (s *store) addAll(shard int, p *pending, fresh func(i int)) {
	sh := &s.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i, h := range p.hashes {
		if sh.add(h, p.words[i*s.words:][:s.words]) {
			fresh(i)
		}
	}
}

func (sh *shard) add(h uint64, state []uint64) bool {
	if !sh.insert(h/shards, state) {
		return false
	}
	if sh.n++; sh.n*4 > (sh.mask+1)*3 {
		sh.grow(len(state))
	}
	return true
}

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
			sh.insert(hash(old[:words])/shards, old[:words])
		}
	}
}

// bytes is what the store takes up.
func (s *store) bytes() int {
	total := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		total += 8 * len(sh.slots)
		sh.mu.Unlock()
	}
	return total
}

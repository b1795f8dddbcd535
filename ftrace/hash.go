package ftrace

import (
	"encoding/binary"
	"math/bits"

	"callops/kernelimage"
)

const (
	hashDefaultBits = 10                 // FTRACE_HASH_DEFAULT_BITS: working copies
	hashMaxBits     = 12                 // FTRACE_HASH_MAX_BITS
	bucketLoad      = 64                 // average entries per bucket from which on a table grows
	goldenRatio64   = 0x61C8864680B583EB // GOLDEN_RATIO_64, include/linux/hash.h
)

// entry is struct ftrace_func_entry.
type entry struct{ ip, direct uint64 }

// hash is struct ftrace_hash. A working copy lives in Go alone; commit makes
// the copy that machine code reads, and from then on the hash does not change.
// A nil hash is an empty one, as in Linux.
type hash struct {
	bits    uint
	buckets [][]entry // each bucket's head is its last element
	count   int
	mod     bool   // FTRACE_HASH_FL_MOD: entries wait for modules, so it is not empty
	addr    uint64 // of the committed copy; 0 before, and for the empty hash
}

func newHash(bits uint) *hash {
	return &hash{bits: bits, buckets: make([][]entry, 1<<bits)}
}

// hashIndex is hash_long: the bucket of ip in a table of 1<<bits.
func hashIndex(ip uint64, bits uint) uint64 {
	if bits == 0 {
		return 0
	}
	return ip * goldenRatio64 >> (64 - bits)
}

// empty is ftrace_hash_empty: such a filter matches every function, such a
// notrace hash none.
func (h *hash) empty() bool { return h == nil || h.count == 0 && !h.mod }

// lookup is ftrace_lookup_ip.
func (h *hash) lookup(ip uint64) *entry {
	if h.empty() {
		return nil
	}
	b := h.buckets[hashIndex(ip, h.bits)]
	for i := range b {
		if b[i].ip == ip {
			return &b[i]
		}
	}
	return nil
}

func (h *hash) has(ip uint64) bool { return h.lookup(ip) != nil }

// add puts ip at the head of its bucket.
//
// Differs: Linux's tables do not grow. Ours do with more sites than a kernel has,
// so that an operation on all of them stays linear in their number.
func (h *hash) add(e entry) {
	if h.count >= bucketLoad<<h.bits {
		h.grow()
	}
	i := hashIndex(e.ip, h.bits)
	h.buckets[i] = append(h.buckets[i], e)
	h.count++
}

// grow doubles the buckets; entries of one keep their order.
func (h *hash) grow() {
	g := newHash(h.bits + 1)
	for _, b := range h.buckets {
		for _, e := range b {
			i := hashIndex(e.ip, g.bits)
			g.buckets[i] = append(g.buckets[i], e)
		}
	}
	h.bits, h.buckets = g.bits, g.buckets
}

// remove reports whether ip was there.
func (h *hash) remove(ip uint64) bool {
	b := &h.buckets[hashIndex(ip, h.bits)]
	for i, e := range *b {
		if e.ip == ip {
			*b = append((*b)[:i], (*b)[i+1:]...)
			h.count--
			return true
		}
	}
	return false
}

// each calls f for every entry: buckets ascending, each from its head.
func (h *hash) each(f func(entry)) {
	if h == nil {
		return
	}
	for _, b := range h.buckets {
		for i := len(b) - 1; i >= 0; i-- {
			f(b[i])
		}
	}
}

// clone is alloc_and_copy_ftrace_hash.
func (h *hash) clone() *hash {
	c := newHash(hashDefaultBits)
	c.mod = h != nil && h.mod
	h.each(c.add)
	return c
}

// union is append_hash: what either filter has; an empty one has everything.
func (h *hash) union(other *hash) *hash {
	if h.empty() || other.empty() {
		return nil
	}
	all := h.clone()
	all.mod = h.mod || other.mod
	other.each(func(e entry) {
		if !all.has(e.ip) {
			all.add(e)
		}
	})
	return all
}

// intersection is intersect_hash: what both notrace hashes have.
func (h *hash) intersection(other *hash) *hash {
	if h.empty() || other.empty() {
		return nil
	}
	both := newHash(hashDefaultBits)
	h.each(func(e entry) {
		if other.has(e.ip) {
			both.add(e)
		}
	})
	return both
}

// sameAs is ops_equal: whether both have the same functions.
func (h *hash) sameAs(other *hash) bool {
	if h.empty() || other.empty() {
		return h.empty() == other.empty()
	}
	same := h.count == other.count
	h.each(func(e entry) { same = same && other.has(e.ip) })
	return same
}

// shrink is __ftrace_hash_move: the table that a working copy becomes when it
// is committed; nil stands for EMPTY_HASH.
func (h *hash) shrink() *hash {
	if h.empty() {
		return nil
	}
	s := newHash(min(uint(bits.Len(uint(h.count/2))), hashMaxBits))
	s.mod = h.mod
	h.each(s.add)
	return s
}

// flags are those of struct ftrace_hash.
func (h *hash) flags() uint64 {
	if h.mod {
		return 1 // FTRACE_HASH_FL_MOD
	}
	return 0
}

// image lays the hash out at addr as machine code reads it: the struct, its
// buckets, its entries, in one block.
func (h *hash) image(l *kernelimage.Layout, addr uint64) []byte {
	buckets := uint64(l.Hash.Size)
	entries := buckets + 8*uint64(len(h.buckets))
	p := make([]byte, h.size(l))
	put := func(off uint64, v uint64) { binary.LittleEndian.PutUint64(p[off:], v) }

	put(uint64(l.Hash.SizeBits), uint64(h.bits))
	put(uint64(l.Hash.Buckets), addr+buckets)
	put(uint64(l.Hash.Count), uint64(h.count))
	put(uint64(l.Hash.Flags), h.flags())
	next := entries
	for i, b := range h.buckets {
		link := buckets + 8*uint64(i) // where the pointer to the next entry goes
		for j := len(b) - 1; j >= 0; j-- {
			put(link, addr+next)
			put(next+uint64(l.Entry.Pprev), addr+link)
			put(next+uint64(l.Entry.IP), b[j].ip)
			put(next+uint64(l.Entry.Direct), b[j].direct)
			link = next + uint64(l.Entry.Next)
			next += uint64(l.Entry.Size)
		}
	}
	return p
}

// eachAt calls f for every entry of a committed hash, with the address at which
// image put it.
func (h *hash) eachAt(l *kernelimage.Layout, f func(e *entry, at uint64)) {
	at := h.addr + uint64(l.Hash.Size) + 8*uint64(len(h.buckets))
	for _, b := range h.buckets {
		for j := len(b) - 1; j >= 0; j-- {
			f(&b[j], at)
			at += uint64(l.Entry.Size)
		}
	}
}

func (h *hash) size(l *kernelimage.Layout) uint64 {
	return uint64(l.Hash.Size + 8*len(h.buckets) + l.Entry.Size*h.count)
}

package kernelimage

import (
	"hash/maphash"
	"math/bits"
)

// nameIndex finds symbols by their names. A kernel has 150,000 of them and more: a table of
// hashes takes a tenth of the time that sorting them does.
type nameIndex struct {
	seed  maphash.Seed
	heads []int32 // by hash: the first symbol, -1 for none
	next  []int32 // by symbol: the next one of that hash
}

func newNameIndex(syms []Symbol) *nameIndex {
	x := &nameIndex{seed: maphash.MakeSeed(), heads: make([]int32, 1<<bits.Len(uint(len(syms)))), next: make([]int32, len(syms))}
	for i := range x.heads {
		x.heads[i] = -1
	}
	for i := len(syms) - 1; i >= 0; i-- { // so that a chain begins with the lowest
		h := x.hash(syms[i].Name)
		x.next[i], *h = *h, int32(i)
	}
	return x
}

func (x *nameIndex) hash(name string) *int32 {
	return &x.heads[maphash.String(x.seed, name)&uint64(len(x.heads)-1)]
}

// called returns the symbols of that name, in the order of syms.
func (x *nameIndex) called(syms []Symbol, name string) (found []Symbol) {
	for i := *x.hash(name); i >= 0; i = x.next[i] {
		if syms[i].Name == name {
			found = append(found, syms[i])
		}
	}
	return found
}

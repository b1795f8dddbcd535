package kernelimage

import (
	"slices"

	"callops/kernelimage/internal/pointers"
)

// relocate finds the link address and applies the kernel's own relocations for
// it.
func (l *rawLoad) relocate() error {
	if err := l.findBase(); err != nil {
		return err
	}
	applied := l.rela.Apply(l.base, l.file.Change)
	l.info.Base, l.info.Relocations = l.base, l.rela.Len()
	l.info.Applied = l.rela.Len() > 0 && applied == l.rela.Len()
	return nil
}

// findBase works out the link address of the first byte. The symbols tell it
// where they count from a word that the file holds; from 7.0 on, where they count
// from their own places, the pointers to what has a symbol do. Else the
// relocations do.
func (l *rawLoad) findBase() error {
	word, counts := l.ks.Origin()
	switch {
	case !counts:
		if link, ok := pointers.Link(l.b, l.ks.Addresses(0), l.size, l.shift, rawAlign); ok && l.linked(link) {
			return nil
		}
	case u64At(l.b, word) != 0:
		if link := l.symbolBase(u64At(l.b, word)); l.linked(link) || l.rela.Len() == 0 {
			l.base = link
			return l.checkBase(link)
		}
	}
	if l.rela.Len() == 0 {
		return l.fail(".rela.dyn", 0, nil, "no relocations found, and neither the symbols, at %#x of the file, nor pointers tell the link address", l.ks.Offset())
	}
	if lowest, highest := l.rela.Bounds(); highest-lowest >= uint64(len(l.b)) {
		return l.fail(".rela.dyn", uint64(l.rela.Offset()), nil, "they reach from %#x to %#x, more than the file does", lowest, highest)
	}
	found := slices.DeleteFunc(l.rela.Links(l.shift, rawAlign), func(base uint64) bool { return l.checkBase(base) != nil })
	if len(found) > 1 && counts { // a small image: the symbols choose
		found = slices.DeleteFunc(found, func(base uint64) bool {
			value, filled := l.rela.Value(base + uint64(word))
			return !filled || l.symbolBase(value) != base
		})
	}
	if len(found) != 1 {
		return l.fail(".rela.dyn", uint64(l.rela.Offset()), nil, "%d relocations fit %d link addresses %#x", l.rela.Len(), len(found), found)
	}
	l.base = found[0]
	return nil
}

// linked takes link for the link address if the relocations fit it.
func (l *rawLoad) linked(link uint64) bool {
	if l.checkBase(link) != nil || !l.rela.Fits(link) {
		return false
	}
	l.base = link
	return true
}

// symbolBase is the link address when the symbols' addresses count from, or
// begin with, v.
func (l *rawLoad) symbolBase(v uint64) uint64 {
	if addr, ok := l.ks.Address("_text", v); ok {
		return addr
	}
	return (v-l.shift)&^(rawAlign-1) + l.shift
}

func (l *rawLoad) checkBase(base uint64) error {
	if base>>48 != 0xffff || (base-l.shift)%rawAlign != 0 || base > -l.size {
		return l.fail("kallsyms", uint64(l.ks.Offset()), base, "the kernel's first byte is not linked %#x after a multiple of 2 MiB in the kernel's half, but at", l.shift)
	}
	return nil
}

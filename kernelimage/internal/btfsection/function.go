package btfsection

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The kinds of types (include/uapi/linux/btf.h, BTF_KIND_*).
const (
	kindInt       = 1
	kindPtr       = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFwd       = 7
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindFloat     = 16
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
)

// fixed is what each type begins with: its name, kind and number of members, and a size or another type. The rest is words.
const (
	fixed = 12
	word  = 4
)

// sizeOfType is the size of a type with such an info; ok is false for one of an unknown kind.
func sizeOfType(info uint64) (size int, ok bool) {
	switch kind, vlen := info>>24&31, int(info&0xffff); kind {
	case kindInt, kindVar, kindDeclTag:
		return fixed + word, true
	case kindArray:
		return fixed + 3*word, true
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return fixed + 3*word*vlen, true
	case kindEnum, kindFuncProto:
		return fixed + 2*word*vlen, true
	default:
		return fixed, kind >= kindPtr && kind <= kindTypeTag
	}
}

// Function returns a section of the functions of a name alone, with the types that they take and return. Structures in it
// have a size and no members. A kernel's has 100,000 types, and reading all of them takes ten times as long. ok is false where there
// is no such function, and where the section is damaged: a reader of all of it says how.
func Function(section []byte, name string) (found []byte, ok bool) {
	h, ok := headerOf(section)
	if !ok {
		return nil, false
	}
	p := pruner{
		types: section[h.size+h.types.start : h.size+h.types.end], strings: section[h.size+h.strings.start : h.size+h.strings.end],
		ids: map[uint64]uint32{0: 0}, names: map[uint64]uint32{0: 0}, newStrings: []byte{0},
	}
	funcs, ok := p.index(name)
	if !ok || len(funcs) == 0 {
		return nil, false
	}
	for _, id := range funcs {
		p.take(id)
	}
	for i := 0; i < len(p.taken) && !p.damaged; i++ {
		p.emit(p.taken[i])
	}
	if p.damaged {
		return nil, false
	}
	found = append([]byte(Magic), make([]byte, minHeader-len(Magic))...)
	for i, v := range []int{minHeader, 0, len(p.newTypes), len(p.newTypes), len(p.newStrings)} {
		binary.LittleEndian.PutUint32(found[len(Magic)+word*i:], uint32(v))
	}
	return slices.Concat(found, p.newTypes, p.newStrings), true
}

// pruner takes types over into a section of their own.
type pruner struct {
	types, strings []byte
	at             []uint32 // where each type begins, by ID; the first is void

	ids     map[uint64]uint32 // the new IDs, by the old ones
	names   map[uint64]uint32 // the new places of names
	taken   []uint64          // old IDs, in the order of the new ones
	damaged bool

	newTypes, newStrings []byte
}

// index finds where types begin, and the functions of a name.
func (p *pruner) index(name string) (funcs []uint64, ok bool) {
	p.at = make([]uint32, 1, len(p.types)/24+1)
	want := append([]byte(name), 0)
	for at := 0; at < len(p.types); {
		if len(p.types)-at < fixed {
			return nil, false
		}
		info := u32(p.types, at+4)
		size, known := sizeOfType(info)
		if !known || size > len(p.types)-at {
			return nil, false
		}
		if info>>24&31 == kindFunc {
			if off := u32(p.types, at); off < uint64(len(p.strings)) && bytes.HasPrefix(p.strings[off:], want) {
				funcs = append(funcs, uint64(len(p.at)))
			}
		}
		p.at = append(p.at, uint32(at))
		at += size
	}
	return funcs, true
}

// take returns the new ID of a type, which is going to be emitted.
func (p *pruner) take(id uint64) uint32 {
	if id >= uint64(len(p.at)) {
		p.damaged = true
		return 0
	}
	n, ok := p.ids[id]
	if !ok {
		p.taken = append(p.taken, id)
		n = uint32(len(p.taken))
		p.ids[id] = n
	}
	return n
}

// name returns the new place of a name.
func (p *pruner) name(off uint64) uint32 {
	n, ok := p.names[off]
	if ok {
		return n
	}
	if off >= uint64(len(p.strings)) || bytes.IndexByte(p.strings[off:], 0) < 0 {
		p.damaged = true
		return 0
	}
	n = uint32(len(p.newStrings))
	p.newStrings = append(append(p.newStrings, p.strings[off:off+uint64(bytes.IndexByte(p.strings[off:], 0))]...), 0)
	p.names[off] = n
	return n
}

// emit emits a type with its names and the types that it refers to in their new places.
func (p *pruner) emit(id uint64) {
	t := p.types[p.at[id]:]
	info := u32(t, 4)
	size, _ := sizeOfType(info)
	t = bytes.Clone(t[:size])
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(t[at:], v) }
	put(0, p.name(u32(t, 0)))
	switch info >> 24 & 31 {
	case kindInt, kindFwd, kindFloat:
	case kindPtr, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindTypeTag:
		put(8, p.take(u32(t, 8)))
	case kindArray:
		put(fixed, p.take(u32(t, fixed)))
		put(fixed+word, p.take(u32(t, fixed+word)))
	case kindStruct, kindUnion:
		t = t[:fixed]
		put(4, uint32(info&(31<<24)))
	case kindEnum, kindEnum64:
		step := (size - fixed) / max(int(info&0xffff), 1)
		for at := fixed; at < size; at += step {
			put(at, p.name(u32(t, at)))
		}
	case kindFuncProto:
		put(8, p.take(u32(t, 8)))
		for at := fixed; at < size; at += 2 * word {
			put(at, p.name(u32(t, at)))
			put(at+word, p.take(u32(t, at+word)))
		}
	default: // nothing refers to one
		p.damaged = true
	}
	p.newTypes = append(p.newTypes, t...)
}

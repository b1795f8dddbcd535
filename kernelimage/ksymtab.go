package kernelimage

import (
	"encoding/binary"

	"callops/emu"
)

// The kernel's lists of what modules may use: __ksymtab and __ksymtab_gpl. Each entry is three 32-bit offsets from their own places: of the
// symbol, of its name and of the name of its namespace.
const (
	ksymSize     = 12
	fewestKsyms  = 64 // a shorter run of what looks like entries is none
	ksymNameSize = maxNameLen
)

// kernelExports returns what the kernel exports. An image that has no list is
// taken to export all its symbols but those whose name is there twice.
func (k *Kernel) kernelExports() map[string]export {
	exports := make(map[string]export)
	for _, list := range k.Image.findKsymtabs() {
		for addr := list.Start; addr < list.End; addr += ksymSize {
			b, _ := k.Image.read(addr, ksymSize)
			name := k.Image.ksymName(b, addr)
			exports[string(name)] = export{addr: addr + uint64(int64(int32(binary.LittleEndian.Uint32(b))))}
		}
	}
	if len(exports) > 0 {
		return exports
	}
	twice := make(map[string]bool)
	for _, s := range k.Image.Symbols {
		if e, ok := exports[s.Name]; ok && e.addr != s.Addr {
			twice[s.Name] = true
		}
		exports[s.Name] = export{addr: s.Addr}
	}
	for name := range twice {
		delete(exports, name)
	}
	return exports
}

// findKsymtabs finds the lists by their shape: runs of entries that have a name.
func (img *Image) findKsymtabs() []Range {
	var lists []Range
	if img.Linux == nil {
		return nil
	}
	for i := range img.Segments {
		s := &img.Segments[i]
		if s.Perm != emu.Read {
			continue
		}
		for at := 0; at+ksymSize <= len(s.Data); {
			end := at
			for end+ksymSize <= len(s.Data) && img.ksymName(s.Data[end:], s.Addr+uint64(end)) != nil {
				end += ksymSize
			}
			if end-at >= fewestKsyms*ksymSize {
				lists = append(lists, Range{s.Addr + uint64(at), s.Addr + uint64(end)})
				at = end
				continue
			}
			at += 4
		}
	}
	return lists
}

// ksymName returns the name of the entry b at addr; nil where it is none. The
// linker lets one name be the end of another.
func (img *Image) ksymName(b []byte, addr uint64) []byte {
	off := func(at int) uint64 { return uint64(int64(int32(binary.LittleEndian.Uint32(b[at:])))) }
	name := img.identifier(addr + 4 + off(4))
	if len(name) < 2 || !img.Bounds().Contains(addr+off(0)) {
		return nil
	}
	if off(8) != 0 && img.identifier(addr+8+off(8)) == nil {
		return nil
	}
	return name
}

// identifier returns the name at addr, which may be empty; nil where none is.
func (img *Image) identifier(addr uint64) []byte {
	b := img.tail(addr)
	b = b[:min(len(b), ksymNameSize)]
	for i, c := range b {
		switch {
		case c == 0:
			return b[:i]
		case isNameStart(c) || i > 0 && (c >= '0' && c <= '9' || c == '.' || c == '$'):
		default:
			return nil
		}
	}
	return nil
}

func isNameStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

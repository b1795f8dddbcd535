package board

import (
	"bytes"
	"encoding/binary"
)

// Tokens of a flattened device tree (Devicetree Specification 0.4, chapter 5).
const (
	fdtMagic     = 0xd00dfeed
	fdtBeginNode = 1
	fdtEndNode   = 2
	fdtProp      = 3
	fdtEnd       = 9
)

// fdt writes a flattened device tree.
type fdt struct {
	structs bytes.Buffer
	strings bytes.Buffer
	names   map[string]uint32 // offsets in strings
}

// node writes a node with what body writes in it.
func (f *fdt) node(name string, body func()) {
	f.u32(fdtBeginNode)
	f.structs.WriteString(name)
	f.structs.WriteByte(0)
	f.align()
	body()
	f.u32(fdtEndNode)
}

func (f *fdt) prop(name string, value []byte) {
	if f.names == nil {
		f.names = make(map[string]uint32)
	}
	at, ok := f.names[name]
	if !ok {
		at = uint32(f.strings.Len())
		f.names[name] = at
		f.strings.WriteString(name)
		f.strings.WriteByte(0)
	}
	f.u32(fdtProp)
	f.u32(uint32(len(value)))
	f.u32(at)
	f.structs.Write(value)
	f.align()
}

// text writes a property of NUL-terminated strings.
func (f *fdt) text(name string, values ...string) {
	var b []byte
	for _, v := range values {
		b = append(append(b, v...), 0)
	}
	f.prop(name, b)
}

func (f *fdt) cells(name string, values ...uint32) {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	f.prop(name, b)
}

// reg writes addresses and sizes, of two cells each.
func (f *fdt) reg(values ...uint64) {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	f.prop("reg", b)
}

func (f *fdt) u32(v uint32) { _ = binary.Write(&f.structs, binary.BigEndian, v) }

func (f *fdt) align() {
	for f.structs.Len()%4 != 0 {
		f.structs.WriteByte(0)
	}
}

// bytes is the whole tree.
func (f *fdt) bytes() []byte {
	f.u32(fdtEnd)
	const header, reserved = 40, 16 // no memory is reserved: one empty entry
	structs := uint32(header + reserved)
	texts := structs + uint32(f.structs.Len())
	var b []byte
	for _, v := range []uint32{
		fdtMagic, texts + uint32(f.strings.Len()), structs, texts, header, 17, 16, 0, uint32(f.strings.Len()), uint32(f.structs.Len()),
	} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, make([]byte, reserved)...)
	return append(append(b, f.structs.Bytes()...), f.strings.Bytes()...)
}

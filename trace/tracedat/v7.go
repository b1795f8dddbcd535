package tracedat

import (
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"callops/trace/ringbuffer"
)

// Sections of version 7, and the options that say where they lie. Both have the same IDs.
const (
	sectionOptions = 0
	sectionBuffer  = optionBuffer
	sectionStrings = 15
	sectionHeader  = 16
	sectionFtrace  = 17
	sectionEvents  = 18
	sectionSymbols = 19
	sectionPrintk  = 20
	sectionTasks   = 21

	compressed = 1 // flag of a section
)

// chunkSize is how much of a CPU's pages is compressed at once. Readers take it as it comes;
// trace-cmd decompresses one chunk for each event that it seeks.
const chunkSize = 64 * ringbuffer.PageSize

// file7 is a file of version 7 that grows.
type file7 struct {
	parts   [][]byte
	at      uint64 // where the next part goes
	zstd    *zstd.Encoder
	strings []byte // what sections are called
	options []option
}

// write7 writes version 7: sections, and after them the options that say where they are.
func write7(w io.Writer, m *metadata, pages [][]byte) error {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err != nil {
		return err
	}
	defer z.Close()
	f := &file7{zstd: z, options: m.options}
	// The version is of the library that trace-cmd uses, for which it asks by name alone.
	head := slices.Concat(preamble(version7), cstring("zstd"), cstring("1"))
	where := u64(0) // of the options, once that is known
	f.append(head, where)
	f.section(sectionHeader, "headers", m.header)
	f.section(sectionFtrace, "ftrace events", m.ftrace)
	f.section(sectionEvents, "events", m.events)
	f.section(sectionSymbols, "kallsyms", m.symbols)
	f.section(sectionPrintk, "printk", m.printk)
	f.section(sectionTasks, "cmdlines", m.tasks)
	f.options = append(f.options, option{optionCPUCount, u32(uint32(len(pages)))})
	f.buffer(pages)
	options := []byte{}
	for _, o := range f.options {
		options = append(options, o.bytes()...)
	}
	options = append(options, option{optionDone, u64(0)}.bytes()...)
	copy(where, u64(f.at))
	f.head(sectionOptions, 0, "options", uint64(len(options)))
	f.append(options)
	f.head(sectionStrings, 0, "strings", 0)
	last := f.parts[len(f.parts)-1]
	copy(last[8:], u64(uint64(len(f.strings))))
	f.append(f.strings)
	return writeAll(w, f.parts)
}

func (f *file7) append(parts ...[]byte) {
	for _, p := range parts {
		f.parts = append(f.parts, p)
		f.at += uint64(len(p))
	}
}

// head begins a section of the given size.
func (f *file7) head(id, flags uint16, name string, size uint64) {
	at := uint32(len(f.strings))
	f.strings = append(f.strings, cstring(name)...)
	f.append(slices.Concat(u16(id), u16(flags), u32(at), u64(size)))
}

// section is one with data, compressed, and the option that says where it is.
func (f *file7) section(id uint16, name string, data []byte) {
	f.options = append(f.options, option{id, u64(f.at)})
	chunk := f.compress(data)
	f.head(id, compressed, name, uint64(len(chunk)))
	f.append(chunk)
}

// compress is a chunk: the sizes of the data as it is in the file and as it was.
func (f *file7) compress(data []byte) []byte {
	const head = 8
	b := f.zstd.EncodeAll(data, make([]byte, head, head+len(data)/4))
	copy(b, u32(uint32(len(b)-head)))
	copy(b[4:], u32(uint32(len(data))))
	return b
}

// buffer is the section with every CPU's pages.
func (f *file7) buffer(pages [][]byte) {
	where := option{optionBuffer, slices.Concat(u64(f.at), cstring(""), cstring(clock), u32(ringbuffer.PageSize), u32(uint32(len(pages))))}
	const sectionHead = 16
	var chunks [][]byte
	at := f.at + sectionHead
	for cpu, p := range pages {
		start := at
		n := uint32(0)
		count := u32(0)
		if len(p) > 0 {
			chunks = append(chunks, count)
			at += uint64(len(count))
		}
		for part := range slices.Chunk(p, chunkSize) {
			c := f.compress(part)
			chunks = append(chunks, c)
			at += uint64(len(c))
			n++
		}
		copy(count, u32(n))
		where.data = append(where.data, slices.Concat(u32(uint32(cpu)), u64(start), u64(at-start))...)
	}
	f.head(sectionBuffer, compressed, "buffer", at-f.at-sectionHead)
	f.append(chunks...)
	f.options = append(f.options, where)
}

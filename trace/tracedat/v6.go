package tracedat

import (
	"io"
	"slices"

	"callops/trace/ringbuffer"
)

// write6 writes version 6: one part after the other, and the pages last.
func write6(w io.Writer, m *metadata, pages [][]byte) error {
	head := slices.Concat(preamble(version6), m.header, m.ftrace, m.events, m.symbols, m.printk, m.tasks, u32(uint32(len(pages))), cstring("options  "))
	for _, o := range m.options {
		head = append(head, o.bytes()...)
	}
	head = append(append(head, u16(optionDone)...), cstring("flyrecord")...)
	const entry = 16 // offset and size
	at := pageAligned(uint64(len(head) + entry*len(pages)))
	first := at
	for _, p := range pages {
		head = append(append(head, u64(at)...), u64(uint64(len(p)))...)
		at += uint64(len(p))
	}
	head = append(head, make([]byte, first-uint64(len(head)))...)
	return writeAll(w, append([][]byte{head}, pages...))
}

// bytes is the option with its head.
func (o option) bytes() []byte {
	return slices.Concat(u16(o.id), u32(uint32(len(o.data))), o.data)
}

func pageAligned(n uint64) uint64 {
	return (n + ringbuffer.PageSize - 1) &^ (ringbuffer.PageSize - 1)
}

func writeAll(w io.Writer, parts [][]byte) error {
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

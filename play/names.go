package play

import (
	"fmt"

	"callops/asm"
	"callops/kernel"
)

// names writes addresses of a kernel as a page shows them.
type names struct{ k *kernel.Kernel }

// short is symbol+offset, the name of an object of the heap, or nothing.
func (n names) short(addr uint64) string {
	if o, ok := n.k.Heap.Lookup(addr); ok {
		return o.Name
	}
	return n.k.Short(addr)
}

// pointer is short, or the number.
func (n names) pointer(addr uint64) string {
	if name := n.short(addr); name != "" {
		return name
	}
	return hex(addr)
}

// text is the instruction at pc.
func (n names) text(pc uint64) string {
	word, err := n.k.Mem.Load32(pc)
	if err != nil {
		return err.Error()
	}
	return n.disassemble(word, pc)
}

func (n names) disassemble(word uint32, pc uint64) string { return asm.Disassemble(word, pc, n.short) }

func hex(v uint64) string { return fmt.Sprintf("%#x", v) }

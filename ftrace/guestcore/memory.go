package guestcore

import "encoding/binary"

func appendWord(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// place puts bytes into an object of the heap.
func (c *Core) place(name string, b []byte) (uint64, error) {
	addr, err := c.k.Heap.Alloc(name, uint64(len(b)))
	if err != nil {
		return 0, err
	}
	return addr, c.k.Mem.Write(addr, b)
}

// with passes f bytes in memory, which are freed when it returns. A core that crashed may
// still use them.
func (c *Core) with(name string, b []byte, f func(addr uint64) error) error {
	addr, err := c.place(name, b)
	if err != nil {
		return err
	}
	if err = f(addr); c.crash != nil {
		return err
	}
	if freed := c.k.Heap.Free(addr); err == nil {
		err = freed
	}
	return err
}

func put32(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
func put64(b []byte, off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }

package board

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// bytes is the RAM at va up to the end of its page, at most n bytes, as the CPU's tables map it.
func (c *cpu) bytes(va, n uint64) ([]byte, error) {
	at, ok := c.translate(va)
	if ok {
		at = c.m.clip(at)
	}
	off := va - at.va
	if !ok || off >= at.size {
		return nil, &emu.Fault{Addr: va, Size: n, Access: emu.Load, Kind: emu.Unmapped}
	}
	start := at.pa + off - ramBase
	return c.m.ram[start : start+min(n, at.size-off)], nil
}

// readString reads a string that ends with NUL, of at most limit bytes.
func (c *cpu) readString(va uint64, limit int) (string, error) {
	var s []byte
	for len(s) < limit {
		b, err := c.bytes(va+uint64(len(s)), uint64(limit-len(s)))
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(append(s, b[:i]...)), nil
		}
		s = append(s, b...)
	}
	return "", fmt.Errorf("a string at %#x of more than %d bytes: %w", va, limit, errno.EINVAL)
}

// load64 reads a doubleword.
func (c *cpu) load64(va uint64) (uint64, error) {
	b, err := c.bytes(va, 8)
	if err == nil && len(b) < 8 {
		err = &emu.Fault{Addr: va, Size: 8, Access: emu.Load, Kind: emu.Misaligned}
	}
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// maxFrames bounds a backtrace.
const maxFrames = 64

// backtrace is where the CPU stands and the return addresses of its chain of frame records (AAPCS64),
// innermost first.
func (c *cpu) backtrace() []uint64 {
	r := c.Regs()
	trace := []uint64{r.PC}
	for fp := r.X[29]; len(trace) < maxFrames; {
		next, err := c.load64(fp)
		lr, errLR := c.load64(fp + 8)
		if err != nil || errLR != nil || lr == 0 {
			break
		}
		trace = append(trace, lr-4)
		fp = next
	}
	return trace
}

package packing

import (
	"encoding/binary"
	"io"
)

// arm64Reader undoes xz's filter for arm64 code, which the kernel's build applies
// (scripts/xz_wrap.sh). Packing replaces the relative target of BL and ADRP by an
// absolute one, so that calls of one function look alike.
type arm64Reader struct {
	r     io.Reader
	pc    uint32 // of the first byte that was not read yet
	buf   [16 << 10]byte
	ready []byte // of buf, not handed out yet
	err   error
}

func (f *arm64Reader) Read(p []byte) (int, error) {
	if len(f.ready) == 0 {
		n := 0
		for n < len(f.buf) && f.err == nil {
			var got int
			got, f.err = f.r.Read(f.buf[n:])
			n += got
		}
		f.ready = f.buf[:n]
		relativeTargets(f.ready, f.pc)
		f.pc += uint32(n)
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	if n == 0 && len(p) > 0 {
		return 0, f.err
	}
	return n, nil
}

// relativeTargets makes the targets of code at pc relative again. What is shorter
// than an instruction at the end of b is the end of the stream.
func relativeTargets(b []byte, pc uint32) {
	const (
		bl, blMask     = 0x9400_0000, 0xfc00_0000
		adrp, adrpMask = 0x9000_0000, 0x9f00_0000
		adrpRd         = 0x1f
		reach          = 1 << 17 // pages: the filter leaves ADRP alone that reaches more than 512 MiB
		adrpPages      = 1 << 21
	)
	for ; len(b) >= 4; b, pc = b[4:], pc+4 {
		w := binary.LittleEndian.Uint32(b)
		switch {
		case w&blMask == bl:
			w = bl | (w-pc>>2)&^blMask
		case w&adrpMask == adrp:
			page := w>>29&3 | w>>5&(1<<19-1)<<2
			if (page+reach)%adrpPages >= 2*reach {
				continue
			}
			page -= pc >> 12
			page = uint32(int32(page<<14)>>14) % adrpPages // 18 bits, sign-extended
			w = w&(adrpMask|adrpRd) | page&3<<29 | page>>2<<5
		default:
			continue
		}
		binary.LittleEndian.PutUint32(b, w)
	}
}

package packing

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// pieces reads one stream of a format whose own reader would go on to what
// follows it. step returns how many bytes the next piece of the stream has,
// which it finds out without taking any, and io.EOF after the last piece.
type pieces struct {
	r    *bufio.Reader
	step func(r *bufio.Reader) (int64, error)
	left int64 // of the current piece
}

func (s *pieces) Read(p []byte) (int, error) {
	for s.left == 0 {
		n, err := s.step(s.r)
		if err != nil {
			return 0, err
		}
		s.left = n
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if errors.Is(err, io.EOF) && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// peek returns the next n bytes, which there have to be.
func peek(r *bufio.Reader, n int) ([]byte, error) {
	b, err := r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

const (
	zstdMagic    = "\x28\xb5\x2f\xfd"
	zstdMinFrame = 9 // magic, descriptor, a size, the header of a block
)

// zstdFrame reads one frame of zstd: a header, blocks up to one that is
// marked as the last, and a checksum where the header says so (RFC 8878, 3.1.1).
func zstdFrame(r *bufio.Reader) io.Reader {
	const (
		checksum, singleSegment = 1 << 2, 1 << 5
		blockHeader, rle        = 3, 1
	)
	inHeader, last, sum := true, false, int64(0)
	return &pieces{r: r, step: func(r *bufio.Reader) (int64, error) {
		switch {
		case inHeader:
			inHeader = false
			b, err := peek(r, len(zstdMagic)+1)
			if err != nil {
				return 0, err
			}
			d := b[len(zstdMagic)]
			n := int64(len(b)) + []int64{0, 1, 2, 4}[d&3] + []int64{0, 2, 4, 8}[d>>6]
			if d&singleSegment == 0 {
				n++ // the window's size
			} else if d>>6 == 0 {
				n++ // the content's
			}
			if d&checksum != 0 {
				sum = 4
			}
			return n, nil
		case !last:
			b, err := peek(r, blockHeader)
			if err != nil {
				return 0, err
			}
			h := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
			last = h&1 != 0
			if h>>1&3 == rle {
				return blockHeader + 1, nil
			}
			return blockHeader + h>>3, nil
		case sum > 0:
			n := sum
			sum = 0
			return n, nil
		}
		return 0, io.EOF
	}}
}

// lz4Frame reads one frame of lz4: a header, blocks up to one of no length, and
// a checksum where the header says so.
func lz4Frame(r *bufio.Reader) io.Reader {
	const (
		magic, flags                              = 4, 4
		dictID, contentSum, contentSize, blockSum = 1 << 0, 1 << 2, 1 << 3, 1 << 4
		minHeader, uncompressed                   = 7, 1 << 31
	)
	var flg byte
	inHeader, ended := true, false
	has := func(flag byte, n int64) int64 {
		if flg&flag != 0 {
			return n
		}
		return 0
	}
	return &pieces{r: r, step: func(r *bufio.Reader) (int64, error) {
		switch {
		case inHeader:
			inHeader = false
			b, err := peek(r, minHeader)
			if err != nil {
				return 0, err
			}
			flg = b[flags]
			return minHeader + has(contentSize, 8) + has(dictID, 4), nil
		case !ended:
			b, err := peek(r, 4)
			if err != nil {
				return 0, err
			}
			n := int64(binary.LittleEndian.Uint32(b) &^ uncompressed)
			if ended = n == 0; ended {
				return 4 + has(contentSum, 4), nil
			}
			return 4 + n + has(blockSum, 4), nil
		}
		return 0, io.EOF
	}}
}

// lz4Legacy reads a stream of lz4's legacy format, which has no end: blocks of
// 8 MiB, each after its compressed length. What cannot be such a length ends it,
// as in the kernel (lib/decompress_unlz4.c), which also takes no length of 0.
func lz4Legacy(r *bufio.Reader) io.Reader {
	const block = 8 << 20
	const mostPacked = block + block/255 + 16
	inHeader := true
	return &pieces{r: r, step: func(r *bufio.Reader) (int64, error) {
		if inHeader {
			inHeader = false
			return 4, nil
		}
		b, err := r.Peek(4)
		if err != nil {
			return 0, io.EOF // fewer bytes: whatever they are
		}
		n := int64(binary.LittleEndian.Uint32(b))
		if n == 0 || n > mostPacked {
			return 0, io.EOF
		}
		return 4 + n, nil
	}}
}

package packing

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The xz format, as its specification 1.2.1 numbers it. This reads the container,
// since no package that decompresses it knows the filter for arm64.
const (
	xzMagic       = "\xfd7zXZ\x00"
	xzFooterMagic = "YZ"

	xzFilterARM64 = 0x0a
	xzFilterLZMA2 = 0x21

	xzMostFilters = 4
	xzDictFactor  = 64 // see dictionary
)

var (
	errXZHeader   = errors.New("damaged header")
	errXZCheck    = errors.New("checksum does not match")
	errXZIndex    = errors.New("its index does not match its blocks")
	xzCheckHashes = map[byte]func() hash.Hash{
		0x0: func() hash.Hash { return noHash{} },
		0x1: func() hash.Hash { return reversed{crc32.NewIEEE()} },
		0x4: func() hash.Hash { return reversed{crc64.New(crc64.MakeTable(crc64.ECMA))} },
		0xa: sha256.New,
	}
)

// xzReader reads one stream.
type xzReader struct {
	in    *counter
	flags [2]byte
	check hash.Hash // of the current block

	block  io.Reader // nil between blocks
	start  int64     // where its header begins
	length int64     // of what came out of it

	blocks   uint64
	index    []byte // of the blocks so far, as it follows them
	unpacked int64
	dicts    int64
}

// counter counts what is read. That it reads bytes keeps the decoder from
// reading ahead.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func newXZReader(r *bufio.Reader) (*xzReader, error) {
	x := &xzReader{in: &counter{r: r}}
	b, err := x.bytes(len(xzMagic) + 2 + 4)
	if err != nil {
		return nil, err
	}
	flags := b[len(xzMagic):][:2]
	copy(x.flags[:], flags)
	newHash, ok := xzCheckHashes[flags[1]]
	switch {
	case !bytes.HasPrefix(b, []byte(xzMagic)) || flags[0] != 0 || !sumOK(flags, b[len(b)-4:]):
		return nil, errXZHeader
	case !ok:
		return nil, fmt.Errorf("integrity check %#x is none that is known", flags[1])
	}
	x.check = newHash()
	return x, nil
}

func sumOK(b, sum []byte) bool { return crc32.ChecksumIEEE(b) == binary.LittleEndian.Uint32(sum) }

// bytes returns the next n bytes.
func (x *xzReader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(x.in, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return b, nil
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.block == nil {
			if err := x.nextBlock(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		x.check.Write(p[:n])
		x.length += int64(n)
		x.unpacked += int64(n)
		if errors.Is(err, io.EOF) {
			err = x.endBlock()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// nextBlock reads the header of a block (3.1); where there is none, the index
// and the end of the stream, and returns io.EOF.
func (x *xzReader) nextBlock() error {
	x.start, x.length = x.in.n, 0
	size, err := x.bytes(1)
	if err != nil {
		return err
	}
	if size[0] == 0 {
		return x.end()
	}
	rest, err := x.bytes(4*int(size[0]) + 3)
	if err != nil {
		return err
	}
	body := rest[:len(rest)-4]
	if !sumOK(append(size, body...), rest[len(body):]) {
		return errXZHeader
	}
	x.check.Reset()
	return x.filters(body)
}

// filters sets up what a block's header asks for.
func (x *xzReader) filters(header []byte) error {
	const packedSize, unpackedSize, reserved = 1 << 6, 1 << 7, 0x3c
	flags := header[0]
	b := bytes.NewReader(header[1:])
	number := func() uint64 {
		n, err := binary.ReadUvarint(b)
		if err != nil {
			flags |= reserved // refused below
		}
		return n
	}
	declared := uint64(1 << 63)
	if flags&packedSize != 0 {
		number()
	}
	if flags&unpackedSize != 0 {
		declared = number()
	}
	var arm64 []uint32 // where the code begins, of each such filter
	for left := int(flags)%xzMostFilters + 1; ; left-- {
		id, props := number(), make([]byte, min(number(), uint64(b.Len())))
		_, _ = b.Read(props)
		switch {
		case flags&reserved != 0:
			return errXZHeader
		case id == xzFilterARM64 && left > 1 && len(props) == 0:
			arm64 = append(arm64, 0)
		case id == xzFilterARM64 && left > 1 && len(props) == 4 && props[0]%4 == 0:
			arm64 = append(arm64, binary.LittleEndian.Uint32(props))
		case id == xzFilterLZMA2 && left == 1 && len(props) == 1:
			dict, err := x.dictionary(props[0], declared)
			if err != nil {
				return err
			}
			if x.block, err = (lzma.Reader2Config{DictCap: dict}).NewReader2(x.in); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			for _, start := range arm64 {
				x.block = &arm64Reader{r: x.block, pc: start}
			}
			return nil
		default:
			return fmt.Errorf("filter %#x is not one that kernels are packed with", id)
		}
	}
}

// dictionary returns how large LZMA2's dictionary is to be (5.3.1): not larger than
// what the block unpacks to, where its header tells. Blocks are cheap, so those
// that do not tell may not have a large one each for nothing.
func (x *xzReader) dictionary(props byte, declared uint64) (int, error) {
	if props > 40 {
		return 0, errXZHeader
	}
	size := min((2|uint64(props&1))<<(props/2+11), declared)
	if size > MaxWindow {
		return 0, fmt.Errorf("its dictionary has %#x bytes, at most %#x are taken", size, MaxWindow)
	}
	if x.dicts += int64(size); x.dicts > MaxWindow+xzDictFactor*x.unpacked {
		return 0, fmt.Errorf("dictionaries of %#x bytes for %#x of content", x.dicts, x.unpacked)
	}
	return max(int(size), lzma.MinDictCap), nil
}

// endBlock reads what follows the data of a block: padding and a checksum.
func (x *xzReader) endBlock() error {
	x.block = nil
	unpadded := x.in.n - x.start + int64(x.check.Size())
	if _, err := x.padding(x.start); err != nil {
		return err
	}
	sum, err := x.bytes(x.check.Size())
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, x.check.Sum(nil)) {
		return errXZCheck
	}
	x.blocks++
	x.index = binary.AppendUvarint(x.index, uint64(unpadded))
	x.index = binary.AppendUvarint(x.index, uint64(x.length))
	return nil
}

// padding reads zeros up to a multiple of 4 bytes from start on.
func (x *xzReader) padding(start int64) ([]byte, error) {
	b, err := x.bytes(int(-(x.in.n - start) & 3))
	if err == nil && !bytes.Equal(b, make([]byte, len(b))) {
		err = errXZHeader
	}
	return b, err
}

// end reads the index (4) and the footer (2.1.2). The index repeats what was seen.
func (x *xzReader) end() error {
	want := binary.AppendUvarint([]byte{0}, x.blocks)
	want = append(want, x.index...)
	have, err := x.bytes(len(want) - 1)
	if err != nil {
		return err
	}
	pad, err := x.padding(x.start)
	if err != nil {
		return err
	}
	want = append(want, pad...)
	rest, err := x.bytes(4 + 12)
	if err != nil {
		return err
	}
	sum, footer := rest[:4], rest[4:]
	switch {
	case !bytes.Equal(have, want[1:len(want)-len(pad)]) || !sumOK(want, sum):
		return errXZIndex
	case string(footer[10:]) != xzFooterMagic || !bytes.Equal(footer[8:10], x.flags[:]) || !sumOK(footer[4:10], footer[:4]):
		return errors.New("damaged footer")
	}
	return io.EOF
}

// noHash is a check that is left out.
type noHash struct{}

func (noHash) Write(p []byte) (int, error) { return len(p), nil }
func (noHash) Sum(b []byte) []byte         { return b }
func (noHash) Reset()                      {}
func (noHash) Size() int                   { return 0 }
func (noHash) BlockSize() int              { return 1 }

// reversed is a check that is stored little-endian.
type reversed struct{ hash.Hash }

func (r reversed) Sum(b []byte) []byte {
	at := len(b)
	b = r.Hash.Sum(b)
	for i, j := at, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

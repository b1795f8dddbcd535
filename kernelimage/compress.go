package kernelimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/xi2/xz"

	"callops/internal/errno"
)

// What decompressing may yield and use. No kernel shrinks to a 64th, so a
// stream that grows further is a bomb; maxUnpacked bounds honest ones too.
const (
	maxUnpacked   = 512 << 20
	unpackFactor  = 64
	unpackSlack   = 1 << 20
	maxDictionary = 128 << 20 // a compressor's window: what xz -9 and zstd -22 use
)

// packing is a compressed format that a kernel may be in.
type packing struct {
	name   string
	magic  string
	reader func(r io.Reader) (io.Reader, func(), error)
}

var packings = []packing{
	{"gzip", "\x1f\x8b\x08", func(r io.Reader) (io.Reader, func(), error) {
		g, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		g.Multistream(false) // what follows the stream is not part of it
		return g, func() {}, nil
	}},
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, func(), error) {
		x, err := xz.NewReader(r, maxDictionary)
		if err != nil {
			return nil, nil, err
		}
		x.Multistream(false)
		return x, func() {}, nil
	}},
	{"zstd", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, func(), error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderMaxMemory(maxUnpacked))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}},
	{"lz4", "\x04\x22\x4d\x18", lz4Reader},
	{"lz4 (legacy)", "\x02\x21\x4c\x18", lz4Reader},
}

func lz4Reader(r io.Reader) (io.Reader, func(), error) { return lz4.NewReader(r), func() {}, nil }

// packingOf tells a compressed format by its magic; nil when it is none.
func packingOf(magic []byte) *packing {
	for i := range packings {
		if bytes.HasPrefix(magic, []byte(packings[i].magic)) {
			return &packings[i]
		}
	}
	return nil
}

// unpack decompresses size bytes of r.
func (p *packing) unpack(r io.ReaderAt, size int64, name string) ([]byte, error) {
	var b bytes.Buffer
	if _, err := p.unpackTo(&b, r, size, name); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpackFile is unpack to a file in memory.
func (p *packing) unpackFile(r io.ReaderAt, size int64, name string) (*os.File, int64, error) {
	f, err := newMemFile(name)
	if err != nil {
		return nil, 0, err
	}
	n, err := p.unpackTo(f, r, size, name)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	// The decompressor's window is garbage now. Left to itself the collector
	// would wait until as much has been allocated again.
	runtime.GC()
	return f, n, nil
}

// unpackTo decompresses size bytes of r and says how many they became.
func (p *packing) unpackTo(w io.Writer, r io.ReaderAt, size int64, name string) (int64, error) {
	fail := func(format string, args ...any) error {
		return &FormatError{File: name, Section: p.name, Msg: fmt.Sprintf(format, args...), Errno: errno.ENOEXEC}
	}
	most := min(maxUnpacked, unpackFactor*size+unpackSlack)
	s, done, err := p.reader(io.NewSectionReader(r, 0, size))
	if err != nil {
		return 0, fail("%v", err)
	}
	defer done()
	n, err := io.Copy(w, io.LimitReader(s, most+1))
	switch {
	case n > most || errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded):
		return 0, fail("%#x bytes unpack to more than %#x, which no kernel does", size, most)
	case err != nil:
		return 0, fail("after %#x unpacked bytes: %v", n, err)
	}
	return n, nil
}

// EFI zboot: an EFI program that unpacks the kernel which it holds
// (drivers/firmware/efi/libstub/zboot-header.S).
const (
	zbootMagic      = "zimg"
	zbootMagicOff   = 4
	zbootPayloadOff = 8
	zbootHeaderSize = 0x40
)

func isZboot(head []byte) bool {
	return len(head) >= zbootHeaderSize && string(head[:2]) == "MZ" && string(head[zbootMagicOff:][:4]) == zbootMagic
}

// zbootPayload returns the compressed kernel inside size bytes of r.
func zbootPayload(r io.ReaderAt, size int64, name string, head []byte) (*io.SectionReader, error) {
	off := int64(binary.LittleEndian.Uint32(head[zbootPayloadOff:]))
	n := int64(binary.LittleEndian.Uint32(head[zbootPayloadOff+4:]))
	if off < zbootHeaderSize || off > size || n > size-off {
		return nil, &FormatError{
			File: name, Section: "zboot header", Offset: zbootPayloadOff, Errno: errno.ENOEXEC,
			Msg: fmt.Sprintf("the kernel is %#x bytes at %#x, the file %#x", n, off, size),
		}
	}
	return io.NewSectionReader(r, off, n), nil
}

// Package packing unpacks what kernels and modules are compressed with: gzip,
// xz (with the filter for arm64 code that the kernel's own build applies), zstd,
// lz4 and its legacy format, and the EFI program that holds a kernel (zboot).
//
// The format determines where a stream ends. What follows it in the file, a device
// tree, a partition's padding, the size that the kernel's build appends, is not
// part of it, in any of the formats. A stream that unpacks to more than the caller
// allows is an error before more is kept, however little input is left; so is a
// stream that needs a larger window than MaxWindow.
package packing

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"callops/internal/errno"
	"callops/kernelimage/internal/format"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// MaxWindow bounds, in bytes, how far back a stream may refer, which is memory
// beside what it unpacks to: xz -9 and zstd -22 use as much.
const MaxWindow = 128 << 20

// Format is a compressed format.
type Format struct {
	Name  string
	magic string
	open  func(r *bufio.Reader) (s io.Reader, done func(), err error)
}

var formats = []Format{
	{"gzip", "\x1f\x8b\x08", openGzip},
	{"xz", xzMagic, openXZ},
	{"zstd", zstdMagic, openZstd},
	{"lz4", "\x04\x22\x4d\x18", lz4Opener(lz4Frame)},
	{"lz4 (legacy)", "\x02\x21\x4c\x18", lz4Opener(lz4Legacy)},
}

// Of tells a compressed format by the first bytes of a file; nil when it is none.
func Of(head []byte) *Format {
	for i := range formats {
		if bytes.HasPrefix(head, []byte(formats[i].magic)) {
			return &formats[i]
		}
	}
	return nil
}

// Names returns the formats' names.
func Names() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return names
}

func openGzip(r *bufio.Reader) (io.Reader, func(), error) {
	g, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	g.Multistream(false)
	return g, func() {}, nil
}

func openXZ(r *bufio.Reader) (io.Reader, func(), error) {
	x, err := newXZReader(r)
	return x, func() {}, err
}

func openZstd(r *bufio.Reader) (io.Reader, func(), error) {
	if _, err := peek(r, zstdMinFrame); err != nil {
		return nil, nil, err // which the reader would take for no frame
	}
	z, err := zstd.NewReader(zstdFrame(r), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxWindow))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

func lz4Opener(stream func(r *bufio.Reader) io.Reader) func(r *bufio.Reader) (io.Reader, func(), error) {
	return func(r *bufio.Reader) (io.Reader, func(), error) {
		return lz4.NewReader(stream(r)), func() {}, nil
	}
}

// Source is compressed bytes: Size bytes of R, called Name in errors.
type Source struct {
	R    io.ReaderAt
	Size int64
	Name string
}

// UnpackTo unpacks to w what may have up to most bytes, and returns how many it
// has. The error for a stream that is damaged, cut short or larger is ENOEXEC,
// where ctx ends it is that of ctx.
func (f *Format) UnpackTo(ctx context.Context, w io.Writer, src Source, most int64) (n int64, err error) {
	fail := func(format string, args ...any) error { return f.fail(src, format, args...) }
	defer func() {
		// Streams are damaged in more ways than their readers foresee.
		if p := recover(); p != nil {
			err = fail("after %#x unpacked bytes: damaged: %v", n, p)
		}
	}()
	s, done, err := f.open(bufio.NewReader(io.NewSectionReader(src.R, 0, src.Size)))
	if err != nil {
		return 0, fail("%v", err)
	}
	defer done()
	n, err = io.Copy(w, io.LimitReader(reader{ctx, s}, most+1))
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("%s: %s: %w", src.Name, f.Name, context.Cause(ctx))
	case n > most:
		return 0, fail("%#x bytes unpack to more than %#x", src.Size, most)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return 0, fail("its window is larger than %#x bytes", MaxWindow)
	case err != nil:
		return 0, fail("after %#x unpacked bytes: %v", n, err)
	}
	return n, nil
}

func (f *Format) fail(src Source, msg string, args ...any) error {
	return &format.Error{File: src.Name, Section: f.Name, Msg: fmt.Sprintf(msg, args...), Errno: errno.ENOEXEC}
}

// reader ends with its context. It hides what else a stream can do, so that no
// more is unpacked at a time than there is a buffer for.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Unpack is UnpackTo memory. It takes up twice what it returns.
func (f *Format) Unpack(ctx context.Context, src Source, most int64) ([]byte, error) {
	var c chunks
	n, err := f.UnpackTo(ctx, &c, src, most)
	if err != nil {
		return nil, err
	}
	return c.join(n), nil
}

// chunks keeps what is written in pieces, as its length is not known before.
type chunks [][]byte

const (
	firstChunk = 16 << 10
	mostChunk  = 1 << 20
)

func (c *chunks) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		last := len(*c) - 1
		if last < 0 || len((*c)[last]) == cap((*c)[last]) {
			size := firstChunk
			if last >= 0 {
				size = min(2*cap((*c)[last]), mostChunk)
			}
			*c = append(*c, make([]byte, 0, size))
			last++
		}
		piece := &(*c)[last]
		n := min(len(rest), cap(*piece)-len(*piece))
		*piece = append(*piece, rest[:n]...)
		rest = rest[n:]
	}
	return len(b), nil
}

func (c *chunks) join(n int64) []byte {
	b := make([]byte, 0, n)
	for i, piece := range *c {
		b, (*c)[i] = append(b, piece...), nil
	}
	return b
}

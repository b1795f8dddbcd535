package services

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Offsets in the kernel's struct z_stream_s (include/linux/zlib.h).
const (
	zNextIn, zAvailIn, zNextOut, zAvailOut, zTotalOut, zWorkspace, zSize = 0, 8, 24, 32, 40, 64, 96

	zFinish    = 5
	zStreamEnd = 1
	zMaxWbits  = 15
)

// zstream makes a z_stream from in to out.
func (g *guest) zstream(in, inLen, out, outLen, workspace uint64) uint64 {
	z := make([]byte, zSize)
	for off, v := range map[int]uint64{zNextIn: in, zAvailIn: inLen, zNextOut: out, zAvailOut: outLen, zWorkspace: workspace} {
		binary.LittleEndian.PutUint64(z[off:], v)
	}
	return g.bytes(z)
}

func (g *guest) deflate() []byte {
	n := uint64(len(g.data))
	size := g.of("zlib_deflate_workspacesize", zMaxWbits, 8)
	z := g.zstream(g.input, n, g.buf(2*len(g.data)), 2*n, g.buf(int(size)))
	require.Zero(g.t, g.of("zlib_deflateInit2", z, 6, 8, zMaxWbits, 8, 0))
	require.EqualValues(g.t, zStreamEnd, g.of("zlib_deflate", z, zFinish))
	out := g.read(g.u64(z+zNextOut)-g.u64(z+zTotalOut), int(g.u64(z+zTotalOut)))
	require.Zero(g.t, g.of("zlib_deflateEnd", z))
	return out
}

func (g *guest) zlibRead(b []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(b))
	require.NoError(g.t, err)
	out, err := io.ReadAll(r)
	require.NoError(g.t, err)
	return out
}

func (g *guest) zlibWritten() []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := w.Write(g.data)
	require.NoError(g.t, err)
	require.NoError(g.t, w.Close())
	return b.Bytes()
}

// zstdCompressed compresses the data in the kernel at a level.
func (g *guest) zstdCompressed(level uint64) []byte {
	size := g.of("ZSTD_estimateCCtxSize", level)
	cctx := g.of("ZSTD_initStaticCCtx", g.buf(int(size)), size)
	require.NotZero(g.t, cctx)
	bound := g.of("ZSTD_compressBound", uint64(len(g.data)))
	out := g.buf(int(bound))
	n := g.of("ZSTD_compressCCtx", cctx, out, bound, g.input, uint64(len(g.data)), level)
	require.Zero(g.t, g.of("zstd_is_error", n))
	return g.read(out, int(n))
}

func (g *guest) zstdRead(b []byte) []byte {
	d, err := zstd.NewReader(nil)
	require.NoError(g.t, err)
	defer d.Close()
	out, err := d.DecodeAll(b, nil)
	require.NoError(g.t, err)
	return out
}

func (g *guest) zstdWritten() []byte {
	e, err := zstd.NewWriter(nil)
	require.NoError(g.t, err)
	defer e.Close()
	return e.EncodeAll(g.data, nil)
}

func (g *guest) lz4Block() []byte {
	block := make([]byte, lz4.CompressBlockBound(len(g.data)))
	n, err := lz4.CompressBlock(g.data, block, nil)
	require.NoError(g.t, err)
	return block[:n]
}

func sameData(g *guest, got []byte) {
	g.t.Helper()
	assert.True(g.t, bytes.Equal(g.data, got), "%d bytes, of %d", len(got), len(g.data))
}

func deflates(g *guest) { sameData(g, g.zlibRead(g.deflate())) }

func inflates(g *guest) {
	b := g.zlibWritten()
	out := g.buf(len(g.data))
	z := g.zstream(g.bytes(b), uint64(len(b)), out, uint64(len(g.data)), g.buf(int(g.of("zlib_inflate_workspacesize"))))
	require.Zero(g.t, g.of("zlib_inflateInit2", z, zMaxWbits))
	require.EqualValues(g.t, zStreamEnd, g.of("zlib_inflate", z, zFinish))
	require.Zero(g.t, g.of("zlib_inflateEnd", z))
	sameData(g, g.read(out, len(g.data)))
}

func zstdCompresses(g *guest) {
	for _, level := range []uint64{3, 1, 9} {
		sameData(g, g.zstdRead(g.zstdCompressed(level)))
	}
}

func zstdDecompresses(g *guest) {
	b := g.zstdWritten()
	size := g.of("zstd_dctx_workspace_bound")
	dctx := g.of("zstd_init_dctx", g.buf(int(size)), size)
	out := g.buf(len(g.data))
	in := g.bytes(b)
	require.EqualValues(g.t, len(b), g.of("zstd_find_frame_compressed_size", in, uint64(len(b))))
	require.EqualValues(g.t, len(g.data), g.of("zstd_decompress_dctx", dctx, out, uint64(len(g.data)), in, uint64(len(b))))
	sameData(g, g.read(out, len(g.data)))
}

func lzoRoundTrip(g *guest) {
	out, size, work, back := g.buf(2*len(g.data)), g.words([]uint64{uint64(2 * len(g.data))}), g.buf(1<<17), g.buf(len(g.data))
	require.Zero(g.t, g.of("lzo1x_1_compress", g.input, uint64(len(g.data)), out, size, work))
	packed := g.u64(size)
	assert.Less(g.t, packed, uint64(len(g.data)))
	size = g.words([]uint64{uint64(len(g.data))})
	require.Zero(g.t, g.of("lzo1x_decompress_safe", out, packed, back, size))
	sameData(g, g.read(back, len(g.data)))
}

var compression = []trial{
	{"zlib_deflate", "64 KiB, level 6", "compress/zlib", deflates},
	{"zlib_deflateInit2", "level 6, 15 bits, memory level 8", "compress/zlib", deflates},
	{"zlib_deflate_workspacesize", "15 bits, memory level 8", "compress/zlib", deflates},
	{"zlib_deflateEnd", "a finished stream", "compress/zlib", deflates},
	{"zlib_inflate", "64 KiB that Go packed", "compress/zlib", inflates},
	{"zlib_inflateInit2", "15 bits", "compress/zlib", inflates},
	{"zlib_inflate_workspacesize", "", "compress/zlib", inflates},
	{"zlib_inflateEnd", "a finished stream", "compress/zlib", inflates},
	{"ZSTD_compressCCtx", "64 KiB, level 3", "klauspost/compress", zstdCompresses},
	{"ZSTD_estimateCCtxSize", "level 3", "klauspost/compress", zstdCompresses},
	{"ZSTD_initStaticCCtx", "a workspace", "klauspost/compress", zstdCompresses},
	{"ZSTD_compressBound", "64 KiB", "klauspost/compress", zstdCompresses},
	{"zstd_is_error", "a size", "klauspost/compress", zstdCompresses},
	{"zstd_decompress_dctx", "64 KiB that Go packed", "klauspost/compress", zstdDecompresses},
	{"zstd_dctx_workspace_bound", "", "klauspost/compress", zstdDecompresses},
	{"zstd_init_dctx", "a workspace", "klauspost/compress", zstdDecompresses},
	{"zstd_find_frame_compressed_size", "a frame that Go packed", "its length", zstdDecompresses},
	{"LZ4_decompress_safe", "64 KiB that Go packed", "pierrec/lz4", func(g *guest) {
		b, out := g.lz4Block(), g.buf(len(g.data))
		g.equal(uint64(len(g.data)), g.do(g.bytes(b), out, uint64(len(b)), uint64(len(g.data))))
		sameData(g, g.read(out, len(g.data)))
		short := int32(g.do(g.bytes(b), out, uint64(len(b)-1), uint64(len(g.data))))
		assert.Negative(g.t, short, "cut short")
	}},
	{"LZ4_decompress_fast", "64 KiB that Go packed", "pierrec/lz4", func(g *guest) {
		b, out := g.lz4Block(), g.buf(len(g.data))
		g.equal(uint64(len(b)), g.do(g.bytes(b), out, uint64(len(g.data))))
		sameData(g, g.read(out, len(g.data)))
	}},
	{"lzo1x_1_compress", "64 KiB", "its decompression", lzoRoundTrip},
	{"lzo1x_decompress_safe", "64 KiB", "the input", lzoRoundTrip},
}

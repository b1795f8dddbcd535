package services

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"crypto/aes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	hexa "encoding/hex"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math"
	"math/big"
	"math/bits"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/dchest/siphash"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20"
)

// library is what was tried and runs.
var library = []struct {
	name   string
	trials []trial
}{
	{"Compression", compression},
	{"Checksums and hashes", checksums},
	{"Cryptography", cryptography},
	{"Sorting and searching", sorting},
	{"Bits", bitFuncs},
	{"Strings and memory", stringFuncs},
	{"Text to numbers, and back", texts},
	{"Numbers", numberFuncs},
	{"Memory of kmalloc", allocating},
}

// failures is what was tried and does not run: what it needs is made at boot.
var failures = []failure{
	{"alloc_pages_noprof", []uint64{gfpKernel, 0}, "alloc_pages_noprof", "there is no page allocator"},
	{"ktime_get", nil, "ktime_get", "there is no clock source"},
	{"schedule", nil, "__schedule", "the run queue has no task"},
	{"msleep", []uint64{1}, "__schedule", "the run queue has no task"},
	{"find_vma", []uint64{0, 0}, "find_vma", "there is no `mm_struct`"},
	{"vfs_read", []uint64{0, 0, 0, 0}, "vfs_read", "there is no file"},
}

// gfpKernel is GFP_KERNEL (include/linux/gfp_types.h).
const gfpKernel = 0xcc0

// absent is what lies in modules, by Debian's configuration.
var absent = []string{"LZ4_compress_default", "LZ4_compress_HC", "chacha_crypt_generic"}

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

// reflected is a CRC that shifts right, bit by bit.
func reflected(poly, crc uint64, b []byte) uint64 {
	for _, c := range b {
		crc ^= uint64(c)
		for range 8 {
			crc = crc>>1 ^ poly&-(crc&1)
		}
	}
	return crc
}

// forward is one of width bits that shifts left.
func forward(width int, poly, crc uint64, b []byte) uint64 {
	crc, poly = crc<<(64-width), poly<<(64-width)
	for _, c := range b {
		crc ^= uint64(c) << 56
		for range 8 {
			crc = crc<<1 ^ poly&-(crc>>63)
		}
	}
	return crc >> (64 - width)
}

// lengths are those that a checksum is tried with, the whole first.
var lengths = []int{64 << 10, 0, 1, 7, 8, 15, 31, 32, 33, 63, 64, 65, 1000}

// eachLength compares a function of n bytes with Go's; offsets move the start,
// so that it is not aligned.
func eachLength(want func(b []byte) uint64, got func(g *guest, p, n uint64) uint64) func(g *guest) {
	return func(g *guest) {
		for i, n := range lengths {
			off := i % 4
			n = min(n, len(g.data)-off)
			g.equal(want(g.data[off:off+n]), got(g, g.input+uint64(off), uint64(n)), "%d bytes", n)
		}
	}
}

var siphashKey = []byte("0123456789abcdef")

func sipWords(n int) func(g *guest) {
	return func(g *guest) {
		key := g.bytes(siphashKey)
		args := []uint64{0x0123456789abcdef, 2, 3 << 60, 4}[:n]
		b := make([]byte, 0, 32)
		for _, a := range args {
			b = binary.LittleEndian.AppendUint64(b, a)
		}
		k0, k1 := binary.LittleEndian.Uint64(siphashKey), binary.LittleEndian.Uint64(siphashKey[8:])
		g.equal(siphash.Hash(k0, k1, b), g.do(append(args, key)...))
	}
}

var checksums = []trial{
	{"crc32_le", "64 KiB", "hash/crc32", eachLength(
		func(b []byte) uint64 { return uint64(^crc32.ChecksumIEEE(b)) },
		func(g *guest, p, n uint64) uint64 { return g.do(math.MaxUint32, p, n) })},
	{"crc32_be", "64 KiB", "a bitwise one", eachLength(
		func(b []byte) uint64 { return forward(32, 0x04c11db7, math.MaxUint32, b) },
		func(g *guest, p, n uint64) uint64 { return g.do(math.MaxUint32, p, n) })},
	{"__crc32c_le", "64 KiB", "hash/crc32", eachLength(
		func(b []byte) uint64 { return uint64(^crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) },
		func(g *guest, p, n uint64) uint64 { return g.do(math.MaxUint32, p, n) })},
	{"crc16", "64 KiB", "a bitwise one", eachLength(
		func(b []byte) uint64 { return reflected(0xa001, 0, b) },
		func(g *guest, p, n uint64) uint64 { return g.do(0, p, n) & 0xffff })},
	{"crc_ccitt", "64 KiB", "a bitwise one", eachLength(
		func(b []byte) uint64 { return reflected(0x8408, 0xffff, b) },
		func(g *guest, p, n uint64) uint64 { return g.do(0xffff, p, n) & 0xffff })},
	{"crc_t10dif_generic", "64 KiB", "a bitwise one", eachLength(
		func(b []byte) uint64 { return forward(16, 0x8bb7, 0, b) },
		func(g *guest, p, n uint64) uint64 { return g.do(0, p, n) & 0xffff })},
	{"crc64_be", "64 KiB", "a bitwise one", eachLength(
		func(b []byte) uint64 { return forward(64, 0x42f0e1eba9ea3693, 0, b) },
		func(g *guest, p, n uint64) uint64 { return g.do(0, p, n) })},
	{"crc64_rocksoft_generic", "64 KiB", "hash/crc64", eachLength(
		func(b []byte) uint64 { return crc64.Checksum(b, crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
		func(g *guest, p, n uint64) uint64 { return g.do(0, p, n) })},
	{"crc8", "64 KiB", "a bitwise one", func(g *guest) {
		table := g.buf(256)
		g.of("crc8_populate_msb", table, 7)
		g.equal(forward(8, 7, 0, g.data), g.do(table, g.input, uint64(len(g.data)), 0)&0xff)
	}},
	{"crc8_populate_msb", "polynomial 7", "a bitwise one", func(g *guest) {
		table := g.buf(256)
		g.do(table, 7)
		for i, v := range g.read(table, 256) {
			g.equal(forward(8, 7, 0, []byte{byte(i)}), uint64(v))
		}
	}},
	{"xxh64", "64 KiB", "cespare/xxhash", func(g *guest) {
		for _, n := range lengths {
			for _, seed := range []uint64{0, 42} {
				d := xxhash.NewWithSeed(seed)
				_, err := d.Write(g.data[:n])
				require.NoError(g.t, err)
				g.equal(d.Sum64(), g.do(g.input, uint64(n), seed), "%d bytes", n)
			}
		}
	}},
	{"xxh32", "64 KiB", "the checksum of pierrec/lz4's frames", func(g *guest) {
		for _, n := range []int{64 << 10, 1, 7, 15, 31, 32, 33, 1000} {
			var b bytes.Buffer
			w := lz4.NewWriter(&b)
			require.NoError(g.t, w.Apply(lz4.ChecksumOption(true)))
			_, err := w.Write(g.data[:n])
			require.NoError(g.t, err)
			require.NoError(g.t, w.Close())
			sum := binary.LittleEndian.Uint32(b.Bytes()[b.Len()-4:])
			g.equal(sum, uint32(g.do(g.input, uint64(n), 0)), "%d bytes", n)
		}
	}},
	{"__siphash_unaligned", "64 KiB", "dchest/siphash", func(g *guest) {
		k0, k1 := binary.LittleEndian.Uint64(siphashKey), binary.LittleEndian.Uint64(siphashKey[8:])
		key := g.bytes(siphashKey)
		eachLength(func(b []byte) uint64 { return siphash.Hash(k0, k1, b) },
			func(g *guest, p, n uint64) uint64 { return g.do(p, n, key) })(g)
	}},
	{"siphash_1u64", "one word", "dchest/siphash", sipWords(1)},
	{"siphash_2u64", "two words", "dchest/siphash", sipWords(2)},
	{"siphash_3u64", "three words", "dchest/siphash", sipWords(3)},
	{"siphash_4u64", "four words", "dchest/siphash", sipWords(4)},
	{"csum_partial", "64 KiB", "the sum of its 16-bit words", eachLength(onesSum,
		func(g *guest, p, n uint64) uint64 { return uint64(^fold(g.do(p, n, 0))) & 0xffff })},
	{"ip_compute_csum", "64 KiB", "the sum of its 16-bit words", eachLength(onesSum,
		func(g *guest, p, n uint64) uint64 { return g.do(p, n) & 0xffff })},
}

// fold adds the halves of a sum until it has 16 bits.
func fold(v uint64) uint16 {
	v &= math.MaxUint32
	for v > 0xffff {
		v = v&0xffff + v>>16
	}
	return uint16(v)
}

// onesSum is the Internet checksum.
func onesSum(b []byte) uint64 {
	var sum uint64
	for i, c := range b {
		sum += uint64(c) << (8 * (i & 1))
		sum = sum&0xffff + sum>>16
	}
	return uint64(^fold(sum))
}

var cryptography = []trial{
	{"sha256", "64 KiB", "crypto/sha256", func(g *guest) {
		for _, n := range lengths {
			out := g.buf(32)
			g.do(g.input, uint64(n), out)
			want := sha256.Sum256(g.data[:n])
			g.equal(want[:], g.read(out, 32))
		}
	}},
	{"sha1_transform", "one block", "crypto/sha1", func(g *guest) {
		state, block := g.buf(20), make([]byte, 64)
		copy(block, "abc\x80")
		block[63] = 24 // bits
		g.of("sha1_init", state)
		g.do(state, g.bytes(block), g.buf(64))
		var got []byte
		for b := g.read(state, 20); len(b) > 0; b = b[4:] {
			got = binary.BigEndian.AppendUint32(got, binary.LittleEndian.Uint32(b))
		}
		want := sha1.Sum([]byte("abc"))
		g.equal(want[:], got)
	}},
	{"sha1_init", "", "FIPS 180", func(g *guest) {
		state := g.buf(20)
		g.do(state)
		g.equal(uint64(0xefcdab8967452301), g.u64(state))
	}},
	{"chacha_block_generic", "20 rounds, one block", "x/crypto/chacha20", func(g *guest) {
		key, nonce := bytes.Repeat([]byte("kK"), 16), []byte("twelve bytes")
		state := append([]byte("expand 32-byte k"), key...)
		state = append(append(state, 0, 0, 0, 0), nonce...)
		at, out := g.bytes(state), g.buf(64)
		var got []byte
		for range 3 {
			g.do(at, out, 20)
			got = append(got, g.read(out, 64)...)
		}
		c, err := chacha20.NewUnauthenticatedCipher(key, nonce)
		require.NoError(g.t, err)
		want := make([]byte, len(got))
		c.XORKeyStream(want, want)
		g.equal(want, got)
	}},
	{"hchacha_block_generic", "20 rounds", "x/crypto/chacha20", func(g *guest) {
		key, nonce := bytes.Repeat([]byte("kK"), 16), []byte("sixteen bytes !!")
		out := g.buf(32)
		g.do(g.bytes(slices.Concat([]byte("expand 32-byte k"), key, nonce)), out, 20)
		want, err := chacha20.HChaCha20(key, nonce)
		require.NoError(g.t, err)
		g.equal(want, g.read(out, 32))
	}},
	{"aes_encrypt", "one block, 256-bit key", "crypto/aes", aesBlock},
	{"aes_decrypt", "one block, 256-bit key", "crypto/aes", aesBlock},
	{"aes_expandkey", "256-bit key", "crypto/aes", aesBlock},
	{"blake2s_update", "64 KiB", "x/crypto/blake2s", blake2sSum},
	{"blake2s_final", "after 64 KiB", "x/crypto/blake2s", blake2sSum},
}

func aesBlock(g *guest) {
	for _, n := range []int{32, 16, 24} {
		key, ctx, out, back := g.data[100:100+n], g.buf(1024), g.buf(16), g.buf(16)
		require.Zero(g.t, g.of("aes_expandkey", ctx, g.bytes(key), uint64(n)))
		g.of("aes_encrypt", ctx, out, g.input)
		c, err := aes.NewCipher(key)
		require.NoError(g.t, err)
		want := make([]byte, 16)
		c.Encrypt(want, g.data)
		g.equal(want, g.read(out, 16))
		g.of("aes_decrypt", ctx, back, out)
		g.equal(g.data[:16], g.read(back, 16))
	}
}

// blake2sSum sets up a struct blake2s_state as blake2s_init, an inline
// function, does.
func blake2sSum(g *guest) {
	iv := []uint32{0x6a09e667 ^ 0x01010000 ^ 32, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	state := make([]byte, 128)
	for i, v := range iv {
		binary.LittleEndian.PutUint32(state[4*i:], v)
	}
	binary.LittleEndian.PutUint32(state[116:], 32) // outlen, after h, t, f, buf and buflen
	at, out := g.bytes(state), g.buf(32)
	g.of("blake2s_update", at, g.input, uint64(len(g.data)))
	g.of("blake2s_final", at, out)
	want := blake2s.Sum256(g.data)
	g.equal(want[:], g.read(out, 32))
}

// records are strings in 16 bytes each.
func records(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%08x", uint32(i)*2654435761))
	}
	return list
}

func recordBytes(list []string) []byte {
	var b []byte
	for _, s := range list {
		b = append(b, s...)
		b = append(b, make([]byte, 16-len(s))...)
	}
	return b
}

var sorting = []trial{
	{"sort", "1000 strings, with the kernel's `strcmp`", "slices.Sort", func(g *guest) {
		list := records(1000)
		at := g.bytes(recordBytes(list))
		g.do(at, 1000, 16, g.symbol("strcmp"), 0)
		slices.Sort(list)
		g.equal(recordBytes(list), g.read(at, 16000))
	}},
	{"bsearch", "1000 strings, with the kernel's `strcmp`", "where it stands", func(g *guest) {
		list := records(1000)
		slices.Sort(list)
		at := g.bytes(recordBytes(list))
		g.equal(at+16*700, g.do(g.string(list[700]), at, 1000, 16, g.symbol("strcmp")))
		g.equal(uint64(0), g.do(g.string("nothing"), at, 1000, 16, g.symbol("strcmp")))
	}},
	{"match_string", "3 strings", "where it stands", func(g *guest) {
		list := g.words([]uint64{g.string("one"), g.string("two"), g.string("three")})
		g.equal(uint32(2), uint32(g.do(list, 3, g.string("three"))))
		g.equal(int32(-22), int32(g.do(list, 3, g.string("four"))))
	}},
	{"glob_match", "`ab*`", "path.Match", func(g *guest) {
		for _, pattern := range []string{"ab*", "?bc", "[a-c]bc", "b*", "*"} {
			want, err := path.Match(pattern, "abc")
			require.NoError(g.t, err)
			g.equal(want, g.do(g.string(pattern), g.string("abc"))&1 == 1, pattern)
		}
	}},
}

const nbits = 1000

// bitmaps are two of nbits.
func (g *guest) bitmaps() (a, b *big.Int, at, bt uint64) {
	load := func(off int) (*big.Int, uint64) {
		v := slices.Clone(g.data[off : off+128])
		for i := range v {
			v[i] |= byte(i)
		}
		at := g.bytes(v)
		slices.Reverse(v)
		n := new(big.Int).SetBytes(v)
		return n.And(n, mask(nbits)), at
	}
	a, at = load(0x100)
	b, bt = load(0x4000)
	return a, b, at, bt
}

func mask(n uint) *big.Int {
	one := big.NewInt(1)
	return one.Sub(new(big.Int).Lsh(one, n), big.NewInt(1))
}

func (g *guest) bigAt(at uint64) *big.Int {
	v := g.read(at, 128)
	slices.Reverse(v)
	n := new(big.Int).SetBytes(v)
	return n.And(n, mask(nbits))
}

// weight is how many bits are set.
func weight(n *big.Int) uint64 {
	w := 0
	for _, x := range n.Bits() {
		w += bits.OnesCount(uint(x))
	}
	return uint64(w)
}

// twoBitmaps checks dst = f(a, b).
func twoBitmaps(f func(z, x, y *big.Int) *big.Int) func(g *guest) {
	return func(g *guest) {
		a, b, at, bt := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, bt, nbits)
		g.equal(f(new(big.Int), a, b).String(), g.bigAt(dst).String())
	}
}

// nextBit checks a search from each bit on.
func nextBit(of func(a, b *big.Int) *big.Int, call func(g *guest, at, bt, from uint64) uint64) func(g *guest) {
	return func(g *guest) {
		a, b, at, bt := g.bitmaps()
		n := of(a, b)
		for _, from := range []int{0, 1, 63, 64, 65, 500, 998, 999} {
			want := from
			for want < nbits && n.Bit(want) == 0 {
				want++
			}
			g.equal(uint64(want), call(g, at, bt, uint64(from)), "from %d", from)
		}
	}
}

func hweight(n int) func(g *guest) {
	return func(g *guest) {
		for i := range 200 {
			v := binary.LittleEndian.Uint64(g.data[16*i:]) & (1<<n - 1)
			g.equal(bits.OnesCount64(v), int(g.do(v)&0xff))
		}
	}
}

var bitFuncs = []trial{
	{"_find_next_bit", "1000 bits", "math/big", nextBit(func(a, _ *big.Int) *big.Int { return a },
		func(g *guest, at, _, from uint64) uint64 { return g.do(at, nbits, from) })},
	{"_find_next_zero_bit", "1000 bits", "math/big", nextBit(func(a, _ *big.Int) *big.Int { return new(big.Int).Not(a) },
		func(g *guest, at, _, from uint64) uint64 { return g.do(at, nbits, from) })},
	{"_find_next_and_bit", "twice 1000 bits", "math/big", nextBit(func(a, b *big.Int) *big.Int { return new(big.Int).And(a, b) },
		func(g *guest, at, bt, from uint64) uint64 { return g.do(at, bt, nbits, from) })},
	{"_find_next_or_bit", "twice 1000 bits", "math/big", nextBit(func(a, b *big.Int) *big.Int { return new(big.Int).Or(a, b) },
		func(g *guest, at, bt, from uint64) uint64 { return g.do(at, bt, nbits, from) })},
	{"_find_next_andnot_bit", "twice 1000 bits", "math/big", nextBit(func(a, b *big.Int) *big.Int { return new(big.Int).AndNot(a, b) },
		func(g *guest, at, bt, from uint64) uint64 { return g.do(at, bt, nbits, from) })},
	{"_find_first_bit", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(uint64(a.TrailingZeroBits()), g.do(at, nbits))
	}},
	{"_find_first_zero_bit", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(uint64(new(big.Int).Not(a).TrailingZeroBits()), g.do(at, nbits))
	}},
	{"_find_last_bit", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(uint64(a.BitLen()-1), g.do(at, nbits))
	}},
	{"__bitmap_weight", "1000 bits", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.equal(weight(a), g.do(at, nbits)&math.MaxUint32)
	}},
	{"__bitmap_and", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).And)},
	{"__bitmap_or", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).Or)},
	{"__bitmap_xor", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).Xor)},
	{"__bitmap_andnot", "twice 1000 bits", "math/big", twoBitmaps((*big.Int).AndNot)},
	{"__bitmap_equal", "twice 1000 bits", "math/big", func(g *guest) {
		_, _, at, bt := g.bitmaps()
		g.equal(uint64(1), g.do(at, at, nbits)&1)
		g.equal(uint64(0), g.do(at, bt, nbits)&1)
	}},
	{"__bitmap_shift_left", "1000 bits by 77", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, 77, nbits)
		want := new(big.Int).Lsh(a, 77)
		g.equal(want.And(want, mask(nbits)).String(), g.bigAt(dst).String())
	}},
	{"__bitmap_shift_right", "1000 bits by 77", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		dst := g.buf(128)
		g.do(dst, at, 77, nbits)
		g.equal(new(big.Int).Rsh(a, 77).String(), g.bigAt(dst).String())
	}},
	{"__bitmap_set", "700 bits from 100 on", "math/big", func(g *guest) {
		at := g.buf(128)
		g.do(at, 100, 700)
		g.equal(new(big.Int).Lsh(mask(700), 100).String(), g.bigAt(at).String())
	}},
	{"__bitmap_clear", "700 bits from 100 on", "math/big", func(g *guest) {
		a, _, at, _ := g.bitmaps()
		g.do(at, 100, 700)
		g.equal(a.AndNot(a, new(big.Int).Lsh(mask(700), 100)).String(), g.bigAt(at).String())
	}},
	{"bitmap_parselist", "1-3,7,500-999", "math/big", func(g *guest) {
		at := g.buf(128)
		require.Zero(g.t, int32(g.do(g.string("1-3,7,500-999"), at, nbits)))
		want := new(big.Int).Lsh(mask(500), 500)
		g.equal(want.Or(want, big.NewInt(0b10001110)).String(), g.bigAt(at).String())
	}},
	{"__sw_hweight8", "8 bits", "math/bits", hweight(8)},
	{"__sw_hweight16", "16 bits", "math/bits", hweight(16)},
	{"__sw_hweight32", "32 bits", "math/bits", hweight(32)},
	{"__sw_hweight64", "64 bits", "math/bits", hweight(64)},
	{"memweight", "64 KiB", "math/bits", eachLength(
		func(b []byte) uint64 {
			n := 0
			for _, c := range b {
				n += bits.OnesCount8(c)
			}
			return uint64(n)
		},
		func(g *guest, p, n uint64) uint64 { return g.do(p, n) })},
}

var phrases = []string{"hello, world", "", "a", "abcdefgh", "hello, worlds", "Hello, World", "a string that is longer than the others"}

// onPairs compares a function of two strings with Go's.
func onPairs(want func(a, b string) int64, got func(g *guest, a, b uint64) int64) func(g *guest) {
	return func(g *guest) {
		for _, a := range phrases {
			for _, b := range append(phrases, "l", "lo, ", "world") {
				g.equal(want(a, b), got(g, g.string(a), g.string(b)), "%q, %q", a, b)
			}
		}
	}
}

func sign(n int32) int64 { return int64(cmp.Compare(n, 0)) }

// offset is where in the string at p an address lies; -1 for NULL.
func offset(p, addr uint64) int64 {
	if addr == 0 {
		return -1
	}
	return int64(addr - p)
}

func firstN(s string, n int) string { return s[:min(n, len(s))] }

var stringFuncs = []trial{
	{"strlen", "12 letters", "len", func(g *guest) {
		for _, s := range phrases {
			g.equal(uint64(len(s)), g.do(g.string(s)))
		}
	}},
	{"strnlen", "12 letters, 8 at most", "len", func(g *guest) {
		for _, s := range phrases {
			g.equal(uint64(min(len(s), 8)), g.do(g.string(s), 8))
		}
	}},
	{"strcmp", "a string twice", "strings.Compare", onPairs(func(a, b string) int64 { return int64(strings.Compare(a, b)) },
		func(g *guest, a, b uint64) int64 { return sign(int32(g.do(a, b))) })},
	{"strncmp", "5 letters", "strings.Compare", onPairs(
		func(a, b string) int64 { return int64(strings.Compare(firstN(a, 5), firstN(b, 5))) },
		func(g *guest, a, b uint64) int64 { return sign(int32(g.do(a, b, 5))) })},
	{"strcasecmp", "a string twice", "strings.ToLower", onPairs(
		func(a, b string) int64 { return int64(strings.Compare(strings.ToLower(a), strings.ToLower(b))) },
		func(g *guest, a, b uint64) int64 { return sign(int32(g.do(a, b))) })},
	{"strstr", "two strings", "strings.Index", onPairs(func(a, b string) int64 { return int64(strings.Index(a, b)) },
		func(g *guest, a, b uint64) int64 { return offset(a, g.do(a, b)) })},
	{"strspn", "two strings", "strings.TrimLeft", onPairs(
		func(a, b string) int64 { return int64(len(a) - len(strings.TrimLeft(a, b))) },
		func(g *guest, a, b uint64) int64 { return int64(g.do(a, b)) })},
	{"strcspn", "two strings", "strings.IndexAny", onPairs(
		func(a, b string) int64 { return (int64(strings.IndexAny(a, b)) + int64(len(a)) + 1) % int64(len(a)+1) },
		func(g *guest, a, b uint64) int64 { return int64(g.do(a, b)) })},
	{"strpbrk", "two strings", "strings.IndexAny", onPairs(func(a, b string) int64 { return int64(strings.IndexAny(a, b)) },
		func(g *guest, a, b uint64) int64 { return offset(a, g.do(a, b)) })},
	{"strchr", "12 letters", "strings.IndexByte", func(g *guest) {
		for _, s := range phrases {
			p := g.string(s)
			g.equal(int64(strings.IndexByte(s, 'l')), offset(p, g.do(p, 'l')))
		}
	}},
	{"strrchr", "12 letters", "strings.LastIndexByte", func(g *guest) {
		for _, s := range phrases {
			p := g.string(s)
			g.equal(int64(strings.LastIndexByte(s, 'l')), offset(p, g.do(p, 'l')))
		}
	}},
	{"sized_strscpy", "12 letters into 8 bytes", "copy", func(g *guest) {
		dst := g.buf(16)
		g.equal(int64(-7), int64(g.do(dst, g.string("hello, world"), 8)))
		g.equal("hello, ", g.text(dst))
		g.equal(uint64(5), g.do(dst, g.string("hello"), 8))
	}},
	{"strlcat", "two strings", "+", func(g *guest) {
		dst := g.bytes(append([]byte("hello"), make([]byte, 20)...))
		g.equal(uint64(12), g.do(dst, g.string(", world"), 25))
		g.equal("hello, world", g.text(dst))
	}},
	{"strsep", "a,b", "strings.Cut", func(g *guest) {
		s := g.string("one,two")
		p := g.words([]uint64{s})
		g.equal("one", g.text(g.do(p, g.string(","))))
		g.equal("two", g.text(g.u64(p)))
	}},
	{"strim", "a string with blanks", "strings.TrimSpace", func(g *guest) {
		g.equal("a b", g.text(g.do(g.string(" \ta b \n"))))
	}},
	{"skip_spaces", "a string with blanks", "strings.TrimLeft", func(g *guest) {
		g.equal("a b ", g.text(g.do(g.string("  a b "))))
	}},
	{"strreplace", "a string", "strings.ReplaceAll", func(g *guest) {
		s := g.string("a.b.c")
		g.do(s, '.', '_')
		g.equal("a_b_c", g.text(s))
	}},
	{"memcmp", "64 KiB twice", "bytes.Compare", func(g *guest) {
		other := slices.Clone(g.data)
		p := g.bytes(other)
		g.equal(int32(0), int32(g.do(g.input, p, uint64(len(other)))))
		other[60000]++
		require.NoError(g.t, g.Mem.Write(p, other))
		g.equal(int64(bytes.Compare(g.data, other)), sign(int32(g.do(g.input, p, uint64(len(other))))))
	}},
	{"memchr", "64 KiB", "bytes.IndexByte", func(g *guest) {
		for _, c := range []byte{0x7f, 0, 0xfe} {
			g.equal(int64(bytes.IndexByte(g.data, c)), offset(g.input, g.do(g.input, uint64(c), uint64(len(g.data)))))
		}
	}},
	{"memchr_inv", "1000 bytes", "where another one stands", func(g *guest) {
		b := bytes.Repeat([]byte{7}, 1000)
		b[777] = 8
		p := g.bytes(b)
		g.equal(int64(777), offset(p, g.do(p, 7, 1000)))
		g.equal(uint64(0), g.do(p, 7, 777))
	}},
	{"memcpy", "64 KiB", "copy", func(g *guest) {
		dst := g.buf(len(g.data))
		g.equal(dst, g.do(dst, g.input, uint64(len(g.data))))
		sameData(g, g.read(dst, len(g.data)))
	}},
	{"memmove", "1000 bytes that overlap", "copy", func(g *guest) {
		b := slices.Clone(g.data[:1100])
		p := g.bytes(b)
		g.do(p+33, p, 1000)
		copy(b[33:], b[:1000])
		g.equal(b, g.read(p, 1100))
	}},
	{"memset", "64 KiB", "bytes.Repeat", func(g *guest) {
		p := g.buf(len(g.data) + 8)
		g.do(p, 0xa5, uint64(len(g.data)))
		assert.True(g.t, bytes.Equal(append(bytes.Repeat([]byte{0xa5}, len(g.data)), make([]byte, 8)...), g.read(p, len(g.data)+8)))
	}},
	{"memset32", "100 words", "bytes.Repeat", func(g *guest) {
		p := g.buf(400)
		g.do(p, 0x01020304, 100)
		g.equal(bytes.Repeat([]byte{4, 3, 2, 1}, 100), g.read(p, 400))
	}},
	{"memscan", "64 KiB", "bytes.IndexByte", func(g *guest) {
		g.equal(int64(bytes.IndexByte(g.data, 0x7f)), offset(g.input, g.do(g.input, 0x7f, uint64(len(g.data)))))
	}},
}

// printed checks what snprintf writes.
func (g *guest) printed(want, format string, args ...uint64) {
	g.t.Helper()
	out := g.buf(256)
	n := g.of("snprintf", append([]uint64{out, 256, g.string(format)}, args...)...)
	g.equal(want, g.text(out), format)
	g.equal(len(want), int(n))
}

// parses checks a function that reads a number.
func parses(size int, signed bool) func(g *guest) {
	return func(g *guest) {
		for _, s := range []string{"123", "-5", "0", "99999999999", "18446744073709551615", "-9223372036854775808", "18446744073709551616", "200", "40000", "x", "", "12x"} {
			out := g.buf(8)
			errno := int32(g.do(g.string(s), 10, out))
			var want uint64
			var err error
			if signed {
				var v int64
				v, err = strconv.ParseInt(s, 10, 8*size)
				want = uint64(v) & (1<<(8*size-1)<<1 - 1)
			} else {
				want, err = strconv.ParseUint(s, 10, 8*size)
			}
			g.equal(err == nil, errno == 0, s)
			if err == nil {
				g.equal(want, g.u64(out), s)
			}
		}
	}
}

var texts = []trial{
	{"snprintf", "`%d %u %ld %5d\\|%-5d\\|`, and others", "fmt.Sprintf", func(g *guest) {
		minus := func(n int64) uint64 { return uint64(-n) }
		g.printed(fmt.Sprintf("%d %d %d %5d|%-5d|", -5, uint32(math.MaxUint32-4), -70000000000, 42, 42), "%d %u %ld %5d|%-5d|",
			minus(5), minus(5), minus(70000000000), 42, 42)
		g.printed(fmt.Sprintf("%x %X %#x %08x %#o", 0xabc, 0xabc, 0xabc, 0xabc, 0o17), "%x %X %#x %08x %#o", 0xabc, 0xabc, 0xabc, 0xabc, 0o17)
		g.printed(fmt.Sprintf("%s|%10s|%-10s|%.3s|%c", "abc", "abc", "abc", "abcdef", 'x'), "%s|%10s|%-10s|%.3s|%c",
			g.string("abc"), g.string("abc"), g.string("abc"), g.string("abcdef"), 'x')
		g.printed(fmt.Sprintf("%d %x %+d %% ", uint64(math.MaxUint64), uint64(math.MaxUint64), 7), "%llu %llx %+d %% ", math.MaxUint64, math.MaxUint64, 7)
		short := g.buf(8)
		g.equal(uint64(12), g.do(short, 8, g.string("hello, world")))
		g.equal("hello, ", g.text(short))
	}},
	{"vsnprintf", "12 arguments in a va_list", "fmt.Sprintf", func(g *guest) {
		var args []uint64
		want, format := "", ""
		for i := range 12 {
			args = append(args, uint64(i*i))
			want += fmt.Sprintf("%d,", i*i)
			format += "%d,"
		}
		// AAPCS64's va_list with no registers left: the stack, gr_top, vr_top, gr_offs, vr_offs.
		list, out := g.words([]uint64{g.words(args), 0, 0, 0}), g.buf(100)
		g.equal(len(want), int(g.do(out, 100, g.string(format), list)))
		g.equal(want, g.text(out))
	}},
	{"scnprintf", "12 letters into 8 bytes", "what fits", func(g *guest) {
		out := g.buf(8)
		g.equal(uint64(7), g.do(out, 8, g.string("hello, world")))
		g.equal("hello, ", g.text(out))
	}},
	{"snprintf", "`%pM`, `%pm`", "net", func(g *guest) {
		mac := g.bytes([]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6})
		g.printed("00:1b:63:84:45:e6 001b638445e6", "%pM %pm", mac, mac)
	}},
	{"snprintf", "`%pI4`", "net/netip", func(g *guest) {
		a := netip.MustParseAddr("192.168.1.20")
		g.printed(a.String(), "%pI4", g.bytes(a.AsSlice()))
	}},
	{"snprintf", "`%pI6c`", "net/netip", func(g *guest) {
		for _, s := range []string{"2001:db8::1", "::1", "fe80::1:0:0:2"} {
			a := netip.MustParseAddr(s)
			g.printed(a.String(), "%pI6c", g.bytes(a.AsSlice()))
		}
	}},
	{"snprintf", "`%pUb`", "its text", func(g *guest) {
		b, err := hexa.DecodeString("12345678123456789abcdef012345678")
		require.NoError(g.t, err)
		g.printed("12345678-1234-5678-9abc-def012345678", "%pUb", g.bytes(b))
	}},
	{"snprintf", "`%*ph`", "fmt.Sprintf", func(g *guest) {
		g.printed(fmt.Sprintf("% x", g.data[:20]), "%*ph", 20, g.input)
	}},
	{"snprintf", "`%*pbl`", "its ranges", func(g *guest) {
		g.printed("1-3,7,63", "%*pbl", 64, g.words([]uint64{1<<63 | 0b10001110}))
	}},
	{"snprintf", "`%pS` of the kernel's own functions", "callops' symbols", func(g *guest) {
		for _, name := range []string{"gcd", "vsnprintf", "sha256", "__schedule"} {
			addr := g.symbol(name) + 8
			g.printed(g.Symbols.Format(addr), "%pS", addr)
		}
	}},
	{"kstrtoull", "decimal numbers", "strconv", parses(8, false)},
	{"kstrtoll", "decimal numbers", "strconv", parses(8, true)},
	{"kstrtouint", "decimal numbers", "strconv", parses(4, false)},
	{"kstrtoint", "decimal numbers", "strconv", parses(4, true)},
	{"kstrtou16", "decimal numbers", "strconv", parses(2, false)},
	{"kstrtos16", "decimal numbers", "strconv", parses(2, true)},
	{"kstrtou8", "decimal numbers", "strconv", parses(1, false)},
	{"kstrtos8", "decimal numbers", "strconv", parses(1, true)},
	{"kstrtobool", "y, off and others", "what they mean", func(g *guest) {
		out := g.buf(1)
		for i, s := range []string{"off", "y", "N", "on", "0", "1"} {
			require.Zero(g.t, g.do(g.string(s), out), s)
			g.equal(byte(i%2), g.read(out, 1)[0], s)
		}
		g.equal(int32(-22), int32(g.do(g.string("x"), out)))
	}},
	{"simple_strtoull", "0x7f of `0x7fz`", "strconv", func(g *guest) {
		end := g.buf(8)
		s := g.string("0x7fz")
		g.equal(uint64(0x7f), g.do(s, end, 0))
		g.equal(s+4, g.u64(end))
	}},
	{"simple_strtol", "-123", "strconv", func(g *guest) { g.equal(int64(-123), int64(g.do(g.string("-123"), 0, 10))) }},
	{"memparse", "3, 3K and others", "their sizes", func(g *guest) {
		for i, s := range []string{"3", "3K", "3M", "3G"} {
			g.equal(uint64(3)<<(10*i), g.do(g.string(s), g.buf(8)), s)
		}
	}},
	{"hex2bin", "128 digits", "encoding/hex", func(g *guest) {
		out := g.buf(64)
		require.Zero(g.t, g.do(out, g.string(hexa.EncodeToString(g.data[:64])), 64))
		g.equal(g.data[:64], g.read(out, 64))
		g.equal(int32(-22), int32(g.do(out, g.string("zz"), 1)))
	}},
	{"bin2hex", "64 bytes", "encoding/hex", func(g *guest) {
		out := g.buf(129)
		g.equal(out+128, g.do(out, g.input, 64))
		g.equal(hexa.EncodeToString(g.data[:64]), g.text(out))
	}},
	{"hex_to_bin", "a digit", "strconv", func(g *guest) {
		g.equal(int32(11), int32(g.do('b')))
		g.equal(int32(-1), int32(g.do('g')))
	}},
	{"base64_encode", "1000 bytes", "encoding/base64", func(g *guest) {
		out := g.buf(2000)
		n := g.do(g.input, 1000, out)
		g.equal(base64.StdEncoding.EncodeToString(g.data[:1000]), string(g.read(out, int(n))))
	}},
	{"base64_decode", "1336 letters", "encoding/base64", func(g *guest) {
		out := g.buf(2000)
		s := base64.StdEncoding.EncodeToString(g.data[:1000])
		g.equal(uint64(1000), g.do(g.string(s), uint64(len(s)), out))
		g.equal(g.data[:1000], g.read(out, 1000))
	}},
	{"string_unescape", "escapes", "strconv.Unquote", func(g *guest) {
		out := g.buf(32)
		const flags = 1 | 2 | 4 | 8 // UNESCAPE_SPACE, OCTAL, HEX, SPECIAL
		g.equal(5, int(g.do(g.string(`a\n\x41\101\t`), out, 32, flags)))
		g.equal("a\nAA\t", g.text(out))
	}},
	{"mac_pton", "00:1b:63:84:45:e6", "net", func(g *guest) {
		out := g.buf(6)
		g.equal(uint64(1), g.do(g.string("00:1b:63:84:45:e6"), out)&1)
		g.equal([]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}, g.read(out, 6))
	}},
	{"in4_pton", "192.168.1.20", "net/netip", func(g *guest) {
		out := g.buf(4)
		g.equal(1, int(g.do(g.string("192.168.1.20"), math.MaxUint64, out, math.MaxUint64, 0)))
		g.equal([]byte{192, 168, 1, 20}, g.read(out, 4))
	}},
	{"in6_pton", "2001:db8::1", "net/netip", func(g *guest) {
		out := g.buf(16)
		g.equal(1, int(g.do(g.string("2001:db8::1"), math.MaxUint64, out, math.MaxUint64, 0)))
		g.equal(netip.MustParseAddr("2001:db8::1").AsSlice(), g.read(out, 16))
	}},
	{"uuid_parse", "a UUID", "its bytes", func(g *guest) {
		out := g.buf(16)
		require.Zero(g.t, g.do(g.string("12345678-1234-5678-9abc-def012345678"), out))
		g.equal("12345678123456789abcdef012345678", hexa.EncodeToString(g.read(out, 16)))
	}},
}

var numberFuncs = []trial{
	{"gcd", "84, 36", "math/big", func(g *guest) {
		for _, p := range [][2]int64{{84, 36}, {1 << 40, 12}, {17, 5}, {1071, 462}} {
			g.equal(new(big.Int).GCD(nil, nil, big.NewInt(p[0]), big.NewInt(p[1])).Uint64(), g.do(uint64(p[0]), uint64(p[1])))
		}
	}},
	{"lcm", "84, 36", "its definition", func(g *guest) {
		g.equal(uint64(252), g.do(84, 36))
		g.equal(uint64(0), g.do(84, 0))
	}},
	{"lcm_not_zero", "84, 0", "its definition", func(g *guest) { g.equal(uint64(84), g.do(84, 0)) }},
	{"int_sqrt", "2^64-1", "math/big", func(g *guest) {
		for _, n := range []uint64{math.MaxUint64, 0, 1, 2, 15, 16, 1 << 50, 1<<62 - 1} {
			g.equal(new(big.Int).Sqrt(new(big.Int).SetUint64(n)).Uint64(), g.do(n))
		}
	}},
	{"int_pow", "3, 40", "math/big", func(g *guest) {
		g.equal(new(big.Int).Exp(big.NewInt(3), big.NewInt(40), nil).Uint64(), g.do(3, 40))
	}},
	{"mul_u64_u64_div_u64", "three words", "math/bits", func(g *guest) {
		for _, p := range [][3]uint64{{1 << 60, 1 << 40, 1<<45 + 7}, {math.MaxUint64, 1000, 1001}, {3, 4, 5}} {
			hi, lo := bits.Mul64(p[0], p[1])
			want, _ := bits.Div64(hi, lo, p[2])
			g.equal(want, g.do(p[0], p[1], p[2]))
		}
	}},
	{"iter_div_u64_rem", "1000, 300", "/ and %", func(g *guest) {
		rest := g.buf(8)
		g.equal(uint64(3), g.do(1000, 300, rest)&math.MaxUint32)
		g.equal(uint64(100), g.u64(rest))
	}},
	{"rational_best_approximation", "31415926/10^7, up to 1000", "355/113", func(g *guest) {
		n, d := g.buf(8), g.buf(8)
		g.do(31415926, 10000000, 1000, 1000, n, d)
		g.equal([]uint64{355, 113}, []uint64{g.u64(n), g.u64(d)})
	}},
	{"_bcd2bin", "0x59", "its digits", func(g *guest) { g.equal(59, int(g.do(0x59))) }},
	{"prandom_u32_state", "four words", "L'Ecuyer's LFSR113", func(g *guest) {
		s := []uint32{12345, 23456, 34567, 45678}
		state := g.bytes(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(
			binary.LittleEndian.AppendUint32(nil, s[0]), s[1]), s[2]), s[3]))
		step := func(s, a, b, c, d uint32) uint32 { return (s&c)<<d ^ ((s<<a)^s)>>b }
		for range 100 {
			s[0] = step(s[0], 6, 13, 4294967294, 18)
			s[1] = step(s[1], 2, 27, 4294967288, 2)
			s[2] = step(s[2], 13, 21, 4294967280, 7)
			s[3] = step(s[3], 3, 12, 4294967168, 13)
			g.equal(s[0]^s[1]^s[2]^s[3], uint32(g.do(state)))
		}
	}},
}

package services

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/dchest/siphash"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

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

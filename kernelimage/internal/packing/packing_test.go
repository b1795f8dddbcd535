package packing

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"runtime"
	"testing"

	"callops/internal/errno"
	"callops/kernelimage/internal/packing/packtest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unpack(ctx context.Context, b []byte, most int64) ([]byte, error) {
	f := Of(b)
	if f == nil {
		return nil, errors.New("no format")
	}
	return f.Unpack(ctx, Source{R: bytes.NewReader(b), Size: int64(len(b)), Name: "file"}, most)
}

// text is content of n bytes that shrinks, but not to nothing.
func text(n int) []byte {
	b, word := make([]byte, 0, n+8), uint64(1)
	for len(b) < n {
		word = word*6364136223846793005 + 1442695040888963407
		b = binary.LittleEndian.AppendUint64(b, word>>48)
	}
	return b[:n]
}

const room = 1 << 30

func TestUnpack_WhatFollowsTheStreamIsNoPartOfIt(t *testing.T) {
	trailers := map[string][]byte{
		"nothing": nil, "one byte": {1}, "a line's end": []byte("\r\n"), "three bytes": {1, 2, 3},
		"a size":           {0, 0, 0x14, 2},
		"a device tree":    append([]byte("\xd0\x0d\xfe\xed\x00\x00\x10\x08"), text(4096)...),
		"padding":          make([]byte, 4096),
		"padding, a byte":  append(make([]byte, 512), 7),
		"a footer of AVB":  append([]byte("AVBf"), make([]byte, 60)...),
		"ones, as erased":  bytes.Repeat([]byte{0xff}, 512),
		"an empty archive": []byte("070701"),
	}
	const block = 8 << 20 // of the legacy format, which does not mark its end
	for _, size := range []int{0, 1, 5, 100_000, block} {
		want := text(size)
		for name, b := range packtest.All(t, want) {
			if size == block && name != "lz4 (legacy)" {
				continue
			}
			for what, trailer := range trailers {
				got, err := unpack(t.Context(), append(bytes.Clone(b), trailer...), room)
				require.NoError(t, err, "%s of %d bytes, then %s", name, size, what)
				require.True(t, bytes.Equal(want, got), "%s of %d bytes, then %s", name, size, what)
			}
		}
	}
}

func TestUnpack_RefusesWhatIsDamagedOrCutShort(t *testing.T) {
	want := text(100_000)
	for name, b := range packtest.All(t, want) {
		for _, n := range []int{4, 5, 6, 7, 12, 13, 20, len(b) / 2, len(b) - 5, len(b) - 1} {
			if name == "lz4 (legacy)" && n < 8 { // an empty stream
				continue
			}
			if n < len(Of(b).magic) {
				continue
			}
			_, err := unpack(t.Context(), b[:n], room)
			assert.ErrorIs(t, err, errno.ENOEXEC, "%s cut short to %d of %d bytes", name, n, len(b))
		}
		bad := bytes.Clone(b)
		for i := range 64 {
			bad[len(bad)/3+i] ^= 0x5a
		}
		got, err := unpack(t.Context(), bad, room)
		if name == "lz4 (legacy)" && err == nil { // which has no checksum
			assert.Len(t, got, len(want))
			continue
		}
		assert.ErrorIs(t, err, errno.ENOEXEC, "%s corrupt", name)
	}
}

func TestUnpack_BoundsByRoomAndNotByRatio(t *testing.T) {
	const size = 2 << 20
	for name, b := range packtest.All(t, make([]byte, size)) {
		got, err := unpack(t.Context(), b, size)
		require.NoError(t, err, name)
		assert.Len(t, got, size, name)
		_, err = unpack(t.Context(), b, size-1)
		assert.ErrorContains(t, err, "unpack to more than 0x1fffff", name)
		assert.ErrorIs(t, err, errno.ENOEXEC, name)
	}
}

func TestUnpack_TakesUpTwiceItsSize(t *testing.T) {
	const size = 24 << 20
	b := packtest.All(t, make([]byte, size))["gzip"]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := unpack(t.Context(), b, room)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Len(t, got, size)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*size+24<<20), "and the decoder's window")
}

func TestUnpack_EndsWithItsContext(t *testing.T) {
	why := errors.New("interrupted")
	for name, b := range packtest.All(t, text(1<<20)) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		_, err := unpack(ctx, b, room)
		assert.ErrorIs(t, err, why, name)
	}
}

// instruction-like content: branches and page addresses in every kind of place.
func code(n int) []byte {
	b := text(4 * n)
	for i := range n {
		w := binary.LittleEndian.Uint32(b[4*i:])
		switch i % 3 {
		case 0:
			w = 0x9400_0000 | w*2654435761>>6
		case 1:
			w = 0x9000_0000 | w*2654435761&0x60ff_ffff
		}
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return append(b, "end"...)
}

// The files are of xz 5.4.1: xz --check=CHECK --arm64[=start=4096] --lzma2=dict=64KiB,
// of what code makes.
func TestUnpack_XZWithTheFilterForARM64(t *testing.T) {
	for _, name := range []string{"arm64-crc32.xz", "arm64-crc64.xz", "arm64-sha256.xz", "arm64-none.xz", "arm64-start.xz", "arm64-blocks.xz"} {
		b, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		got, err := unpack(t.Context(), b, room)
		require.NoError(t, err, name)
		assert.True(t, bytes.Equal(code(6000), got), name)
	}
}

func TestUnpack_XZNamesTheFilterThatItDoesNotKnow(t *testing.T) {
	b, err := os.ReadFile("testdata/arm64-crc32.xz")
	require.NoError(t, err)
	header := b[12 : 12+4*(int(b[12])+1)]
	require.EqualValues(t, xzFilterARM64, header[2])
	header[2] = 0x04 // x86
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	_, err = unpack(t.Context(), b, room)
	assert.EqualError(t, err, "file: xz: after 0x0 unpacked bytes: filter 0x4 is not one that kernels are packed with")
}

// xzBlocks is a stream of n empty blocks, each with a dictionary of 64 MiB.
func xzBlocks(n int) []byte {
	const dict64M = 28
	sum := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }
	b := append([]byte(xzMagic), sum([]byte{0, 0})...)
	for range n {
		b = append(b, sum([]byte{2, 0, xzFilterLZMA2, 1, dict64M, 0, 0, 0})...)
		b = append(b, 0, 0, 0, 0) // the end of the data, padding
	}
	return b
}

func TestUnpack_XZBlocksDoNotGetADictionaryEachForNothing(t *testing.T) {
	_, err := unpack(t.Context(), xzBlocks(100_000), room)
	assert.ErrorContains(t, err, "dictionaries of 0xc000000 bytes for 0x0 of content")
}

func TestZbootPayload_LiesInTheFile(t *testing.T) {
	b := make([]byte, 0x200)
	copy(b, "MZ\x00\x00zimg")
	require.True(t, IsZboot(b))
	src := Source{R: bytes.NewReader(b), Size: int64(len(b)), Name: "vmlinuz"}
	for _, test := range []struct {
		off, n uint32
		ok     bool
	}{{0x40, 0x1c0, true}, {0x200, 0, true}, {0x3f, 1, false}, {0x40, 0x1c1, false}, {0x201, 0, false}, {0x100, 0xffff_fff0, false}} {
		binary.LittleEndian.PutUint32(b[zbootPayloadOff:], test.off)
		binary.LittleEndian.PutUint32(b[zbootPayloadOff+4:], test.n)
		p, err := ZbootPayload(src)
		if !test.ok {
			assert.ErrorIs(t, err, errno.ENOEXEC, "%#x, %#x", test.off, test.n)
			continue
		}
		require.NoError(t, err)
		assert.EqualValues(t, test.n, p.Size())
	}
	assert.False(t, IsZboot(b[:0x3f]))
}

// FuzzUnpack: any stream unpacks within its bounds, or is an error of one line.
func FuzzUnpack(f *testing.F) {
	for _, b := range packtest.All(f, bytes.Repeat([]byte("kernel"), 20)) {
		f.Add(b)
	}
	f.Add(xzBlocks(2))
	f.Fuzz(func(t *testing.T, b []byte) {
		if Of(b) == nil {
			return
		}
		const most = 1 << 20
		out, err := unpack(t.Context(), b, most)
		if err != nil {
			assert.Nil(t, out)
			assert.NotContains(t, err.Error(), "\n")
			return
		}
		assert.LessOrEqual(t, len(out), most)
	})
}

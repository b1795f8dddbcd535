package ftrace

import (
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage"
)

func ips(h *hash) []uint64 {
	var got []uint64
	h.each(func(e entry) { got = append(got, e.ip) })
	return got
}

// The order in which a real kernel printed nine entries written in two steps.
func TestHash_CommittedOrderIsTheKernels(t *testing.T) {
	const base = 0xffff800000000000
	h := newHash(hashDefaultBits)
	for _, ip := range []uint64{0x804427b4, 0x80444044, 0x804585f4, 0x80458b44, 0x8045f244, 0x80483e44, 0x804e840c} { // vfs_r*
		h.add(entry{ip: base + ip})
	}
	h = h.shrink().clone()
	for _, ip := range []uint64{0x80443464, 0x80444814} { // vfs_w*
		h.add(entry{ip: base + ip})
	}
	got := h.shrink()
	assert.EqualValues(t, 3, got.bits)
	var want []uint64
	for _, ip := range []uint64{0x80443464, 0x804585f4, 0x8045f244, 0x80444814, 0x80444044, 0x804427b4, 0x804e840c, 0x80458b44, 0x80483e44} {
		want = append(want, base+ip)
	}
	assert.Equal(t, want, ips(got))
}

func TestHash_ShrinkChoosesTheKernelsSize(t *testing.T) {
	for count, bits := range map[int]uint{1: 0, 2: 1, 3: 1, 4: 2, 7: 2, 8: 3, 15: 3, 16: 4, 4096: 12, 8191: 12, 50000: 12} {
		h := newHash(hashDefaultBits)
		for i := range count {
			h.add(entry{ip: uint64(i+1) * 8})
		}
		s := h.shrink()
		assert.Equal(t, bits, s.bits, count)
		assert.Equal(t, count, s.count)
	}
	assert.Nil(t, newHash(hashDefaultBits).shrink(), "an empty one becomes EMPTY_HASH")
}

func TestHash_AddRemoveLookup(t *testing.T) {
	h := newHash(2)
	for i := range uint64(64) {
		h.add(entry{ip: i, direct: i * 3})
	}
	for i := range uint64(64) {
		require.Equal(t, i*3, h.lookup(i).direct)
		if i%2 == 0 {
			assert.True(t, h.remove(i))
			assert.False(t, h.remove(i))
			assert.False(t, h.has(i))
		}
	}
	assert.Equal(t, 32, h.count)
	assert.False(t, (*hash)(nil).has(1))
}

// The image in memory is walked as the list function walks it.
func TestHash_ImageIsWhatMachineCodeWalks(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	l := img.Layout()
	h := newHash(3)
	for i := range uint64(40) {
		h.add(entry{ip: 0xffff800080000004 + 16*i, direct: i})
	}
	const base = 0xffff900000000000
	p := h.image(l, base)
	at := func(addr uint64) uint64 { return binary.LittleEndian.Uint64(p[addr-base:]) }

	assert.EqualValues(t, 3, at(base+uint64(l.Hash.SizeBits)))
	assert.EqualValues(t, 40, at(base+uint64(l.Hash.Count)))
	assert.Zero(t, at(base+uint64(l.Hash.Flags)))
	var got []uint64
	buckets := at(base + uint64(l.Hash.Buckets))
	for i := range uint64(8) {
		link := buckets + 8*i
		for e := at(link); e != 0; e = at(link) {
			assert.Equal(t, link, at(e+uint64(l.Entry.Pprev)))
			got = append(got, at(e+uint64(l.Entry.IP)))
			link = e + uint64(l.Entry.Next)
		}
	}
	assert.Equal(t, ips(h), got)
}

// More sites than any kernel has: no bucket gets long, and up to there the table
// is Linux's.
func TestHash_BucketsStayShort(t *testing.T) {
	for _, n := range []int{1 << 16, 1<<16 + 1, 1 << 18} {
		h := newHash(hashDefaultBits)
		for i := range n {
			h.add(entry{ip: 0xffff_8000_8000_0000 + 16*uint64(i)})
		}
		if n == 1<<16 {
			assert.EqualValues(t, hashDefaultBits, h.bits)
		}
		for _, table := range []*hash{h, h.clone(), h.shrink()} {
			longest := 0
			for _, b := range table.buckets {
				longest = max(longest, len(b))
			}
			assert.LessOrEqual(t, longest, 2*bucketLoad)
			assert.Equal(t, n, table.count)
			assert.True(t, table.has(0xffff_8000_8000_0000) && table.has(0xffff_8000_8000_0000+16*uint64(n-1)))
		}
	}
}

func BenchmarkHash_DoublingSites(b *testing.B) {
	for n := 1 << 16; n <= 1<<20; n *= 2 {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				h := newHash(hashDefaultBits)
				for i := range n {
					if ip := uint64(16 * i); !h.has(ip) {
						h.add(entry{ip: ip})
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/site")
		})
	}
}

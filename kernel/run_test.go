package kernel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/kernelimage"
)

// machine is a kernel that runs, with helpers that fail the test.
type machine struct {
	*Kernel
	t *testing.T
}

type bootFunc func(t *testing.T, img *kernelimage.Image) *machine

// eachEngine runs a test once on each engine of this build.
func eachEngine(t *testing.T, test func(t *testing.T, boot bootFunc)) {
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) {
			test(t, func(t *testing.T, img *kernelimage.Image) *machine {
				t.Helper()
				k, err := Boot(img, e.New, nil)
				require.NoError(t, err)
				t.Cleanup(func() { assert.NoError(t, k.Close()) })
				return &machine{k, t}
			})
		})
	}
}

// call runs a function, within a budget that only a wrong one needs.
func (m *machine) call(name string, args ...uint64) uint64 {
	m.t.Helper()
	res, err := m.try(name, args...)
	require.NoError(m.t, err)
	return res.X0
}

func (m *machine) try(name string, args ...uint64) (emu.Result, error) {
	return m.CallName(context.Background(), 0, &emu.CallOptions{Budget: 20_000_000}, name, args...)
}

func (m *machine) bytes(b []byte) uint64 {
	m.t.Helper()
	addr, err := m.Heap.Alloc("input", uint64(max(len(b), 1)))
	require.NoError(m.t, err)
	require.NoError(m.t, m.Mem.Write(addr, b))
	return addr
}

func (m *machine) string(s string) uint64 { return m.bytes([]byte(s + "\x00")) }

func (m *machine) words(v []uint64) uint64 {
	b := make([]byte, 0, 8*len(v))
	for _, w := range v {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return m.bytes(b)
}

func (m *machine) readWords(addr uint64, n int) []uint64 {
	m.t.Helper()
	v, err := m.Mem.ReadWords(addr, n)
	require.NoError(m.t, err)
	return v
}

func (m *machine) read(addr uint64, n int) []byte {
	m.t.Helper()
	b := make([]byte, n)
	require.NoError(m.t, m.Mem.Read(addr, b))
	return b
}

// noise is n bytes, the same in every run.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func noiseWords(n int) []uint64 {
	r := rand.New(rand.NewPCG(3, 4))
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.Uint64() >> r.IntN(64)
	}
	return v
}

func TestBuiltin_FunctionsWork(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for _, o := range fourLayouts {
			t.Run(layoutName(o), func(t *testing.T) {
				m := boot(t, builtin(t, &o))
				for _, n := range []int{0, 1, 2, 9, 300} {
					b := noise(n)
					assert.EqualValues(t, crc32.ChecksumIEEE(b), m.call("checksum_buffer", m.bytes(b), uint64(n)))

					v := noiseWords(n)
					addr := m.words(v)
					sum := uint64(0)
					for _, w := range v {
						sum += w
					}
					assert.Equal(t, sum, m.call("sum_words", addr, uint64(n)))
					if n <= 9 || o == (kernelimage.BuiltinOptions{}) {
						m.call("sort_words", addr, uint64(n))
						slices.Sort(v)
						assert.Equal(t, v, m.readWords(addr, n))
					}
				}
				assert.EqualValues(t, 610, m.call("fib", 15))
				assert.EqualValues(t, 21, m.call("gcd", 1071, 462))
				assert.EqualValues(t, 1, m.call("is_even", 10))
				assert.EqualValues(t, 0, m.call("is_even", 7))
				assert.EqualValues(t, 1, m.call("is_odd", 7))

				src, dst := m.string("hello"), m.bytes(make([]byte, 16))
				assert.Equal(t, dst, m.call("memcpy", dst, src, 6))
				assert.Equal(t, "hello\x00\x00", string(m.read(dst, 7)))
				m.call("memset", dst, 'x', 3)
				assert.Equal(t, "xxxlo", string(m.read(dst, 5)))
				assert.EqualValues(t, 5, m.call("strlen", src))

				for s, want := range map[string]uint64{"0": 0, "7": 7, "123456789z": 123456789, "0xfFaB9": 0xffab9, "0x": 0, "": 0, "12f": 12} {
					assert.Equal(t, want, m.call("parse_number", m.string(s)), s)
				}
				double, err := m.Func("untraced")
				require.NoError(t, err)
				assert.EqualValues(t, 42, m.call("apply", double, 21))
				assert.EqualValues(t, 204, m.call("sum8", 1, 2, 3, 4, 5, 6, 7, 8))
				assert.EqualValues(t, 1, m.call("count_call"))
				assert.EqualValues(t, 2, m.call("count_call"))
				assert.EqualValues(t, 15, m.call("call_untraced", 7))
				m.call("tracee_relevant")
				m.call("tracee_irrelevant")
			})
		}
	})
}

func TestWorkload_FunctionsWork(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for _, file := range workloadFiles(t) {
			t.Run(file, func(t *testing.T) {
				m := boot(t, workload(t, file))
				assert.Zero(t, m.call("self_test"))
				checkSums(m)
				checkSorting(m)
				checkCodecs(m)
				checkNumbers(m)
			})
		}
	})
}

func checkSums(m *machine) {
	out := m.bytes(make([]byte, 32))
	for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 1000} {
		b := noise(n)
		addr := m.bytes(b)
		m.call("sha256", addr, uint64(n), out)
		want := sha256.Sum256(b)
		assert.Equal(m.t, want[:], m.read(out, 32), "%d bytes", n)
		assert.EqualValues(m.t, crc32.ChecksumIEEE(b), m.call("crc32", addr, uint64(n)))
		assert.EqualValues(m.t, adler32.Checksum(b), m.call("adler32", addr, uint64(n)))
		h := fnv.New64a()
		h.Write(b)
		assert.Equal(m.t, h.Sum64(), m.call("fnv1a", addr, uint64(n)))
	}
}

func checkSorting(m *machine) {
	for _, n := range []int{0, 1, 2, 100} {
		for _, name := range []string{"insertion_sort", "quick_sort", "heap_sort", "sort_words"} {
			v := noiseWords(n)
			addr := m.words(v)
			m.call(name, addr, uint64(n), 0)
			slices.Sort(v)
			assert.Equal(m.t, v, m.readWords(addr, n), "%s of %d", name, n)
			if n == 100 {
				assert.EqualValues(m.t, 33, m.call("binary_search", addr, 100, v[33]))
			}
		}
	}
	addr := m.words([]uint64{3, 1, 2})
	m.call("sort_words", addr, 3, 1)
	assert.Equal(m.t, []uint64{3, 2, 1}, m.readWords(addr, 3))
}

func checkCodecs(m *machine) {
	in := append(bytes.Repeat([]byte("abcabcabd"), 20), bytes.Repeat([]byte{7}, 300)...)
	src, packed, back := m.bytes(in), m.bytes(make([]byte, 4*len(in))), m.bytes(make([]byte, len(in)))
	for _, codec := range []string{"rle", "lz"} {
		n := m.call(codec+"_compress", src, uint64(len(in)), packed)
		assert.EqualValues(m.t, len(in), m.call(codec+"_expand", packed, n, back), codec)
		assert.Equal(m.t, in, m.read(back, len(in)), codec)
		if codec == "lz" {
			assert.Less(m.t, n, uint64(len(in)/4))
		}
	}
	for n := range 5 {
		b := noise(n)
		got := m.call("base64_encode", m.bytes(b), uint64(n), packed)
		assert.Equal(m.t, base64.StdEncoding.EncodeToString(b), string(m.read(packed, int(got))))
	}
}

func checkNumbers(m *machine) {
	out := m.bytes(make([]byte, 80))
	for _, n := range []uint64{0, 9, 10, 12345, 1<<64 - 1} {
		for _, base := range []uint64{2, 10, 16} {
			size := m.call("format_number", n, base, out)
			assert.Equal(m.t, strconv.FormatUint(n, int(base)), string(m.read(out, int(size))))
		}
		assert.Equal(m.t, n, m.call("parse_decimal", m.string(strconv.FormatUint(n, 10))))
		assert.EqualValues(m.t, bits.OnesCount64(n), m.call("count_bits", n))
		assert.Equal(m.t, bits.Reverse64(n), m.call("reverse_bits", n))
	}
	args := m.words([]uint64{42, m.string("ops"), 255})
	size := m.call("format", out, 80, m.string("%d %s at %x, 100%%"), args)
	assert.Equal(m.t, "42 ops at ff, 100%", string(m.read(out, int(size))))
	size = m.call("format", out, 6, m.string("cut %s"), m.words([]uint64{m.string("short")}))
	assert.Equal(m.t, "cut s\x00", string(m.read(out, int(size)+1)))

	assert.EqualValues(m.t, 6765, m.call("fib", 20))
	assert.EqualValues(m.t, 61, m.call("ackermann", 3, 3))
	assert.EqualValues(m.t, 1<<8-1, m.call("hanoi", 8))
	assert.EqualValues(m.t, 1, m.call("is_even", 100))
	assert.EqualValues(m.t, 6, m.call("gcd", 54, 24))
	assert.EqualValues(m.t, 168, m.call("count_primes", m.bytes(make([]byte, 1000)), 1000))
	assert.EqualValues(m.t, 445, m.call("power_mod", 4, 13, 497))
	assert.EqualValues(m.t, 1000, m.call("square_root", 1000_999))
	assert.EqualValues(m.t, 204, m.call("sum8", 1, 2, 3, 4, 5, 6, 7, 8))
	assert.EqualValues(m.t, 0xbad00009, m.call("dispatch", 9, 1, 2))
	assert.EqualValues(m.t, (10+5)*3^1, m.call("run_program", m.words([]uint64{0, 5, 2, 3, 3, 1}), 3, 10))
	fib, err := m.Func("fib")
	require.NoError(m.t, err)
	assert.EqualValues(m.t, 56, m.call("apply", fib, 10))
	assert.EqualValues(m.t, 4, m.call("str_find", m.string("the callops"), m.string("callops")))

	product := m.bytes(make([]byte, 32))
	m.call("matrix_multiply", m.words([]uint64{1, 2, 3, 4}), m.words([]uint64{5, 6, 7, 8}), product, 2)
	assert.Equal(m.t, []uint64{19, 22, 43, 50}, m.readWords(product, 4))
}

package services

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/stretchr/testify/require"
)

func kfifoMoves(g *guest) {
	fifo := g.buf(64)
	require.Zero(g.t, uint32(g.of("__kfifo_alloc", fifo, 100, 1, gfpKernel))) // rounded to 128
	g.kfifo(fifo, 128)
	g.of("__kfifo_free", fifo)
	g.equal(uint64(0), g.u64(fifo+16), "its buffer")
	require.Zero(g.t, uint32(g.of("__kfifo_init", fifo, g.buf(64), 64, 1)))
	g.kfifo(fifo, 64)
}

// kfifo moves bytes in and out of a struct __kfifo.
func (g *guest) kfifo(fifo uint64, size int) {
	var want bytes.Buffer
	r, from := rand.New(rand.NewPCG(19, 20)), uint64(0)
	out := g.buf(256)
	for range 100 {
		n := r.IntN(60)
		fits := min(n, size-want.Len())
		g.equal(fits, int(uint32(g.of("__kfifo_in", fifo, g.input+from, uint64(n)))))
		want.Write(g.data[from : int(from)+fits])
		from += uint64(fits)

		n = r.IntN(60)
		has := min(n, want.Len())
		g.equal(has, int(uint32(g.of("__kfifo_out_peek", fifo, out, uint64(n)))))
		g.equal(string(want.Bytes()[:has]), string(g.read(out, has)))
		g.equal(has, int(uint32(g.of("__kfifo_out", fifo, out, uint64(n)))))
		g.equal(string(want.Next(has)), string(g.read(out, has)))
	}
}

// kvec makes an iov_iter over three pieces of memory, which hold 200 bytes.
func (g *guest) kvec(direction uint64) (iter uint64, pieces [3]uint64, sizes [3]int) {
	sizes = [3]int{50, 1, 149}
	var vec []uint64
	for i, n := range sizes {
		pieces[i] = g.bytes(g.data[1000*i : 1000*i+n])
		vec = append(vec, pieces[i], uint64(n))
	}
	iter = g.buf(64)
	g.of("iov_iter_kvec", iter, direction, g.words(vec), 3, 200)
	return iter, pieces, sizes
}

// flat is what is in the pieces.
func (g *guest) flat(pieces [3]uint64, sizes [3]int) (b []byte) {
	for i, p := range pieces {
		b = append(b, g.read(p, sizes[i])...)
	}
	return b
}

func iterReads(g *guest) {
	iter, pieces, sizes := g.kvec(1) // ITER_SOURCE
	want, out := g.flat(pieces, sizes), g.buf(256)
	g.equal(uint64(20), g.of("_copy_from_iter", out, 20, iter))
	g.equal(want[:20], g.read(out, 20))
	g.of("iov_iter_advance", iter, 25)
	g.equal(uint64(5), g.of("iov_iter_single_seg_count", iter))
	g.equal(uint64(100), g.of("_copy_from_iter", out, 100, iter))
	g.equal(want[45:145], g.read(out, 100))
	g.of("iov_iter_revert", iter, 110)
	g.equal(uint64(165), g.of("_copy_from_iter", out, 200, iter), "all that is left")
	g.equal(want[35:], g.read(out, 165))
}

func iterWrites(g *guest) {
	iter, pieces, sizes := g.kvec(0) // ITER_DEST
	g.equal(uint64(120), g.of("_copy_to_iter", g.input+9000, 120, iter))
	g.equal(uint64(30), g.of("iov_iter_zero", 30, iter))
	g.equal(uint64(50), g.of("_copy_to_iter", g.input+9120, 100, iter), "all that fits")
	want := append(append(bytes.Clone(g.data[9000:9120]), make([]byte, 30)...), g.data[9120:9170]...)
	g.equal(want, g.flat(pieces, sizes))
}

// genPool has the kernel hand out memory of its own (lib/genalloc.c).
func genPool(g *guest) {
	pool := g.of("gen_pool_create", 4, minus64(1)) // of 16 bytes
	memory := g.buf(4096)
	require.Zero(g.t, uint32(g.of("gen_pool_add_owner", pool, memory, 0x8000_0000, 4096, minus64(1), 0)))
	g.equal(uint64(4096), g.of("gen_pool_size", pool))
	first, used := g.symbol("gen_pool_first_fit"), uint64(0)
	var taken []uint64
	for i := range uint64(20) {
		n := 1 + i*7%50
		p := g.of("gen_pool_alloc_algo_owner", pool, n, first, 0, 0)
		g.equal(memory+used, p, "the first that fits")
		g.equal(0x8000_0000+used, g.of("gen_pool_virt_to_phys", pool, p))
		used += (n + 15) &^ 15
		taken = append(taken, p, n)
		g.equal(4096-used, g.of("gen_pool_avail", pool))
	}
	g.equal(uint64(0), g.of("gen_pool_alloc_algo_owner", pool, 4096, first, 0, 0))
	g.equal(uint64(1), g.of("gen_pool_has_addr", pool, memory, 4096)&1)
	g.equal(uint64(0), g.of("gen_pool_has_addr", pool, memory+1, 4096)&1)
	for ; len(taken) > 0; taken = taken[2:] {
		g.of("gen_pool_free_owner", pool, taken[0], taken[1], 0)
	}
	g.equal(uint64(4096), g.of("gen_pool_avail", pool))
	g.of("gen_pool_destroy", pool)
	_, err := g.try("ksize", pool)
	require.Error(g.t, err)
}

// minus64 is -n in 64 bits.
func minus64(n uint64) uint64 { return -n }

// mempools: where allocations fail, what was set aside is given out.
func mempools(g *guest) {
	live := len(g.objects.live)
	pool := g.of("mempool_create_node_noprof", 3, g.symbol("mempool_kmalloc"), g.symbol("mempool_kfree"), 100, gfpKernel, minus64(1))
	require.NotZero(g.t, pool)
	const atomic = 0x820 // GFP_ATOMIC
	a := g.of("mempool_alloc_noprof", pool, atomic)
	reserved := make(map[uint64]bool)
	for range 3 {
		g.FailAlloc(1)
		b := g.of("mempool_alloc_noprof", pool, atomic)
		g.equal(uint64(100), g.of("ksize", b))
		reserved[b] = true
	}
	g.equal(3, len(reserved))
	g.FailAlloc(1)
	g.equal(uint64(0), g.of("mempool_alloc_noprof", pool, atomic), "nothing is set aside any more")
	for _, b := range sortedKeys(reserved) {
		g.of("mempool_free", b, pool)
	}
	g.of("mempool_free", a, pool)
	require.Zero(g.t, uint32(g.of("mempool_resize", pool, 5)))
	g.of("mempool_destroy", pool)
	g.equal(live, len(g.objects.live), "all was freed")
}

// counters is two of struct percpu_counter, of 40 bytes (include/linux/percpu_counter.h).
func counters(g *guest) {
	c, key := g.buf(80), g.buf(8)
	require.Zero(g.t, uint32(g.of("__percpu_counter_init_many", c, 100, gfpKernel, 2, key)))
	sum := int64(100)
	r := rand.New(rand.NewPCG(21, 22))
	for range 200 {
		n := r.Int64N(50) - 20
		g.of("percpu_counter_add_batch", c, uint64(n), 32)
		sum += n
		g.equal(sum, int64(g.of("__percpu_counter_sum", c)))
		g.equal(sign(int32(sum-200)), sign(int32(g.of("__percpu_counter_compare", c, 200, 32))))
	}
	g.of("percpu_counter_sync", c)
	g.equal(uint64(sum), g.u64(c+8))
	g.equal(uint64(100), g.of("__percpu_counter_sum", c+40), "the other one")
	g.of("percpu_counter_set", c, 7)
	g.equal(uint64(7), g.of("__percpu_counter_sum", c))
	g.of("percpu_counter_destroy_many", c, 2)
}

// attributes are of netlink: length, type, payload, padding to 4.
func attributes() (b []byte, payloads map[uint16]string) {
	payloads = map[uint16]string{3: "eth0\x00", 1: "\x2a\x00\x00\x00", 7: "a longer one\x00"}
	for _, typ := range []uint16{3, 1, 7} {
		p := payloads[typ]
		b = binary.LittleEndian.AppendUint16(b, uint16(4+len(p)))
		b = append(binary.LittleEndian.AppendUint16(b, typ), p...)
		b = append(b, make([]byte, -len(b)&3)...)
	}
	return b, payloads
}

func netlink(g *guest) {
	b, payloads := attributes()
	at, n := g.bytes(b), uint64(len(b))
	tb := g.buf(8 * 9)
	require.Zero(g.t, uint32(g.of("__nla_parse", tb, 8, at, n, 0, 0, 0)))
	require.Zero(g.t, uint32(g.of("__nla_validate", at, n, 8, 0, 0, 0)))
	for typ := range uint16(9) {
		a := g.of("nla_find", at, n, uint64(typ))
		g.equal(g.u64(tb+8*uint64(typ)), a, "as it was parsed")
		p, ok := payloads[typ]
		g.equal(ok, a != 0)
		if !ok {
			continue
		}
		out := g.buf(64)
		g.equal(len(p), int(uint32(g.of("nla_memcpy", out, a, 64))))
		g.equal(p, string(g.read(out, len(p))))
		g.equal(uint32(0), uint32(g.of("nla_memcmp", a, g.bytes([]byte(p)), uint64(len(p)))))
		if text, isText := bytes.CutSuffix([]byte(p), []byte{0}); isText && typ != 1 {
			g.equal(len(text), int(int32(g.of("nla_strscpy", out, a, 64))))
			g.equal(string(text), g.text(out))
			g.equal(uint32(0), uint32(g.of("nla_strcmp", a, g.string(string(text)))))
			g.equal(true, uint32(g.of("nla_strcmp", a, g.string(string(text)+"x"))) != 0)
			g.freed(g.of("nla_strdup", a, gfpKernel), string(text))
		}
	}
	require.NotZero(g.t, uint32(g.of("__nla_parse", tb, 8, at, n-5, 0, 1, 0)), "cut short, NL_VALIDATE_TRAILING")
}

func each(what, against string, run func(g *guest), fns ...string) (all []trial) {
	for _, fn := range fns {
		all = append(all, trial{fn, what, against, run})
	}
	return all
}

var buffers = slices.Concat(
	each("bytes in and out, 100 times", "bytes.Buffer", kfifoMoves,
		"__kfifo_alloc", "__kfifo_init", "__kfifo_in", "__kfifo_out", "__kfifo_out_peek", "__kfifo_free"),
	each("200 bytes in 3 pieces", "bytes.Equal", iterReads, "iov_iter_kvec", "_copy_from_iter", "iov_iter_advance", "iov_iter_revert", "iov_iter_single_seg_count"),
	each("200 bytes in 3 pieces", "bytes.Equal", iterWrites, "_copy_to_iter", "iov_iter_zero"),
	each("20 pieces of a page", "their sizes, rounded up to 16", genPool, "gen_pool_create", "gen_pool_add_owner", "gen_pool_alloc_algo_owner", "gen_pool_size",
		"gen_pool_avail", "gen_pool_virt_to_phys", "gen_pool_has_addr", "gen_pool_free_owner", "gen_pool_destroy"),
	each("3 objects set aside, while allocations fail", "how many there are", mempools,
		"mempool_create_node_noprof", "mempool_alloc_noprof", "mempool_free", "mempool_resize", "mempool_destroy"),
	each("200 additions", "their sum", counters, "__percpu_counter_init_many", "percpu_counter_add_batch", "__percpu_counter_sum",
		"__percpu_counter_compare", "percpu_counter_sync", "percpu_counter_set", "percpu_counter_destroy_many"),
	each("3 attributes", "what Go wrote", netlink, "__nla_parse", "__nla_validate", "nla_find", "nla_memcpy", "nla_memcmp", "nla_strscpy", "nla_strcmp", "nla_strdup"),
)

package services

import (
	"bytes"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/kernel"
)

func (m *machine) kmalloc(size uint64) uint64 {
	m.t.Helper()
	return m.call(m.first("__kmalloc_noprof", "__kmalloc"), size, gfpKernel)
}

// flagged is the arguments of a function that takes a gfp_t in register xi.
func (m *machine) flagged(i int) func(size, flags uint64) []uint64 {
	require.Positive(m.t, i)
	return func(size, flags uint64) []uint64 {
		args := make([]uint64, i+1)
		args[0], args[i] = size, flags
		return args
	}
}

func (m *machine) fill(addr uint64, n int) {
	m.t.Helper()
	require.NoError(m.t, m.Mem.Write(addr, bytes.Repeat([]byte{0xa5}, n)))
}

func testKmalloc(m *machine) {
	page := m.Image.PageSize()
	for _, c := range []struct {
		names []string
		args  func(size, flags uint64) []uint64
	}{
		{[]string{"__kmalloc_noprof", "__kmalloc"}, func(n, flags uint64) []uint64 { return []uint64{n, flags} }},
		{[]string{"__kmalloc_cache_noprof", "kmalloc_trace"}, func(n, flags uint64) []uint64 { return []uint64{0, flags, n} }},
		{[]string{"__kmalloc_cache_node_noprof", "kmalloc_node_trace"}, func(n, flags uint64) []uint64 { return []uint64{0, flags, 0, n} }},
		{[]string{"__kmalloc_large_noprof", "kmalloc_large"}, func(n, flags uint64) []uint64 { return []uint64{n, flags} }},
		{[]string{"__kmalloc_node_noprof", "__kmalloc_node"}, m.flagged(m.Layout.Slab.Flags.KmallocNode)},
		{[]string{"__kvmalloc_node_noprof", "kvmalloc_node"}, m.flagged(m.Layout.Slab.Flags.KvmallocNode)},
	} {
		name := m.first(c.names...)
		for _, size := range []uint64{1, 8, 96, 100, 128, 1000, 4096, page + 1, 300_000} {
			addr := m.call(name, c.args(size, gfpKernel)...)
			assert.Zero(m.t, addr%m.align(size), "%s of %d", name, size)
			assert.Equal(m.t, bytes.Repeat([]byte{0x5a}, int(size)), m.read(addr, int(size)), "not zeroed")
			zeroed := m.call(name, c.args(size, gfpKernel|uint64(gfpZero))...)
			assert.Equal(m.t, make([]byte, size), m.read(zeroed, int(size)), "%s: zeroed", name)
			m.call("kvfree", zeroed)
			m.fill(addr, int(size))
			assert.Equal(m.t, size, m.call("ksize", addr))
			other := m.call(name, c.args(size, gfpKernel)...)
			assert.True(m.t, other >= addr+size || other+size <= addr, "apart")
			m.call("kvfree", addr)
			m.call("kvfree", other)
		}
		assert.EqualValues(m.t, zeroSizePtr, m.call(name, c.args(0, gfpKernel)...))
	}
	for _, none := range []uint64{0, zeroSizePtr} {
		m.call("kfree", none)
		m.call("kvfree", none)
		m.call("kfree_sensitive", none)
		assert.Zero(m.t, m.call("ksize", none))
	}
	assert.EqualValues(m.t, 77, m.call("kmalloc_size_roundup", 77))
	list := m.words([]uint64{m.kmalloc(8), 0, m.kmalloc(9)})
	m.call("kmem_cache_free_bulk", 0, 3, list)
	_, err := m.try("kmem_cache_free_bulk", 0, 3, list)
	assert.ErrorContains(m.t, err, "double free: kmem_cache_free_bulk of 0x")
	_, err = m.try("kmem_cache_free_bulk", 1, 3, list)
	assert.ErrorIs(m.t, err, errno.ENOSYS)
	assert.Zero(m.t, m.kmalloc(page<<14), "more than KMALLOC_MAX_SIZE")
}

// align is what kmalloc promises for a size.
func (m *machine) align(size uint64) uint64 {
	align := uint64(8)
	for align < m.Image.PageSize() && size%(2*align) == 0 {
		align *= 2
	}
	return align
}

func testKrealloc(m *machine) {
	fn := m.first("krealloc_node_align_noprof", "krealloc_noprof", "krealloc")
	realloc := func(p, size uint64) uint64 {
		m.t.Helper()
		if fn == "krealloc_node_align_noprof" {
			return m.call(fn, p, size, 1, gfpKernel|uint64(gfpZero), 0)
		}
		return m.call(fn, p, size, gfpKernel|uint64(gfpZero))
	}
	p := realloc(0, 10)
	m.fill(p, 10)
	for _, size := range []uint64{10, 2000, 4} {
		grown := realloc(p, size)
		want := append(bytes.Repeat([]byte{0xa5}, int(min(10, size))), make([]byte, size-min(10, size))...)
		assert.Equal(m.t, want, m.read(grown, int(size)))
		if grown != p {
			_, err := m.try("ksize", p)
			assert.ErrorIs(m.t, err, errno.EINVAL, "the old one is gone")
		}
		p = grown
	}
	assert.EqualValues(m.t, zeroSizePtr, realloc(p, 0))
	_, err := m.try("kfree", p)
	assert.ErrorContains(m.t, err, "double free: kfree of 0x")
	assert.NotEqual(m.t, uint64(zeroSizePtr), realloc(zeroSizePtr, 1))
	_, err = m.try(fn, p, 3, 1, 0)
	assert.ErrorIs(m.t, err, errno.EINVAL)
	if fn == "krealloc_node_align_noprof" {
		assert.Zero(m.t, m.call(fn, 0, 10, 256, gfpKernel, 0)%256)
		_, err = m.try(fn, 0, 10, 257, gfpKernel, 0)
		assert.ErrorContains(m.t, err, "alignment 0x101")
	}
}

func testFreeErrors(m *machine) {
	dup := m.call("kstrdup", m.string("hello"), gfpKernel)
	input := m.string("not kmalloc's")
	for _, c := range []struct {
		addr uint64
		says string
	}{
		{dup + 1, "in what kstrdup+0x"},
		{input, "in input (0x"},
		{0x1234_5678, "kfree of 0x12345678, which no allocator returned"},
		{m.Image.TextBounds().Start, "which no allocator returned"},
	} {
		_, err := m.try("kfree", c.addr)
		var free *FreeError
		require.ErrorAs(m.t, err, &free, c.says)
		assert.Equal(m.t, FreeError{Func: "kfree", Addr: c.addr, Object: free.Object}, *free)
		assert.ErrorContains(m.t, err, "stopped in kfree+0x")
		assert.ErrorContains(m.t, err, c.says)
		assert.ErrorIs(m.t, err, errno.EINVAL)
	}
	assert.Equal(m.t, "hello\x00", string(m.read(dup, 6)), "it lives")
	m.call("kfree_const", dup)
	_, err := m.try("kfree_const", dup)
	var free *FreeError
	require.ErrorAs(m.t, err, &free)
	assert.True(m.t, free.Object.Freed)
	assert.EqualValues(m.t, 6, free.Object.Size)
	assert.Regexp(m.t, `double free: kfree of 0x[0-9a-f]+( by kfree_const\+0x[0-9a-f/x]+)?, what kstrdup\+0x[0-9a-f/x]+ allocated \(6 bytes\), which has been freed`, err.Error())

	list := m.kmalloc(8)
	m.call("kfree", list)
	p, err := m.Mem.Load64(list)
	require.NoError(m.t, err)
	_, err = m.try("strlen", p)
	var run *kernel.RunError
	require.ErrorAs(m.t, err, &run)
	assert.Equal(m.t, "what the call allocated", run.Freed.Name, "use after free is told")

	_, err = m.try("strlen", m.u64(m.kmalloc(8)))
	require.ErrorAs(m.t, err, &run)
	assert.True(m.t, run.Unwritten)
	assert.ErrorContains(m.t, err, ": the address was taken from allocated memory that nobody wrote")
}

// What is written past an object's end is told when it is freed, by the kernel's own
// strcpy too.
func testOverruns(m *machine) {
	for _, size := range []uint64{1, 8, 15, 16, 100, 4096} {
		p := m.kmalloc(size)
		require.NoError(m.t, m.Mem.Write(p+size, []byte{0xa5}))
		_, err := m.try("kfree", p)
		var overrun *OverrunError
		require.ErrorAs(m.t, err, &overrun)
		assert.Equal(m.t, OverrunError{Func: "kfree", Object: overrun.Object, Addr: p + size, Found: 0xa5}, *overrun)
		assert.Equal(m.t, size, overrun.Object.Size)
		assert.ErrorIs(m.t, err, errno.EFAULT)
	}
	p := m.kmalloc(5)
	m.call("strcpy", p, m.string("hello"))
	_, err := m.try("kfree", p)
	assert.Regexp(m.t, `kfree of 0x[0-9a-f]+, what the call allocated \(5 bytes\), past the end of which 0x0 was written, at 0x`, err.Error())

	p = m.kmalloc(100)
	realloc := func(size uint64) uint64 {
		fn := m.first("krealloc_node_align_noprof", "krealloc_noprof", "krealloc")
		if fn == "krealloc_node_align_noprof" {
			return m.call(fn, p, size, 1, gfpKernel, 0)
		}
		return m.call(fn, p, size, gfpKernel)
	}
	require.Equal(m.t, p, realloc(50))
	require.NoError(m.t, m.Mem.Write(p+50, []byte{1}))
	_, err = m.try("kfree", p)
	assert.ErrorContains(m.t, err, "(50 bytes), past the end", "it was made smaller")
}

func testKmallocUsers(m *machine) {
	before := sortedKeys(m.objects.live)
	users := slices.Concat(allocating, maples)
	if m.Layout.Slab.OldFlags { // 6.1's own code finds no gap (EINVAL) where there is one
		users = slices.DeleteFunc(users, func(c trial) bool { return c.fn == "mtree_alloc_range" })
	}
	for _, c := range xarrays {
		if strings.HasPrefix(c.fn, "xa_") || strings.HasPrefix(c.fn, "radix_tree_") {
			users = append(users, c)
		}
	}
	for _, c := range users {
		if m.first(c.fn) != "" {
			c.run(&guest{machine: m, fn: c.fn})
		}
	}
	assert.Equal(m.t, before, sortedKeys(m.objects.live), "what was allocated was freed")
}

func testFullHeap(m *machine) {
	for _, size := range []uint64{1 << 40, ^uint64(0) - 1<<20, 1 << 63} {
		_, err := m.try(m.first("vmalloc_noprof", "vmalloc"), size)
		assert.ErrorIs(m.t, err, errno.ENOMEM)
	}
	assert.NotZero(m.t, m.kmalloc(1))
}

// allocating are functions that allocate; each gives back what it got.
var allocating = []trial{
	{"kstrdup", "12 letters", "the input", func(g *guest) { g.freed(g.do(g.string("hello, world"), gfpKernel), "hello, world") }},
	{"kstrndup", "12 letters, 5 at most", "the input", func(g *guest) { g.freed(g.do(g.string("hello, world"), 5, gfpKernel), "hello") }},
	{"kmemdup_nul", "5 bytes", "the input", func(g *guest) { g.freed(g.do(g.string("hello, world"), 5, gfpKernel), "hello") }},
	{"kasprintf", "`%s %d`", "fmt.Sprintf", func(g *guest) {
		g.freed(g.do(gfpKernel, g.string("%s %d"), g.string("is"), 42), "is 42")
	}},
	{"argv_split", "3 words", "strings.Fields", func(g *guest) {
		argc := g.buf(8)
		argv := g.do(gfpKernel, g.string(" call  strlen hello "), argc)
		for i, want := range strings.Fields(" call  strlen hello ") {
			g.equal(want, g.text(g.u64(argv+8*uint64(i))))
		}
		g.equal(uint64(3), g.u64(argc))
		g.of("argv_free", argv)
	}},
	{"bitmap_zalloc", "100 bits", "zeros", func(g *guest) {
		bits := g.do(100, gfpKernel)
		g.equal(make([]byte, 16), g.read(bits, 16))
		g.of("bitmap_free", bits)
	}},
	{"kstrdup_quotable", "a tab", "its escape", func(g *guest) { g.freed(g.do(g.string("a\tb"), gfpKernel), `a\x09b`) }},
	{"match_strdup", "5 bytes", "the input", func(g *guest) {
		text := g.string("hello, world")
		g.freed(g.do(g.words([]uint64{text, text + 5})), "hello")
	}},
}

// freed reads a string, and frees it.
func (g *guest) freed(addr uint64, want string) {
	g.t.Helper()
	g.equal(want, g.text(addr))
	g.of("kfree", addr)
}

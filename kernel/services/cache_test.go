package services

import (
	"bytes"
	"encoding/binary"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernel"
)

// cacheOf has the kernel make a cache.
func (m *machine) cacheOf(name string, size, align, ctor uint64) uint64 {
	m.t.Helper()
	text := m.string(name)
	args := m.Layout.Slab.Args
	if args.Align < 0 {
		return m.call("kmem_cache_create", text, size, align, 0, ctor)
	}
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b[args.Align:], uint32(align))
	binary.LittleEndian.PutUint64(b[args.Ctor:], ctor)
	return m.call("__kmem_cache_create_args", text, size, m.bytes(b), 0)
}

func (m *machine) cacheAlloc() string { return m.first("kmem_cache_alloc_noprof", "kmem_cache_alloc") }

func testCaches(m *machine) {
	alloc := m.cacheAlloc()
	foo, bar := m.cacheOf("foo", 100, 64, 0), m.cacheOf("bar", 40, 0, 0)
	assert.EqualValues(m.t, 100, m.call("kmem_cache_size", foo), "by the kernel's own code")
	assert.Equal(m.t, "foo", m.text(m.u64(foo+uint64(m.Layout.Slab.Cache.Name))))

	a, b := m.call(alloc, foo, gfpKernel), m.call(alloc, foo, gfpKernel|uint64(gfpZero))
	assert.Zero(m.t, a%64)
	assert.Equal(m.t, bytes.Repeat([]byte{0x5a}, 100), m.read(a, 100))
	assert.Equal(m.t, make([]byte, 100), m.read(b, 100))
	assert.EqualValues(m.t, 100, m.call("ksize", a))

	_, err := m.try("kmem_cache_free", bar, a)
	var free *FreeError
	require.ErrorAs(m.t, err, &free)
	assert.Equal(m.t, "cache foo", free.Owner)
	assert.ErrorContains(m.t, err, "(100 bytes), which is cache foo's")
	_, err = m.try("vfree", a)
	assert.ErrorContains(m.t, err, "which is cache foo's")

	_, err = m.try("kmem_cache_destroy", foo)
	var busy *CacheError
	require.ErrorAs(m.t, err, &busy)
	assert.ErrorIs(m.t, err, errno.EBUSY)
	assert.Equal(m.t, CacheError{Cache: "foo", Live: 2, Object: busy.Object}, *busy)
	assert.Equal(m.t, min(a, b), busy.Object.Addr)

	m.call("kmem_cache_free", foo, a)
	_, err = m.try("kmem_cache_free", foo, a)
	assert.ErrorContains(m.t, err, "double free: kmem_cache_free of 0x")
	m.call("kfree", b)
	m.call("kmem_cache_destroy", foo)
	m.call("kmem_cache_destroy", 0)
	_, err = m.try(alloc, foo, gfpKernel)
	var none *NoAllocatorError
	require.ErrorAs(m.t, err, &none)

	list := m.bytes(make([]byte, 8*5))
	assert.EqualValues(m.t, 5, m.call(m.first("kmem_cache_alloc_bulk_noprof", "kmem_cache_alloc_bulk"), bar, gfpKernel, 5, list))
	m.call("kmem_cache_free_bulk", bar, 5, list)
	_, err = m.try("kmem_cache_free_bulk", bar, 1, list)
	assert.ErrorContains(m.t, err, "double free: kmem_cache_free_bulk")
	m.call("kmem_cache_destroy", bar)

	for _, bad := range [][3]uint64{{0, 8, 0}, {m.string("odd"), 8, 3}, {m.string("huge"), 1 << 31, 0}} {
		create := m.first("__kmem_cache_create_args", "kmem_cache_create")
		args := []uint64{bad[0], bad[1], bad[2], 0, 0}
		if m.Layout.Slab.Args.Align >= 0 {
			args[2] = m.bytes(binary.LittleEndian.AppendUint64(make([]byte, 0, 64), bad[2])[:64])
		}
		_, err := m.try(create, args...)
		assert.ErrorIs(m.t, err, errno.EINVAL)
	}
}

// A constructor is called for each object; it is the kernel's code.
func testConstructor(m *machine) {
	const word = 0x1122_3344_5566_7788
	ctor, err := m.PlaceCode("ctor", kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func("ctor")
		b.Emit(asm.MovImm(asm.X1, word)...)
		b.Emit(asm.Str(asm.X1, asm.Off(asm.X0, 8)), asm.Ret())
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(m.t, err)
	k := m.cacheOf("made", 32, 0, ctor.Base)
	for range 3 {
		o := m.call(m.cacheAlloc(), k, gfpKernel)
		assert.Equal(m.t, []uint64{kernel.PoisonInUse, word}, []uint64{m.u64(o), m.u64(o + 8)})
		m.call("kmem_cache_free", k, o)
	}
	m.call("kmem_cache_destroy", k)
	faulty := m.cacheOf("faulty", 32, 0, 8)
	_, err = m.try(m.cacheAlloc(), faulty, gfpKernel)
	assert.ErrorContains(m.t, err, "constructor of faulty: ")
}

// What a cache that is SLAB_TYPESAFE_BY_RCU has freed can still be read, and is given
// out again as it is.
func testByRCU(m *machine) {
	_, byRCU := m.slabFlags()
	var k uint64
	if m.Layout.Slab.Args.Align < 0 {
		k = m.call("kmem_cache_create", m.string("rcu"), 32, 0, byRCU, 0)
	} else {
		k = m.call("__kmem_cache_create_args", m.string("rcu"), 32, m.bytes(make([]byte, 64)), byRCU)
	}
	o := m.call(m.cacheAlloc(), k, gfpKernel)
	m.fill(o, 32)
	m.call("kmem_cache_free", k, o)
	assert.Equal(m.t, bytes.Repeat([]byte{0xa5}, 32), m.read(o, 32))
	_, err := m.try("kmem_cache_free", k, o)
	assert.ErrorContains(m.t, err, "double free")
	m.FailAlloc(1)
	assert.Zero(m.t, m.call(m.cacheAlloc(), k, gfpKernel))
	assert.Equal(m.t, o, m.call(m.cacheAlloc(), k, gfpKernel))
	assert.Equal(m.t, bytes.Repeat([]byte{0xa5}, 32), m.read(o, 32))
	m.call("kmem_cache_free", k, o)
	assert.Equal(m.t, o, m.call(m.cacheAlloc(), k, gfpKernel|uint64(gfpZero)))
	assert.Equal(m.t, make([]byte, 32), m.read(o, 32))
	m.call("kmem_cache_free", k, o)
	m.call("kmem_cache_destroy", k)
}

// The caches that boot makes and keeps in variables are there.
func testStaticCaches(m *machine) {
	made := 0
	for _, c := range staticCaches {
		v, err := m.Symbols.Lookup(c.variable)
		if err != nil {
			continue
		}
		made++
		k := m.u64(v.Addr)
		require.NotZero(m.t, k, c.variable)
		assert.EqualValues(m.t, c.size(&m.Layout.Slab.Sizes), m.call("kmem_cache_size", k), c.variable)
		m.call("kmem_cache_free", k, m.call(m.cacheAlloc(), k, gfpKernel))
	}
	if m.Layout.Slab.Args.Align >= 0 { // 6.1 has symbols of no variables
		assert.Greater(m.t, made, 5)
	}
	root := m.bytes(make([]byte, 16))
	for i := range uint64(200) {
		assert.Zero(m.t, m.call("radix_tree_insert", root, i*i, root+8*i))
	}
	for i := range uint64(200) {
		assert.Equal(m.t, root+8*i, m.call("radix_tree_lookup", root, i*i))
		assert.Equal(m.t, root+8*i, m.call("radix_tree_delete", root, i*i))
	}
}

func (m *machine) text(addr uint64) string {
	m.t.Helper()
	s, err := m.Mem.ReadString(addr, 4096)
	require.NoError(m.t, err)
	return s
}

func (m *machine) u64(addr uint64) uint64 { return binary.LittleEndian.Uint64(m.read(addr, 8)) }

func testVmalloc(m *machine) {
	page := m.Image.PageSize()
	p := m.call(m.first("vmalloc_noprof", "vmalloc"), 3*page+1)
	assert.Zero(m.t, p%page)
	assert.Equal(m.t, bytes.Repeat([]byte{0x5a}, 9), m.read(p+3*page-8, 9))
	_, err := m.try("kfree", p)
	assert.ErrorContains(m.t, err, "which is vmalloc's")
	m.call("vfree", p)
	_, err = m.try("vfree", p)
	assert.ErrorContains(m.t, err, "double free: vfree of 0x")
	p = m.call(m.first("vzalloc_noprof", "vzalloc"), 100)
	assert.Equal(m.t, make([]byte, 100), m.read(p, 100))
	m.call("kvfree", p)
	array := m.call(m.first("__vmalloc_array_noprof", "__vmalloc_array"), 100, 7, gfpKernel)
	assert.Zero(m.t, array%page)
	m.call("vfree", array)
	m.call("vfree", 0)
	for _, none := range []uint64{0, ^uint64(0)} {
		assert.Zero(m.t, m.call(m.first("vmalloc_noprof", "vmalloc"), none))
	}
	if m.first("kvrealloc_noprof", "kvrealloc_node_align_noprof") != "" {
		p := m.kmalloc(10)
		m.fill(p, 10)
		args := []uint64{p, 10 * page, gfpKernel}
		if m.first("kvrealloc_noprof") == "" {
			args = []uint64{p, 10 * page, 1, gfpKernel, 0}
		}
		grown := m.call(m.first("kvrealloc_noprof", "kvrealloc_node_align_noprof"), args...)
		assert.Equal(m.t, bytes.Repeat([]byte{0xa5}, 10), m.read(grown, 10))
		m.call("kvfree", grown)
	} else {
		p := m.call("kvrealloc", 0, 0, 10*page, gfpKernel)
		m.call("kvfree", p)
	}
}

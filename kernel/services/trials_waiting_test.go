package services

import (
	"github.com/stretchr/testify/require"
)

// load is the word at an address.
func (g *guest) load(addr uint64) uint64 {
	g.t.Helper()
	v, err := g.Mem.Load64(addr)
	require.NoError(g.t, err)
	return v
}

// completion makes a struct completion (include/linux/completion.h): done, then its wait queue.
func (g *guest) completion() uint64 {
	x := g.buf(64)
	g.of("__init_swait_queue_head", x+8, g.string("x"), g.buf(8))
	return x
}

// semaphore makes a struct semaphore of count 1: the lock, the count, and the list of who waits.
func (g *guest) semaphore() uint64 {
	sem := g.buf(24)
	require.NoError(g.t, g.Mem.Store32(sem+4, 1))
	require.NoError(g.t, g.Mem.Store64(sem+8, sem+8))
	require.NoError(g.t, g.Mem.Store64(sem+16, sem+8))
	return sem
}

// What a reader adds to rw_semaphore.count (kernel/locking/rwsem.c).
const rwsemReader = 1 << 8

// once is a gate that counts its calls, and the argument that it has to have.
func (g *guest) once(want uint64) (fn uint64, calls *int) {
	g.t.Helper()
	calls = new(int)
	return g.gate(func(args [8]uint64) uint64 {
		g.equal(want, args[0])
		*calls++
		return 0
	}), calls
}

var waiting = []trial{
	{"mutex_lock", "one that is free", "its owner", func(g *guest) {
		lock := g.buf(64)
		g.do(lock)
		g.equal(g.CPUs[0].Task, g.load(lock))
	}},
	{"mutex_trylock", "twice", "what it reports", func(g *guest) {
		lock := g.buf(64)
		g.equal(uint32(1), uint32(g.do(lock)))
		g.equal(uint32(0), uint32(g.do(lock)))
	}},
	{"mutex_unlock", "one that is held", "its owner", func(g *guest) {
		lock := g.buf(64)
		g.of("mutex_lock", lock)
		g.do(lock)
		g.equal(uint64(0), g.load(lock))
	}},
	{"down_read", "two readers", "the count", func(g *guest) {
		sem := g.buf(64)
		g.do(sem)
		g.do(sem)
		g.equal(uint64(2*rwsemReader), g.load(sem))
	}},
	{"down_write_trylock", "with a reader, and without", "what it reports", func(g *guest) {
		sem := g.buf(64)
		g.of("down_read", sem)
		g.equal(uint32(0), uint32(g.do(sem)))
		g.of("up_read", sem)
		g.equal(uint32(1), uint32(g.do(sem)))
	}},
	{"downgrade_write", "a writer", "the count", func(g *guest) {
		sem := g.buf(64)
		g.of("down_write", sem)
		g.do(sem)
		g.equal(uint64(rwsemReader), g.load(sem))
	}},
	{"down_trylock", "a semaphore of 1", "what it reports", func(g *guest) {
		sem := g.semaphore()
		g.equal(uint32(0), uint32(g.do(sem)))
		g.equal(uint32(1), uint32(g.do(sem)))
	}},
	{"down_timeout", "a semaphore of 0", "-ETIME", func(g *guest) {
		sem := g.semaphore()
		g.of("down_trylock", sem)
		g.equal(int32(-62), int32(g.do(sem, 10)))
	}},
	{"wait_for_completion_timeout", "50 jiffies", "what is left of them, and `jiffies`", func(g *guest) {
		x, before := g.completion(), g.load(g.symbol("jiffies_64"))
		g.equal(uint64(0), g.do(x, 50))
		g.equal(uint64(50), g.load(g.symbol("jiffies_64"))-before)
		g.of("complete", x)
		g.equal(uint64(50), g.do(x, 50))
	}},
	{"try_wait_for_completion", "before and after `complete`", "what it reports", func(g *guest) {
		x := g.completion()
		g.equal(uint64(0), g.do(x)&1)
		g.of("complete", x)
		g.equal(uint64(1), g.do(x)&1)
		g.equal(uint64(0), g.do(x)&1)
	}},
	{"complete_all", "a completion", "who waits afterwards", func(g *guest) {
		x := g.completion()
		g.do(x)
		g.of("wait_for_completion", x)
		g.of("wait_for_completion", x)
	}},
	{"schedule", "a task that can run", "that it goes on", func(g *guest) { g.do() }},
	{"msleep", "40 ms", "`jiffies`, of which 250 are a second", func(g *guest) {
		before := g.load(g.symbol("jiffies_64"))
		g.do(40)
		g.equal(true, g.load(g.symbol("jiffies_64"))-before >= 10)
	}},
	{"synchronize_rcu", "no reader", "that it returns", func(g *guest) { g.do() }},
	{"call_rcu", "a callback", "that it is called once, afterwards", func(g *guest) {
		head := g.buf(16)
		fn, calls := g.once(head)
		g.do(head, fn)
		g.equal(1, *calls)
	}},
	{"kvfree_call_rcu", "an object of 64 bytes", "the heap", func(g *guest) {
		obj := g.of("__kmalloc_noprof", 64, gfpKernel)
		g.do(obj+16, obj)
		o, _ := g.Heap.Lookup(obj)
		g.equal(true, o.Freed)
	}},
	{"synchronize_srcu", "`console_srcu`, which has no reader", "that it returns", func(g *guest) { g.do(g.symbol("console_srcu")) }},
	{"smp_call_function_single", "the one CPU", "that it is called", func(g *guest) {
		fn, calls := g.once(7)
		g.equal(uint32(0), uint32(g.do(0, fn, 7, 1)))
		g.equal(1, *calls)
	}},
	{"on_each_cpu_cond_mask", "the CPUs that are online", "how often it is called", func(g *guest) {
		fn, calls := g.once(9)
		g.do(0, fn, 9, 1, g.symbol("__cpu_online_mask"))
		g.equal(1, *calls)
	}},
	{"stop_machine", "the one CPU", "what its function returns", func(g *guest) {
		g.equal(uint32(5), uint32(g.do(g.gate(func([8]uint64) uint64 { return 5 }), 0, 0)))
	}},
	{"aarch64_insn_patch_text_nosync", "an instruction", "what is executed", func(g *guest) {
		at := g.symbol("int_sqrt")
		site, _ := g.Image.Site(at)
		was, err := g.Mem.Load32(site.IP)
		require.NoError(g.t, err)
		const ret = 0xd65f03c0
		g.equal(uint64(0), g.do(site.IP, ret))
		g.equal(uint64(81), g.of("int_sqrt", 81))
		g.equal(uint64(0), g.do(site.IP, uint64(was)))
		g.equal(uint64(9), g.of("int_sqrt", 81))
	}},
}

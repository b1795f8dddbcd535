package services

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernelimage"
)

// rig is a kernel whose services tell of what they do, with guest code to call.
type rig struct {
	*machine
	events *[]Event
}

// eachKernel runs a test on each of the distribution's kernels and each engine.
func eachKernel(t *testing.T, cpus int, test func(r *rig)) {
	for _, series := range append([]string{kernels.Linux716K}, kernels.All...) {
		if cpus > 1 && series == kernels.Linux61 { // which does not tell where its per-CPU variables are
			continue
		}
		t.Run(series, func(t *testing.T) {
			for _, e := range engines.All() {
				t.Run(e.Name, func(t *testing.T) {
					m := booted(t, series, e, cpus)
					*m.events = nil
					test(&rig{&machine{m.Kernel, m.Services, new([]Line), t}, m.events})
				})
			}
		})
	}
}

// rigs are the machines that tests share, by what they are: booting one takes longer than most tests.
var rigs = map[string]*rig{}

func booted(t *testing.T, series string, e engines.Engine, cpus int) *rig {
	t.Helper()
	key := fmt.Sprint(series, e.Name, cpus)
	if r := rigs[key]; r != nil {
		return r
	}
	r := bootRig(t, series, e, cpus, Options{})
	rigs[key] = r
	return r
}

func bootRig(t *testing.T, series string, e engines.Engine, cpus int, opts Options) *rig {
	t.Helper()
	k, err := kernel.Boot(kept.Image(t, series), e.New, &kernel.BootOptions{CPUs: cpus, HeapSize: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, k.FreeInitMem())
	events := new([]Event)
	opts.Event = func(e Event) { *events = append(*events, e) }
	s, err := Install(k, &opts)
	require.NoError(t, err)
	return &rig{&machine{k, s, new([]Line), t}, events}
}

// place assembles a function of the guest. x0 to x3 are those of its call; it may use
// all registers.
func (r *rig) place(name string, body func(b *asm.Builder)) uint64 {
	r.t.Helper()
	p, err := r.PlaceCode(name, kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(name)
		body(b)
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(r.t, err)
	*r.events = nil // of the text that was placed
	return p.Base
}

// callFunc assembles a call of the kernel's function with constant arguments.
func (r *rig) callFunc(b *asm.Builder, name string, args ...uint64) {
	r.t.Helper()
	addr, err := r.Func(name)
	require.NoError(r.t, err)
	r.callAddr(b, addr, args...)
}

func (r *rig) callAddr(b *asm.Builder, addr uint64, args ...uint64) {
	for i, a := range args {
		b.Emit(asm.MovImm(asm.X0+asm.Reg(i), a)...)
	}
	b.Emit(asm.MovImm(asm.X16, addr)...)
	b.Emit(asm.Blr(asm.X16))
}

// frame assembles a function that calls others; what body leaves in x0 it returns.
func frame(b *asm.Builder, body func()) {
	b.Emit(asm.Stp(asm.X29, asm.X30, asm.Pre(asm.SP, -32)), asm.Mov(asm.X29, asm.SP), asm.Stp(asm.X19, asm.X20, asm.Off(asm.SP, 16)))
	body()
	b.Emit(asm.Ldp(asm.X19, asm.X20, asm.Off(asm.SP, 16)), asm.Ldp(asm.X29, asm.X30, asm.Post(asm.SP, 32)), asm.Ret())
}

// load assembles x0 = *addr.
func load(b *asm.Builder, addr uint64) {
	b.Emit(asm.MovImm(asm.X9, addr)...)
	b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X9, 0)))
}

func (r *rig) run(addr uint64, args ...uint64) (uint64, error) {
	r.t.Helper()
	res, err := r.Call(r.t.Context(), 0, &emu.CallOptions{Budget: 20_000_000}, addr, args...)
	return res.X0, err
}

func (r *rig) must(addr uint64, args ...uint64) uint64 {
	r.t.Helper()
	x0, err := r.run(addr, args...)
	require.NoError(r.t, err)
	return x0
}

func (r *rig) word(addr uint64) uint64 {
	r.t.Helper()
	v, err := r.Mem.Load64(addr)
	require.NoError(r.t, err)
	return v
}

// kinds are the events so far, which are forgotten.
func (r *rig) kinds() []EventKind {
	var kinds []EventKind
	for _, e := range *r.events {
		kinds = append(kinds, e.Kind)
	}
	*r.events = nil
	return kinds
}

// counter places a callback that adds one to the word at its second, and remembers
// its argument and preempt_count in those after it.
func (r *rig) counter(name string) (fn, at uint64) {
	at = r.words(make([]uint64, 4))
	return r.place(name, func(b *asm.Builder) {
		b.Emit(asm.MovImm(asm.X9, at)...)
		b.Emit(asm.Ldr(asm.X10, asm.Off(asm.X9, 0)), asm.AddImm(asm.X10, asm.X10, 1), asm.Str(asm.X10, asm.Off(asm.X9, 0)))
		b.Emit(asm.Str(asm.X0, asm.Off(asm.X9, 8)))
		b.Emit(asm.Mrs(asm.X10, asm.SP_EL0), asm.Ldr(asm.W10, asm.Off(asm.X10, int64(r.Layout.Task.PreemptCount))), asm.Str(asm.X10, asm.Off(asm.X9, 16)))
		b.Emit(asm.Mrs(asm.X10, asm.DAIF), asm.Str(asm.X10, asm.Off(asm.X9, 24)))
		b.Emit(asm.Ret())
	}), at
}

// A callback runs after the grace period, which is after its caller's critical section,
// with bottom halves disabled (kernel/rcu/tree.c: rcu_do_batch).
func TestCallRCU_RunsTheCallbackWhenTheCPULeavesTheKernel(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		fn, count := r.counter("callback")
		head := r.words(make([]uint64, 2))
		queue := r.place("queue", func(b *asm.Builder) {
			frame(b, func() {
				r.callFunc(b, "call_rcu", head, fn)
				load(b, count)
			})
		})
		assert.Zero(r.t, r.must(queue), "before its caller returns")
		assert.EqualValues(r.t, 1, r.word(count))
		assert.Equal(r.t, head, r.word(count+8))
		assert.EqualValues(r.t, softirqOffset, r.word(count+16))
		assert.Equal(r.t, fn, r.word(head+8), "rcu_head.func")
		assert.Equal(r.t, []EventKind{GraceBegan, CallbackQueued, CallbackRun}, r.kinds())
		assert.Zero(r.t, r.Pending())
	})
}

func TestSynchronize_RunsCallbacksThatAreRipe(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		fn, count := r.counter("callback")
		head := r.words(make([]uint64, 2))
		want := uint64(0)
		for _, name := range []string{"synchronize_rcu", "synchronize_rcu_expedited", "synchronize_rcu_tasks", "synchronize_rcu_tasks_rude", "rcu_barrier"} {
			if r.first(name) == "" {
				assert.Equal(r.t, "synchronize_rcu_tasks", name, "it is synchronize_rcu where the kernel is not preemptible")
				assert.False(r.t, r.preemptible)
				continue
			}
			want++
			assert.Equal(r.t, want, r.must(r.place("queue_"+name, func(b *asm.Builder) {
				frame(b, func() {
					r.callFunc(b, "call_rcu", head, fn)
					r.callFunc(b, name)
					load(b, count)
				})
			})), name)
		}
	})
}

func TestSynchronize_WhereTheTaskCannotSleepIsAnError(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		at := r.CPUs[0].Task + uint64(r.Layout.Task.PreemptCount)
		v, err := r.Mem.Load32(at)
		require.NoError(r.t, err)
		require.NoError(r.t, r.Mem.Store32(at, v+1))
		defer func() { require.NoError(r.t, r.Mem.Store32(at, v)) }()
		_, err = r.try("synchronize_rcu")
		var atomic *AtomicError
		require.ErrorAs(r.t, err, &atomic)
		assert.Equal(r.t, AtomicError{Func: "synchronize_rcu", Count: 1}, *atomic)
		assert.ErrorIs(r.t, err, errno.EDEADLK)
	})
}

// rcu_read_lock counts in the task where the kernel has CONFIG_PREEMPT_RCU. Debian's have not, so a word
// at the end of the task stands in for the counter.
func TestSynchronizeRCU_InItsOwnReaderIsAnError(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		own := r.Layout
		defer func() { r.Kernel.Layout = own }()
		assert.Equal(r.t, kernelimage.Absent, own.Task.RCULocked)
		l := *own
		off := l.Task.Size - 8
		l.Task.RCULocked = off
		r.Kernel.Layout = &l
		at := r.CPUs[0].Task + uint64(off)
		require.NoError(r.t, r.Mem.Store32(at, 2))
		defer func() { require.NoError(r.t, r.Mem.Store32(at, 0)) }()
		_, err := r.try("synchronize_rcu")
		var atomic *AtomicError
		require.ErrorAs(r.t, err, &atomic)
		assert.EqualValues(r.t, 2, atomic.Locked)
		r.call("synchronize_rcu_tasks_rude")
	})
}

func TestCallRCU_OfAHeadThatIsQueuedIsAnError(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		fn, _ := r.counter("callback")
		head := r.words(make([]uint64, 2))
		_, err := r.run(r.place("queue", func(b *asm.Builder) {
			frame(b, func() {
				r.callFunc(b, "call_rcu", head, fn)
				r.callFunc(b, "call_rcu", head, fn)
			})
		}))
		var double *CallbackError
		require.ErrorAs(r.t, err, &double)
		assert.Equal(r.t, head, double.Head)
		assert.Contains(r.t, err.Error(), "by queue+0x")
	})
}

func TestKvfreeCallRCU_FreesTheObject(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		kmalloc := r.first("__kmalloc", "__kmalloc_noprof")
		for _, off := range []uint64{0, 16} {
			obj := r.call(kmalloc, 64, 0xcc0)
			ptr := obj
			if r.first("kvfree_rcu_barrier") == "" { // until 6.3 how far the head is into it
				ptr = off
			}
			r.call("kvfree_call_rcu", obj+off, ptr)
			o, ok := r.Heap.Lookup(obj)
			require.True(r.t, ok)
			assert.True(r.t, o.Freed)
		}
	})
}

// What an IPI runs has interrupts masked (kernel/smp.c).
func TestIPI_OnTheCallingCPU(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		fn, at := r.counter("callback")
		assert.Zero(r.t, r.call("smp_call_function_single", 0, fn, 77, 1))
		assert.EqualValues(r.t, 1, r.word(at))
		assert.EqualValues(r.t, 77, r.word(at+8))
		assert.EqualValues(r.t, 0xc0, r.word(at+24)&0xc0)
		r.call("on_each_cpu_cond_mask", 0, fn, 78, 1, r.OnlineMask())
		assert.EqualValues(r.t, 2, r.word(at))
		assert.EqualValues(r.t, 78, r.word(at+8))
		r.call("smp_call_function", fn, 79, 1)
		assert.EqualValues(r.t, 2, r.word(at), "on the others only")
		assert.Zero(r.t, r.call("schedule_on_each_cpu", fn))
		assert.EqualValues(r.t, 3, r.word(at))
		assert.Equal(r.t, negative(guestENXIO), r.call("smp_call_function_single", 5, fn, 0, 1))
		assert.Empty(r.t, r.kinds(), "no other CPU was interrupted")
	})
}

func TestIPI_ReachesTheOtherCPUs(t *testing.T) {
	eachKernel(t, 3, func(r *rig) {
		fn, at := r.counter("callback")
		r.call("smp_call_function", fn, 5, 1)
		assert.EqualValues(r.t, 2, r.word(at))
		assert.EqualValues(r.t, hardirqOffset, r.word(at+16))
		r.call("on_each_cpu_cond_mask", 0, fn, 5, 1, r.OnlineMask())
		assert.EqualValues(r.t, 5, r.word(at))
		r.call("kick_all_cpus_sync")
		assert.Len(r.t, r.kinds(), 6)
		assert.Zero(r.t, r.call("smp_call_function_single", 2, fn, 9, 1))
		assert.Equal(r.t, []Event{{Kind: Interrupted, Func: "smp_call_function_single", Addr: fn, Value: 2}}, *r.events)
	})
}

// Every CPU is stopped; the function is called on the first, or on those that are named, with interrupts
// masked (kernel/stop_machine.c).
func TestStopMachine_CallsOnTheCPUsThatAreNamed(t *testing.T) {
	for _, cpus := range []int{1, 3} {
		eachKernel(t, cpus, func(r *rig) {
			fn, at := r.counter("stopped")
			r.call("stop_machine", fn, 5, 0)
			assert.EqualValues(r.t, 1, r.word(at))
			assert.EqualValues(r.t, 5, r.word(at+8))
			assert.EqualValues(r.t, 0xc0, r.word(at+24)&0xc0)
			*r.events = nil
			if cpus > 1 {
				r.call("stop_machine", fn, 5, r.OnlineMask())
				assert.EqualValues(r.t, 4, r.word(at))
				assert.Equal(r.t, []EventKind{Interrupted, Interrupted}, r.kinds())
			}
			fails := r.place("fails", func(b *asm.Builder) { b.Emit(asm.MovImm(asm.X0, 0xffff_fff0)...); b.Emit(asm.Ret()) })
			assert.EqualValues(r.t, 0xffff_fff0, uint32(r.call("stop_machine", fails, 0, 0)))
		})
	}
}

// Names and addresses are the kernel's own affair: its kallsyms needs no help.
func TestKallsyms_IsTheKernelsOwn(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		buf := r.bytes(make([]byte, 512))
		for _, name := range []string{"vfs_read", "ftrace_caller"} {
			sym, err := r.Symbols.Lookup(name)
			require.NoError(r.t, err)
			assert.Equal(r.t, sym.Addr, r.call("kallsyms_lookup_name", r.string(name)))
			n := r.call("sprint_symbol_no_offset", buf, sym.Addr)
			assert.Equal(r.t, name, string(r.read(buf, int(n))))
		}
		assert.Zero(r.t, r.call("kallsyms_lookup_name", r.string("no_such_function")))
	})
}

func TestMissing_NamesTheServiceAndItsCaller(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		work := r.words(make([]uint64, 8))
		_, err := r.run(r.place("queues", func(b *asm.Builder) { frame(b, func() { r.callFunc(b, "queue_work_on", 0, 0, work) }) }))
		var missing *MissingError
		require.ErrorAs(r.t, err, &missing)
		require.ErrorIs(r.t, err, errno.ENOSYS)
		assert.Equal(r.t, "queue_work_on", missing.Func)
		assert.Contains(r.t, missing.Caller, "queues+0x")
		assert.Contains(r.t, err.Error(), "callops has no work queues")
	})
}

// A CPU that has executed the instruction executes the new one afterwards.
func TestText_PatchedByTheKernelsOwnFunction(t *testing.T) {
	eachKernel(t, 1, func(r *rig) {
		const five = 0xd28000a0 // mov x0, #5
		at := r.place("patched", func(b *asm.Builder) { b.Emit(asm.Movz(asm.X0, 4, 0), asm.Ret()) })
		assert.EqualValues(r.t, 4, r.must(at))
		assert.Zero(r.t, r.call("aarch64_insn_patch_text_nosync", at, five))
		assert.EqualValues(r.t, 5, r.must(at))
		assert.Equal(r.t, []EventKind{TextWritten, TextMaintained}, r.kinds())
		assert.EqualValues(r.t, uint32(0xffff_ffea), uint32(r.call("aarch64_insn_patch_text_nosync", at+2, five)), "-EINVAL")
		assert.EqualValues(r.t, uint32(0xffff_fff2), uint32(r.call("aarch64_insn_patch_text_nosync", 0xdead_0000_0000, five)), "-EFAULT")
	})
}

// A hook sees each store before and after it, and may refuse it as the kernel does.
func TestText_HookSeesAndRefuses(t *testing.T) {
	var writes []TextWrite
	var refuse error
	hook := func(_ emu.CPU, w TextWrite, store func() error) error {
		if refuse != nil {
			return refuse
		}
		writes = append(writes, w)
		return store()
	}
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			e, _ := engines.Lookup("interp")
			r := bootRig(t, series, e, 1, Options{Text: hook})
			defer func() { assert.NoError(t, r.Kernel.Close()) }()
			const four, five = 0xd2800080, 0xd28000a0 // mov x0, #4 and #5
			at := r.place("patched", func(b *asm.Builder) { b.Emit(asm.Movz(asm.X0, 4, 0), asm.Ret()) })
			writes, refuse = nil, nil
			assert.Zero(t, r.call("aarch64_insn_patch_text_nosync", at, five))
			assert.Equal(t, []TextWrite{{Addr: at, Size: 4, Old: four, New: five}}, writes)
			refuse = errno.EINVAL
			assert.EqualValues(t, uint32(0xffff_ffea), uint32(r.call("aarch64_insn_patch_text_nosync", at, four)))
			assert.EqualValues(t, 5, r.must(at), "as it was")
			refuse = errors.New("no more")
			_, err := r.try("aarch64_insn_patch_text_nosync", at, four)
			assert.ErrorIs(t, err, refuse)
			refuse = nil
			if r.first("aarch64_insn_write_literal_u64") == "" {
				assert.Equal(t, kernels.Linux61, series)
				return
			}
			lit := r.words([]uint64{7})
			assert.Zero(t, r.call("aarch64_insn_write_literal_u64", lit, 8))
			assert.Equal(t, TextWrite{Addr: lit, Size: 8, Old: 7, New: 8}, writes[len(writes)-1])
			assert.EqualValues(t, 8, r.word(lit))
		})
	}
}

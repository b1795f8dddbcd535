package ftrace

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// counting places a direct trampoline that counts its calls in memory and goes on at the site.
func (k *testKernel) counting(name string, far bool) (addr uint64, count func() uint64) {
	k.t.Helper()
	at, err := k.k.AllocModuleData(name, name+"_count", 8, emu.Read|emu.Write)
	require.NoError(k.t, err)
	p, err := k.k.PlaceCode(name, kernel.CodeOptions{Far: far}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(name)
		b.Emit(asm.Bti(asm.BTIC))
		b.Emit(asm.MovImm(asm.X10, at)...)
		b.Emit(
			asm.Ldr(asm.X11, asm.Off(asm.X10, 0)),
			asm.AddImm(asm.X11, asm.X11, 1),
			asm.Str(asm.X11, asm.Off(asm.X10, 0)),
			asm.Mov(asm.X10, asm.LR),
			asm.Mov(asm.LR, asm.X9),
			asm.RetReg(asm.X10),
		)
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(k.t, err)
	addr, _ = p.Addr(name)
	return addr, func() uint64 {
		n, err := k.k.Mem.Load64(at)
		require.NoError(k.t, err)
		return n
	}
}

type design struct {
	direct  trampolines.Direct
	callOps bool
}

func (d design) options() *Options {
	opts := &Options{Direct: d.direct}
	if !d.callOps {
		opts.Scheme = Global
	}
	return opts
}

// designs are the builds in which one ops has all direct calls.
var designs = []design{
	{trampolines.DirectTagged, true},
	{trampolines.DirectMini, true},
	{trampolines.DirectHash, true},
	{trampolines.DirectHash, false},
}

// eachDesign runs a test with each of them, with trampolines in and out of the sites' reach.
func eachDesign(t *testing.T, test func(t *testing.T, k *testKernel, far bool)) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for _, d := range designs {
			for _, far := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/call_ops=%t/far=%t", d.direct, d.callOps, far), func(t *testing.T) {
					k := boot(t, &kernelimage.BuiltinOptions{NoCallOps: !d.callOps, BTI: true}, d.options())
					test(t, k, far)
				})
			}
		}
	})
}

func (k *testKernel) directOpsOf() *Ops {
	k.t.Helper()
	o, err := k.DirectOps()
	require.NoError(k.t, err)
	return o
}

func TestUpdateDirect_EachSiteCallsItsOwnAddress(t *testing.T) {
	eachDesign(t, func(t *testing.T, k *testKernel, far bool) {
		a, callsA := k.counting("direct_a", far)
		b, callsB := k.counting("direct_b", far)
		rel, irr := k.fn("tracee_relevant"), k.fn("tracee_irrelevant")
		o := k.directOpsOf()
		var wantA, wantB uint64
		// both calls both functions, and checks which address they came to.
		both := func(relevant, irrelevant *uint64) {
			t.Helper()
			require.NoError(t, k.Validate())
			k.call("tracee_relevant", 1, 2)
			k.call("tracee_irrelevant", 1, 2)
			for _, n := range []*uint64{relevant, irrelevant} {
				if n != nil {
					*n++
				}
			}
			assert.Equal(t, wantA, callsA())
			assert.Equal(t, wantB, callsB())
		}
		require.NoError(t, k.UpdateDirectAdd(o, []DirectCall{{rel, a}}))
		both(&wantA, nil)
		require.NoError(t, k.UpdateDirectAdd(o, []DirectCall{{irr, b}}))
		both(&wantA, &wantB)

		tracer := k.ops("tracer", k.code.OpsFuncCount, 0, "tracee_*")
		second := k.ops("second", k.code.OpsFuncCount, 0, "tracee_relevant")
		k.register(tracer)
		both(&wantA, &wantB)
		k.register(second)
		both(&wantA, &wantB)
		require.NoError(t, k.UpdateDirectMod(o, []DirectCall{{rel, b}}), "while tracers are beside")
		both(&wantB, &wantB)
		assert.EqualValues(t, 6, k.counter(tracer))
		assert.EqualValues(t, 2, k.counter(second))
		k.unregister(tracer, second)
		both(&wantB, &wantB)
		require.NoError(t, k.UpdateDirectMod(o, []DirectCall{{rel, a}, {irr, a}}))
		both(&wantA, &wantA)
		assert.EqualValues(t, 6, k.counter(tracer))

		k.register(tracer)
		require.NoError(t, k.UpdateDirectDel(o, []DirectCall{{irr, a}}), "from beside a tracer")
		both(&wantA, nil)
		k.unregister(tracer)
		both(&wantA, nil)
		require.NoError(t, k.UpdateDirectDel(o, []DirectCall{{rel, a}}))
		both(nil, nil)
		assert.Empty(t, k.Registered())
		assert.Zero(t, k.Direct(k.Location(rel)))

		require.NoError(t, k.UpdateDirectAdd(o, []DirectCall{{rel, a}}), "the ops can be used again")
		both(&wantA, nil)
		require.NoError(t, k.UpdateDirectDel(o, []DirectCall{{rel, a}}))
	})
}

// What is there for one address does for the other functions of RegisterDirect as well.
func TestRegisterDirect_WorksWithEachDesign(t *testing.T) {
	eachDesign(t, func(t *testing.T, k *testKernel, far bool) {
		a, callsA := k.counting("direct_a", far)
		b, callsB := k.counting("direct_b", far)
		d := k.direct("d", "tracee_*")
		require.NoError(t, k.RegisterDirect(d, a))
		require.NoError(t, k.Validate())
		k.call("tracee_relevant", 1, 2)
		require.NoError(t, k.ModifyDirect(d, b))
		require.NoError(t, k.Validate())
		k.call("tracee_irrelevant", 1, 2)
		assert.EqualValues(t, []uint64{1, 1}, []uint64{callsA(), callsB()})
		require.ErrorIs(t, k.UnregisterDirect(d, a), errno.EINVAL)
		require.NoError(t, k.UnregisterDirect(d, b))
		require.NoError(t, k.Validate())
		require.NoError(t, k.FreeFilter(d))
		require.NoError(t, k.FreeOps(d))
	})
}

func TestUpdateDirect_Refusals(t *testing.T) {
	for _, d := range designs {
		t.Run(fmt.Sprintf("%s/call_ops=%t", d.direct, d.callOps), func(t *testing.T) {
			k := bootIdle(t, &kernelimage.BuiltinOptions{NoCallOps: !d.callOps}, d.options())
			rel, irr := k.fn("tracee_relevant"), k.fn("tracee_irrelevant")
			target := k.code.StubDirectTramp
			o := k.directOpsOf()
			for what, calls := range map[string][]DirectCall{
				"nothing":       nil,
				"no site":       {{rel, target}, {k.code.Stub, target}},
				"twice":         {{rel, target}, {rel, target}},
				"no address":    {{rel, 0}},
				"no code there": {{rel, target + 2}},
			} {
				assert.ErrorIs(t, k.UpdateDirectAdd(o, calls), errno.EINVAL, what)
				assert.ErrorIs(t, k.UpdateDirectDel(o, calls), errno.EINVAL, what)
				assert.ErrorIs(t, k.UpdateDirectMod(o, calls), errno.EINVAL, what)
			}
			one := []DirectCall{{rel, target}}
			assert.ErrorIs(t, k.UpdateDirectDel(o, one), errno.EINVAL, "not registered")
			assert.ErrorIs(t, k.UpdateDirectMod(o, one), errno.EINVAL, "not registered")
			plain := k.ops("plain", k.code.OpsFuncNop, 0, "fib")
			assert.ErrorIs(t, k.UpdateDirectAdd(plain, one), errno.EINVAL, "it has a func")

			require.NoError(t, k.UpdateDirectAdd(o, one))
			assert.ErrorIs(t, k.UpdateDirectAdd(o, []DirectCall{{irr, target}, {rel, target}}), errno.EINVAL, "one of them is busy")
			assert.ErrorIs(t, k.UpdateDirectDel(o, []DirectCall{{rel, k.code.Stub}}), errno.EINVAL, "it calls another address")
			require.NoError(t, k.UpdateDirectMod(o, []DirectCall{{irr, target}}), "one without a direct call is left out")

			ip := k.ops("ip", k.code.OpsFuncNop, OpsIPModify, "tracee_irrelevant")
			k.register(ip)
			assert.ErrorIs(t, k.UpdateDirectAdd(o, []DirectCall{{irr, target}}), errno.EBUSY)
			require.NoError(t, k.Validate())
			assert.Zero(t, k.Direct(k.Location(irr)))
			assert.Equal(t, []*Ops{ip, o}, k.Registered())
			require.NoError(t, k.UpdateDirectDel(o, one))
		})
	}
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	bare, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer bare.Close()
	_, err = New(bare, &Options{Direct: trampolines.DirectTagged, Scheme: Sets})
	require.ErrorIs(t, err, errno.EINVAL, "a set is called from a literal that names an ops")

	k := bootIdle(t, nil, nil)
	_, err = k.DirectOps()
	require.ErrorIs(t, err, errno.EOPNOTSUPP)
	assert.ErrorIs(t, k.UpdateDirectAdd(k.direct("d", ""), []DirectCall{{k.fn("fib"), k.code.Stub}}), errno.EOPNOTSUPP)
}

// Whatever allocation fails, nothing has changed, and nothing is left on the heap.
func TestUpdateDirect_AllOrNothingWithoutMemory(t *testing.T) {
	for _, d := range designs {
		t.Run(fmt.Sprintf("%s/call_ops=%t", d.direct, d.callOps), func(t *testing.T) {
			left := -1
			opts := d.options()
			opts.FailAlloc = func(string) bool { left--; return left == 0 }
			k := bootIdle(t, &kernelimage.BuiltinOptions{NoCallOps: !d.callOps}, opts)
			live := 0
			k.k.Heap.Observe(func(o emu.Object) {
				if o.Freed {
					live--
				} else {
					live++
				}
			})
			rel, irr, fib := k.fn("tracee_relevant"), k.fn("tracee_irrelevant"), k.fn("fib")
			near, far := k.code.StubDirectTramp, uint64(0xffffa0000000f000)
			o := k.directOpsOf()
			require.NoError(t, k.UpdateDirectAdd(o, []DirectCall{{rel, near}, {fib, far}}))
			state := func() string {
				return fmt.Sprint(k.site("tracee_relevant"), k.site("tracee_irrelevant"), k.site("fib"), k.minis, len(k.unused), k.Direct(k.Location(rel)))
			}
			for what, update := range map[string]func() error{
				"add": func() error { return k.UpdateDirectAdd(o, []DirectCall{{irr, k.code.Stub}}) },
				"mod": func() error { return k.UpdateDirectMod(o, []DirectCall{{rel, k.code.Stub}}) },
				"del": func() error { return k.UpdateDirectDel(o, []DirectCall{{fib, far}}) },
			} {
				for n := 1; ; n++ {
					before, objects := state(), live
					left = n
					err := update()
					failed := left <= 0
					left = -1
					require.NoError(t, k.Validate())
					if !failed {
						require.NoError(t, err, what)
						break
					}
					require.ErrorIs(t, err, errno.ENOMEM, "%s, allocation %d", what, n)
					require.Equal(t, before, state(), "%s, allocation %d", what, n)
					require.Equal(t, objects, live)
				}
			}
		})
	}
}

// With two tracers and more a site's flags stay as they are when a direct call joins or leaves: the literal alone follows.
func TestUpdateDirect_JoinsAndLeavesAnyNumberOfTracers(t *testing.T) {
	eachDesign(t, func(t *testing.T, k *testKernel, far bool) {
		addr, count := k.counting("direct", far)
		o, want := k.directOpsOf(), uint64(0)
		site := []DirectCall{{k.fn("tracee_relevant"), addr}}
		for n := range 4 {
			if n > 0 {
				k.register(k.ops(fmt.Sprint("tracer", n), k.code.OpsFuncCount, 0, "tracee_relevant"))
			}
			require.NoError(t, k.UpdateDirectAdd(o, site))
			require.NoError(t, k.Validate())
			k.call("tracee_relevant")
			want++
			assert.Equal(t, want, count(), "with %d tracers", n)
			require.NoError(t, k.UpdateDirectDel(o, site))
			require.NoError(t, k.Validate())
			k.call("tracee_relevant")
			assert.Equal(t, want, count(), "gone, with %d tracers", n)
		}
	})
}

// Whatever is done in whatever order, with memory or without, each site calls what it was told to.
func TestUpdateDirect_AgreesThroughRandomUse(t *testing.T) {
	functions := []string{"fib", "gcd", "tracee_relevant", "is_even", "is_odd"}
	for i, d := range designs {
		t.Run(fmt.Sprintf("%s/call_ops=%t", d.direct, d.callOps), func(t *testing.T) {
			rnd, short := rand.New(rand.NewPCG(uint64(i), 1)), false
			opts := d.options()
			opts.FailAlloc = func(string) bool { return short && rnd.IntN(8) == 0 }
			k := bootIdle(t, &kernelimage.BuiltinOptions{NoCallOps: !d.callOps, BTI: true}, opts)
			direct, tracers := k.directOpsOf(), []*Ops{}
			for n := range 3 {
				tracers = append(tracers, k.ops(fmt.Sprint("tracer", n), k.code.OpsFuncCount, 0, "fib"))
			}
			var addrs []uint64
			for n := range 3 {
				addr, _ := k.counting(fmt.Sprint("direct", n), n == 2)
				addrs = append(addrs, addr)
			}
			want := map[string]uint64{}
			for step := range 400 {
				short = rnd.IntN(3) == 0
				f, addr, o := functions[rnd.IntN(len(functions))], addrs[rnd.IntN(len(addrs))], tracers[rnd.IntN(len(tracers))]
				call := []DirectCall{{k.fn(f), addr}}
				switch rnd.IntN(6) {
				case 0:
					if k.UpdateDirectAdd(direct, call) == nil {
						want[f] = addr
					}
				case 1:
					if k.UpdateDirectDel(direct, call) == nil {
						delete(want, f)
					}
				case 2:
					if k.UpdateDirectMod(direct, call) == nil && want[f] != 0 {
						want[f] = addr
					}
				case 3:
					_ = k.Register(o)
				case 4:
					_ = k.Unregister(o)
				case 5:
					_ = k.SetFilter(o, f, &FilterOptions{Reset: rnd.IntN(2) == 0})
				}
				short = false
				require.False(t, k.Dead(), "step %d", step)
				require.NoError(t, k.Validate(), "step %d", step)
				for _, f := range functions {
					require.Equal(t, want[f], k.Direct(k.Location(k.fn(f))), "step %d, %s", step, f)
				}
			}
		})
	}
}

package ftrace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

type bootFunc func(t *testing.T, img *kernelimage.BuiltinOptions, opts *Options) *testKernel

// eachEngine runs a test once on each engine of this build.
func eachEngine(t *testing.T, test func(t *testing.T, boot bootFunc)) {
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) {
			test(t, func(t *testing.T, img *kernelimage.BuiltinOptions, opts *Options) *testKernel {
				t.Helper()
				return bootOn(t, e.New, img, opts)
			})
		})
	}
}

func (k *testKernel) call(name string, args ...uint64) uint64 {
	k.t.Helper()
	res, err := k.k.CallName(context.Background(), 0, nil, name, args...)
	require.NoError(k.t, err)
	return res.X0
}

// counter is what ops_func_count counted for the ops.
func (k *testKernel) counter(o *Ops) uint32 {
	k.t.Helper()
	n, err := k.k.Mem.Load32(o.addr + uint64(k.layout.Ops.Size))
	require.NoError(k.t, err)
	return n
}

func TestRun_EveryRegisteredOpsSeesEveryCall(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for name, img := range builds {
			t.Run(name, func(t *testing.T) {
				k := boot(t, img, nil)
				var all []*Ops
				for i, flags := range []OpsFlag{0, OpsRCU, OpsRecursion, OpsRCU | OpsRecursion, 0} {
					o := k.ops(fmt.Sprint("o", i), k.code.OpsFuncCount, flags, "fib")
					k.register(o)
					all = append(all, o)
					assert.EqualValues(t, 5, k.call("fib", 5))
				}
				// fib(5) is 15 calls; ops i was there for the last len-i of the rounds.
				for i, o := range all {
					assert.EqualValues(t, 15*(len(all)-i), k.counter(o), o)
				}
				for i, o := range all {
					before := k.counter(o)
					k.unregister(o)
					assert.EqualValues(t, 5, k.call("fib", 5))
					assert.Equal(t, before, k.counter(o), "%s was unregistered in step %d", o, i)
				}
				word, err := k.k.Mem.Load64(k.k.CPUs[0].Task + uint64(k.layout.Task.TraceRecursion))
				require.NoError(t, err)
				assert.Zero(t, word, "no recursion bit is left")
			})
		}
	})
}

// Whatever callers do, each call is seen by exactly the ops that cover it.
func TestRun_CountsAgreeThroughRandomUse(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		patterns := []string{"tracee_relevant", "tracee_irrelevant", "tracee_*", "fib", "*", "!tracee_relevant", "!fib"}
		flags := []OpsFlag{0, 0, OpsRCU, OpsRecursion}
		for name, img := range builds {
			t.Run(name, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(7, 7))
				k := boot(t, img, nil)
				want := map[*Ops]uint32{}
				var all []*Ops
				for i := range 5 {
					o := k.ops(fmt.Sprint("o", i), k.code.OpsFuncCount, flags[rnd.IntN(len(flags))])
					all = append(all, o)
				}
				for step := range 150 {
					o := all[rnd.IntN(len(all))]
					pat := patterns[rnd.IntN(len(patterns))]
					switch rnd.IntN(5) {
					case 0:
						_ = k.Register(o)
					case 1:
						_ = k.Unregister(o)
					case 2:
						_ = k.SetFilter(o, pat, &FilterOptions{Reset: rnd.IntN(2) == 0})
					case 3:
						_ = k.SetNotrace(o, pat, &FilterOptions{Reset: rnd.IntN(2) == 0})
					case 4:
						_ = k.SetEnabled(rnd.IntN(4))
					}
					for fn, calls := range map[string]uint32{"tracee_relevant": 1, "tracee_irrelevant": 1, "fib": 5} {
						k.call(fn, 3)
						ip := k.Location(k.fn(fn))
						for _, o := range k.Registered() {
							if k.enabled != 0 && o.hash.match(ip) {
								want[o] += calls
							}
						}
					}
					for _, o := range all {
						require.Equal(t, want[o], k.counter(o), "step %d, %s", step, o)
					}
				}
			})
		}
	})
}

func TestGoTracer_SeesAndChangesTheCall(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for name, img := range builds {
			t.Run(name, func(t *testing.T) {
				k := boot(t, img, nil)
				var seen []string
				fn, err := k.GoTracer("watch", func(ip, parent uint64, op *Ops, regs *Regs) {
					name, _, _ := k.k.Symbols.FormatName(ip)
					from, _, _ := k.k.Symbols.FormatName(parent)
					seen = append(seen, fmt.Sprintf("%s: %s(%d) from %s", op, name, regs.Arg(0), from))
					assert.Equal(t, ip+4, regs.PC())
					assert.Equal(t, parent, regs.LR())
					if name == "untraced" || regs.Arg(0) == 3 {
						regs.SetArg(0, 20)
					}
					if regs.Arg(0) == 7 {
						regs.Return(77)
					}
					if regs.Arg(0) == 9 {
						regs.SetLR(0x1234_0000) // where nothing is
					}
				})
				require.NoError(t, err)
				o := k.ops("o", fn, 0, "gcd")
				k.register(o)
				assert.EqualValues(t, 5, k.call("gcd", 3, 15), "gcd(20, 15)")
				assert.EqualValues(t, 77, k.call("gcd", 7, 14), "did not run")
				assert.Equal(t, "o: gcd(3) from ", seen[0])
				assert.Len(t, seen, 2)
				_, err = k.k.CallName(t.Context(), 0, &emu.CallOptions{Budget: 1_000_000}, "gcd", 9, 3)
				assert.ErrorContains(t, err, "0x12340000", "gcd returns to another place")
			})
		}
	})
}

// A tracer that takes its own ops away and frees it before its readers are
// done: the list function comes back to freed memory, and reports its owner.
func TestRun_UseAfterFreeNamesTheOps(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for _, flags := range []OpsFlag{0, OpsRCU} {
			k := boot(t, nil, nil)
			var self, other *Ops
			fn, err := k.GoTracer("suicide", func(uint64, uint64, *Ops, *Regs) {
				assert.ErrorIs(t, k.Unregister(self), errno.EDEADLK)
				assert.NoError(t, k.FreeOps(self))
			})
			require.NoError(t, err)
			self = k.ops("mine", fn, flags, "tracee_relevant")
			other = k.ops("other", k.code.OpsFuncCount, 0, "tracee_relevant")
			k.register(other, self)
			_, err = k.k.CallName(context.Background(), 0, nil, "tracee_relevant")
			require.ErrorIs(t, err, errno.EFAULT)
			assert.ErrorContains(t, err, "ops mine")
			assert.ErrorContains(t, err, "has been freed")
			assert.ErrorContains(t, err, "arch_ftrace_ops_list_func")

			// The CPU and ftrace are usable again.
			k.call("tracee_relevant")
			assert.EqualValues(t, 1, k.counter(other))
		}
	})
}

// A tracer may change filters while the list function walks the old ones: the
// old hashes are freed when it has returned.
func TestRun_TracerChangesFiltersUnderTheListFunction(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var second *Ops
		fn, err := k.GoTracer("meddler", func(_, _ uint64, _ *Ops, regs *Regs) {
			assert.NoError(t, k.SetFilter(second, "fib", &FilterOptions{Reset: regs.Arg(0)%2 == 0}))
			assert.NoError(t, k.SetFilter(second, "gcd", nil))
		})
		require.NoError(t, err)
		second = k.ops("second", k.code.OpsFuncCount, 0, "fib")
		k.register(second, k.ops("first", fn, 0, "fib"))
		assert.EqualValues(t, 8, k.call("fib", 6))
		assert.EqualValues(t, 25, k.counter(second))
		require.NoError(t, k.Validate())
	})
}

func TestRun_RecursiveTracerIsBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		depth := 0
		fn, err := k.GoTracer("recursive", func(uint64, uint64, *Ops, *Regs) {
			if depth++; depth > 10 {
				t.Fatal("no bound")
			}
			k.call("tracee_relevant")
		})
		require.NoError(t, err)
		k.register(k.ops("o", fn, OpsRecursion, "tracee_relevant"))
		k.call("tracee_relevant")
		// Once in the task's own context and once in the transition.
		assert.Equal(t, 2, depth)
	})
}

// A tracer without a recursion check that calls what it traces: calls nest so
// deep and no deeper, also where nothing takes up the guest's stack.
func TestRun_TracerThatCallsWhatItTraces(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		stack, err := k.k.Mem.Map("stack", 0x1000_0000, 1<<20, emu.Read|emu.Write)
		require.NoError(t, err)
		k.k.CPUs[0].Regs().SP = stack.End()
		for name, call := range map[string]func(gate uint64, o *Ops) error{
			"through its site": func(uint64, *Ops) error {
				_, err := k.k.CallName(t.Context(), 0, nil, "gcd", 12, 18)
				return err
			},
			"at its gate": func(gate uint64, o *Ops) error {
				_, err := k.k.Call(t.Context(), 0, nil, gate, 0, 0, o.Addr())
				return err
			},
		} {
			calls, refused := 0, error(nil)
			var tracer uint64
			var o *Ops
			tracer, err := k.GoTracer("endless", func(uint64, uint64, *Ops, *Regs) {
				calls++
				if err := call(tracer, o); err != nil && refused == nil {
					refused = err
				}
			})
			require.NoError(t, err)
			o = k.ops(name, tracer, 0, "gcd")
			k.register(o)
			require.NoError(t, call(tracer, o), name)
			assert.Equal(t, emu.MaxDepth, calls, name)
			require.ErrorIs(t, refused, errno.ELOOP, name)
			require.NoError(t, k.Unregister(o))
		}
	})
}

// A Go tracer executes nothing, but is served out of the call's budget.
func TestRun_TracerReturnsToItself(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var o *Ops
		calls := 0
		tracer, err := k.GoTracer("again", func(uint64, uint64, *Ops, *Regs) { calls++ })
		require.NoError(t, err)
		o = k.ops("o", tracer, 0, "gcd")
		p, err := k.k.PlaceCode("self_return", kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
			b := asm.NewBuilder()
			b.Func("self_return")
			b.Emit(asm.MovImm(asm.LR, tracer)...)
			b.Emit(asm.Br(asm.LR))
			b.EndFunc()
			return b.Assemble(base)
		})
		require.NoError(t, err)
		res, err := k.k.Call(t.Context(), 0, &emu.CallOptions{Budget: 1000}, p.Base, 0, 0, o.Addr())
		require.ErrorIs(t, err, emu.ErrBudget)
		assert.Equal(t, uint64(1000), res.Count+uint64(calls))
		assert.Less(t, res.Count, uint64(10))
	})
}

func TestRun_DirectCallTakesThePlaceOfTheFunction(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		d := k.direct("d", "gcd")
		require.NoError(t, k.RegisterDirect(d, k.code.StubDirectTramp))
		assert.EqualValues(t, 5, k.call("gcd", 10, 15), "the stub goes on with the function")
		o := k.ops("o", k.code.OpsFuncCount, 0, "gcd")
		k.register(o)
		assert.EqualValues(t, 5, k.call("gcd", 10, 15), "after the tracers")
		assert.EqualValues(t, 1, k.counter(o))
		require.NoError(t, k.ModifyDirect(d, k.code.StubDirectTramp))
		assert.EqualValues(t, 5, k.call("gcd", 10, 15))
	})
}

// The list function meets an ops that lost its func: ftrace ends, the call goes on.
func TestRun_ListFunctionReportsANullFunc(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		var log []string
		k := boot(t, nil, &Options{Printk: func(s string) { log = append(log, s) }})
		a := k.ops("a", k.code.OpsFuncCount, 0, "gcd")
		b := k.ops("b", k.code.OpsFuncCount, 0, "gcd")
		k.register(a, b)
		require.NoError(t, k.k.Mem.Store64(b.addr+uint64(k.layout.Ops.Func), 0))
		assert.EqualValues(t, 5, k.call("gcd", 10, 15))
		assert.Zero(t, k.counter(a), "the walk ends there")
		assert.True(t, k.Dead())
		assert.Equal(t, []string{fmt.Sprintf("WARNING: op=%#x %#x has no func", b.addr, b.addr)}, log)
	})
}

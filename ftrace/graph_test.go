package ftrace

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trampolines"
)

// graphUser makes a user that records what it is told, and wants each return.
func (k *testKernel) graphUser(name string, log *[]string, filter ...string) *GraphOps {
	k.t.Helper()
	g, err := k.NewGoGraphOps(name, GraphTracer{
		Entry: func(op *GraphOps, e *GraphEntry) bool {
			*log = append(*log, fmt.Sprintf("%s: %d %s(%d)", op, e.Depth, k.k.Symbols.Format(e.IP), e.Regs.Arg(0)))
			return true
		},
		Return: func(op *GraphOps, e *GraphReturn) {
			*log = append(*log, fmt.Sprintf("%s: %d %s = %d", op, e.Depth, k.k.Symbols.Format(e.IP), e.Value))
			assert.Less(k.t, e.CallTime, e.RetTime)
		},
	})
	require.NoError(k.t, err)
	for _, f := range filter {
		require.NoError(k.t, k.SetFilter(g.Ops, f, nil))
	}
	return g
}

func (k *testKernel) registerGraph(users ...*GraphOps) {
	k.t.Helper()
	for _, g := range users {
		require.NoError(k.t, k.RegisterGraph(g))
		require.NoError(k.t, k.Validate())
	}
}

// stackIsEmpty asserts that the first CPU's task has no frame left.
func (k *testKernel) stackIsEmpty() {
	k.t.Helper()
	task, l := k.k.CPUs[0].Task, &k.layout.Task
	top, err := k.k.Mem.Load32(task + uint64(l.CurrRetStack))
	require.NoError(k.t, err)
	depth, err := k.k.Mem.Load32(task + uint64(l.CurrRetDepth))
	require.NoError(k.t, err)
	assert.Zero(k.t, top)
	if k.graph.stacks.byTask[task] != 0 {
		assert.EqualValues(k.t, -1, int32(depth))
	}
}

func TestGraph_TellsOfCallsAndTheirReturns(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for name, img := range builds {
			t.Run(name, func(t *testing.T) {
				k := boot(t, img, nil)
				var log []string
				g := k.graphUser("g", &log, "fib")
				k.registerGraph(g)
				assert.EqualValues(t, 1, k.call("fib", 2))
				site := k.k.Symbols.Format(k.Location(k.fn("fib")))
				assert.Equal(t, []string{
					"g: 0 " + site + "(2)", "g: 1 " + site + "(1)", "g: 1 " + site + " = 1",
					"g: 1 " + site + "(0)", "g: 1 " + site + " = 0", "g: 0 " + site + " = 1",
				}, log)
				k.stackIsEmpty()

				require.NoError(t, k.UnregisterGraph(g))
				require.NoError(t, k.Validate())
				log = nil
				assert.EqualValues(t, 8, k.call("fib", 6))
				assert.Empty(t, log)
				require.NoError(t, k.FreeGraphOps(g))
				require.ErrorIs(t, k.RegisterGraph(g), errno.EINVAL, "it was freed")
			})
		}
	})
}

// Each user is told of the functions of its own filter, and of the returns that it asked for.
func TestGraph_UsersHaveFiltersOfTheirOwn(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var a, b []string
		first, second := k.graphUser("a", &a, "gcd"), k.graphUser("b", &b, "fib")
		k.registerGraph(first, second)
		k.call("fib", 1)
		assert.Empty(t, a, "nothing that it traces was called")
		assert.Len(t, b, 2)
		k.call("gcd", 4, 2)
		assert.Len(t, a, 2)
		assert.Len(t, b, 2)

		require.NoError(t, k.SetFilter(first.Ops, "fib", nil), "while it is registered")
		require.NoError(t, k.SetNotrace(second.Ops, "fib", nil))
		require.NoError(t, k.Validate())
		k.call("fib", 1)
		assert.Len(t, a, 4)
		assert.Len(t, b, 2)
		assert.Equal(t, 0, first.Index())
		assert.Equal(t, 1, second.Index())
		k.stackIsEmpty()
	})
}

// A refused return is not told, and leaves no frame.
func TestGraph_EntryDecidesOnTheReturn(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var entries, returns int
		g, err := k.NewGoGraphOps("odd", GraphTracer{
			Entry: func(_ *GraphOps, e *GraphEntry) bool {
				entries++
				return e.Regs.Arg(0)%2 == 1
			},
			Return: func(*GraphOps, *GraphReturn) { returns++ },
		})
		require.NoError(t, err)
		require.NoError(t, k.SetFilter(g.Ops, "fib", nil))
		k.registerGraph(g)
		k.call("fib", 3) // 3, 2, 1, 0, 1
		assert.Equal(t, 5, entries)
		assert.Equal(t, 3, returns)
		k.stackIsEmpty()
	})
}

// A return that is pending when its user leaves goes where it should, and nobody is told.
func TestGraph_UserLeavesWhileAReturnIsPending(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var log []string
		g := k.graphUser("g", &log, "fib")
		k.registerGraph(g)
		inner, err := k.NewGoGraphOps("inner", GraphTracer{Entry: func(*GraphOps, *GraphEntry) bool {
			if g.Index() >= 0 {
				require.NoError(t, k.UnregisterGraph(g))
			}
			return true
		}})
		require.NoError(t, err)
		require.NoError(t, k.SetFilter(inner.Ops, "fib", nil))
		k.registerGraph(inner)
		assert.EqualValues(t, 1, k.call("fib", 1))
		assert.Len(t, log, 1, "the entry, and no return")
		k.stackIsEmpty()
	})
}

func TestGraph_SixteenUsersAndNoMore(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var log []string
		var users []*GraphOps
		for i := range trampolines.MaxGraphUsers {
			users = append(users, k.graphUser(fmt.Sprint("u", i), &log, "fib"))
		}
		k.registerGraph(users...)
		one := k.graphUser("one", &log, "fib")
		require.ErrorIs(t, k.RegisterGraph(one), errno.ENOSPC)
		k.call("fib", 1)
		assert.Len(t, log, 2*trampolines.MaxGraphUsers)

		require.NoError(t, k.UnregisterGraph(users[3]))
		require.NoError(t, k.UnregisterGraph(users[9]))
		k.registerGraph(one)
		assert.Equal(t, 3, one.Index(), "the one that became free first")
		require.ErrorIs(t, k.RegisterGraph(one), errno.EBUSY)
		require.ErrorIs(t, k.UnregisterGraph(users[3]), errno.EBUSY)
		require.ErrorIs(t, k.FreeGraphOps(one), errno.EBUSY)
	})
}

// A call for which the return stack has no room is not told of, and returns.
func TestGraph_FullReturnStack(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		deepest, overrun := 0, uint32(0)
		g, err := k.NewGoGraphOps("g", GraphTracer{
			Entry: func(_ *GraphOps, e *GraphEntry) bool {
				deepest = max(deepest, e.Depth)
				return true
			},
			Return: func(_ *GraphOps, e *GraphReturn) { overrun = e.Overrun },
		})
		require.NoError(t, err)
		require.NoError(t, k.SetFilter(g.Ops, "is_*", nil))
		k.registerGraph(g)
		assert.EqualValues(t, 1, k.call("is_even", 100), "each of its tail calls has a frame")
		assert.Equal(t, 80, deepest, "81 frames fit")
		assert.EqualValues(t, 20, overrun)
		k.stackIsEmpty()
	})
}

// The graph user is one ops among others for a site.
func TestGraph_BesideOtherOps(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		var log []string
		o := k.ops("o", k.code.OpsFuncCount, 0, "fib")
		k.register(o)
		k.registerGraph(k.graphUser("g", &log, "fib"))
		assert.EqualValues(t, 5, k.call("fib", 5))
		assert.EqualValues(t, 15, k.counter(o))
		assert.Len(t, log, 30)
		k.stackIsEmpty()
	})
}

// New tasks get a return stack while there are users.
func TestGraph_TasksComeAndGo(t *testing.T) {
	k := bootIdle(t, nil, nil)
	stackOf := func(task uint64) uint64 {
		v, err := k.k.Mem.Load64(task + uint64(k.layout.Task.RetStack))
		require.NoError(t, err)
		return v
	}
	before, err := k.k.NewTask("before", 0)
	require.NoError(t, err)
	assert.Zero(t, stackOf(before.Addr))
	g := k.graphUser("g", new([]string), "fib")
	k.registerGraph(g)
	assert.NotZero(t, stackOf(before.Addr))
	during, err := k.k.NewTask("during", 0)
	require.NoError(t, err)
	stack := stackOf(during.Addr)
	assert.NotZero(t, stack)
	k.k.FreeTask(during)
	require.ErrorIs(t, k.k.Heap.Free(stack), errno.EINVAL, "it was freed with its task")
	require.NoError(t, k.UnregisterGraph(g))
	after, err := k.k.NewTask("after", 0)
	require.NoError(t, err)
	assert.Zero(t, stackOf(after.Addr))
	k.registerGraph(g)
	assert.NotZero(t, stackOf(after.Addr))
}

func TestGraph_RefusesKernelsWithoutReturnStacks(t *testing.T) {
	k := bootIdle(t, nil, nil)
	k.code.GraphFunc = 0
	_, err := k.NewGraphOps("g", GraphHandlers{Entry: 1, Return: 1})
	require.ErrorIs(t, err, errno.EOPNOTSUPP)
}

// Whatever users do, each is told of exactly the calls that its filter has.
func TestGraph_AgreesThroughRandomUse(t *testing.T) {
	for name, img := range map[string]*kernelimage.BuiltinOptions{"with CALL_OPS": nil, "6.1": {Profile: kernelimage.Profile61, NoCallOps: true}} {
		t.Run(name, func(t *testing.T) {
			k := bootOn(t, interp.New, img, nil)
			rnd := rand.New(rand.NewPCG(7, 8))
			patterns := []string{"tracee_relevant", "fib", "*", "!tracee_relevant", "!fib"}
			var users []*GraphOps
			logs := make([][]string, 5)
			for i := range logs {
				users = append(users, k.graphUser(fmt.Sprint("u", i), &logs[i]))
			}
			for step := range 200 {
				i := rnd.IntN(len(users))
				g := users[i]
				switch rnd.IntN(4) {
				case 0:
					_ = k.RegisterGraph(g)
				case 1:
					_ = k.UnregisterGraph(g)
				case 2:
					_ = k.SetFilter(g.Ops, patterns[rnd.IntN(len(patterns))], &FilterOptions{Reset: rnd.IntN(2) == 0})
				case 3:
					_ = k.SetNotrace(g.Ops, patterns[rnd.IntN(len(patterns))], &FilterOptions{Reset: rnd.IntN(2) == 0})
				}
				require.NoError(t, k.Validate(), "step %d", step)
				clear(logs)
				k.call("fib", 3)
				for i, g := range users {
					want := 0
					if g.Index() >= 0 && g.Ops.hash.match(k.Location(k.fn("fib"))) {
						want = 10
					}
					require.Len(t, logs[i], want, "step %d, %s", step, g)
				}
				k.stackIsEmpty()
			}
		})
	}
}

// What calls a graph-traced function is found, also where a tail call has replaced a traced function.
func TestGraph_BacktraceHasTheCallers(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		k := boot(t, nil, nil)
		g := k.graphUser("g", new([]string), "*")
		require.NoError(t, k.SetNotrace(g.Ops, "gcd", nil))
		k.registerGraph(g)
		var names []string
		watch, err := k.GoTracer("watch", func(uint64, uint64, *Ops, *Regs) {
			names = nil
			for _, pc := range k.k.Backtrace(0) {
				name, ok := k.k.Gates.Name(pc)
				if !ok {
					name, _, _ = k.k.Symbols.FormatName(pc)
				}
				names = append(names, name)
			}
		})
		require.NoError(t, err)
		for _, c := range []struct {
			call, site string
			arg        uint64
			want       []string
		}{
			{"checksum_buffer", "crc32_byte", 1, []string{"crc32_byte", "crc32_update", "checksum_buffer", "return_to_host"}},
			{"is_even", "is_odd", 1, []string{"is_odd", "return_to_host"}}, // is_even is gone
		} {
			o := k.ops("watch "+c.site, watch, 0, c.site)
			k.register(o)
			buf, err := k.k.Heap.Alloc("buf", 8)
			require.NoError(t, err)
			if c.call == "is_even" {
				k.call(c.call, c.arg)
			} else {
				k.call(c.call, buf, c.arg)
			}
			require.GreaterOrEqual(t, len(names), len(c.want), names)
			assert.Equal(t, c.want, names[len(names)-len(c.want):])
			assert.NotContains(t, names, "return_to_handler")
			k.unregister(o)
		}
	})
}

// Whatever allocation fails, an operation is done or has left nothing, and can be repeated.
func TestGraph_AllOrNothingWithoutMemory(t *testing.T) {
	left := -1
	k := bootIdle(t, nil, &Options{FailAlloc: func(string) bool { left--; return left == 0 }})
	live := 0
	k.k.Heap.Observe(func(o emu.Object) {
		if o.Freed {
			live--
		} else {
			live++
		}
	})
	var log []string
	a, b := k.graphUser("a", &log, "fib"), k.graphUser("b", &log, "tracee_relevant")
	c := k.graphUser("c", &log, "tracee_irrelevant")
	k.registerGraph(c)
	k.registerGraph(a)
	require.NoError(t, k.UnregisterGraph(a)) // tasks have their return stacks from now on
	state := func() string {
		bitmask, err := k.k.Mem.Load64(k.code.GraphBitmask)
		require.NoError(t, err)
		return fmt.Sprint(k.site("tracee_relevant"), k.site("fib"), k.site("tracee_irrelevant"), a.Ops.Flags(), b.Ops.Flags(), bitmask, k.graph.stacks.active, len(k.graph.subops))
	}
	for _, op := range []struct {
		what string
		do   func() error
	}{
		{"register", func() error { return k.RegisterGraph(a) }},
		{"register another", func() error { return k.RegisterGraph(b) }},
		{"filter", func() error { return k.SetFilterIP(a.Ops, k.fn("gcd"), nil) }},
		{"unregister", func() error { return k.UnregisterGraph(a) }},
		{"unregister another", func() error { return k.UnregisterGraph(b) }},
		{"unregister the last", func() error { return k.UnregisterGraph(c) }},
	} {
		for n := 1; ; n++ {
			before, objects := state(), live
			left = n
			err := op.do()
			failed := left <= 0
			left = -1
			require.NoError(t, k.Validate(), "%s, allocation %d", op.what, n)
			if !failed {
				require.NoError(t, err, op.what)
				break
			}
			require.ErrorIs(t, err, errno.ENOMEM, "%s, allocation %d", op.what, n)
			require.Equal(t, before, state(), "%s, allocation %d", op.what, n)
			require.Equal(t, objects, live, "%s, allocation %d", op.what, n)
		}
	}
	require.NoError(t, k.FreeGraphOps(a))
	require.NoError(t, k.FreeGraphOps(b))
	require.NoError(t, k.FreeGraphOps(c))
}

// A handler may take its own user away, and others.
func TestGraph_UsersLeaveInTheirOwnHandlers(t *testing.T) {
	for name, inReturn := range map[string]bool{"entry": false, "return": true} {
		for _, alone := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/alone=%t", name, alone), func(t *testing.T) {
				k := bootOn(t, interp.New, nil, nil)
				var errs []error
				var g *GraphOps
				leave := func(now bool) {
					if now && g.Index() >= 0 {
						errs = append(errs, k.UnregisterGraph(g))
					}
				}
				g, err := k.NewGoGraphOps("g", GraphTracer{
					Entry:  func(*GraphOps, *GraphEntry) bool { leave(!inReturn); return true },
					Return: func(*GraphOps, *GraphReturn) { leave(inReturn) },
				})
				require.NoError(t, err)
				require.NoError(t, k.SetFilter(g.Ops, "fib", nil))
				k.registerGraph(g)
				var log []string
				if !alone {
					k.registerGraph(k.graphUser("other", &log, "fib"))
				}
				assert.EqualValues(t, 3, k.call("fib", 4))
				assert.Equal(t, []error{nil}, errs)
				require.NoError(t, k.Validate())
				k.stackIsEmpty()
				require.NoError(t, k.RegisterGraph(g))
				assert.EqualValues(t, 3, k.call("fib", 4))
				require.NoError(t, k.Validate())
			})
		}
	}
}

package guestcore_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel/services"
	"callops/kernelimage/ctype"
)

// struct fgraph_ops (include/linux/ftrace.h): two functions, then its ftrace_ops.
const (
	graphReturn = 8
	graphOps    = 16
	graphSize   = 1024
)

// bootGraph has the kernel be as register_ftrace_graph expects it: each CPU has an idle task, and
// static keys can be switched.
func (l *lab) bootGraph() {
	l.t.Helper()
	idle := l.sym("runqueues") + l.offset("rq", "idle")
	for _, c := range l.k.CPUs {
		l.store(idle+c.PerCPU, c.Task)
	}
	require.NoError(l.t, l.k.Mem.Write(l.sym("static_key_initialized"), []byte{1}))
}

// structures are those that were asked for, by series: a look through all types takes long.
var structures = make(map[[2]string]*ctype.Structure)

// offset is where a structure has a field.
func (l *lab) offset(structure, field string) uint64 {
	l.t.Helper()
	key := [2]string{l.series, structure}
	if structures[key] == nil {
		list, err := l.k.Image.Structures(func(name string) bool { return name == structure })
		require.NoError(l.t, err)
		require.Len(l.t, list, 1)
		structures[key] = list[0]
	}
	for _, f := range structures[key].Fields {
		if f.Name == field {
			return uint64(f.Offset)
		}
	}
	require.Fail(l.t, "no field", "%s.%s", structure, field)
	return 0
}

// graph is a struct fgraph_ops on the functions that are named.
func (l *lab) graph(funcs ...string) uint64 {
	l.t.Helper()
	g := l.alloc("fgraph_ops", graphSize)
	l.store(g, l.sym("ftrace_graph_entry_stub"))
	l.store(g+graphReturn, l.sym("ftrace_stub_graph"))
	for _, f := range funcs {
		require.Zero(l.t, status(l.call("ftrace_set_filter_ip", g+graphOps, l.ip(f), 0, 0)))
	}
	return g
}

func (l *lab) registerGraph(g uint64) int {
	l.t.Helper()
	return status(l.call("register_ftrace_graph", g))
}

// graphFlags are the flags of a graph's ops.
func (l *lab) graphFlags(g uint64) ftrace.OpsFlag {
	l.t.Helper()
	return ftrace.OpsFlag(l.load(g + graphOps + uint64(l.k.Layout.Ops.Flags)))
}

// enabled are how many functions are traced.
func (l *lab) enabled() (n int) {
	for _, rec := range l.Records() {
		if l.Count(rec) > 0 {
			n++
		}
	}
	return n
}

// allocations is how many allocations f does.
func (l *lab) allocations(f func()) int {
	before := l.services.Allocations()
	f()
	return int(l.services.Allocations() - before)
}

// graphLabs runs a test on each kernel, with a function that starts that kernel once more.
func graphLabs(t *testing.T, test func(t *testing.T, fresh func() *lab)) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			test(t, func() *lab {
				l := newLab(t, series, nil)
				l.bootGraph()
				return l
			})
		})
	}
}

// The last allocation of register_ftrace_graph fails, and is the last that it ever tries.
func TestFinding_AGraphRegistrationThatFailedOnceFailsForEver(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		g := l.graph("gcd")
		n := l.allocations(func() { require.Zero(t, l.registerGraph(g)) })

		l = fresh()
		g = l.graph("gcd")
		l.services.FailAlloc(n)
		require.Equal(t, -12, l.registerGraph(g), "ENOMEM")
		require.Empty(t, l.warned)
		assert.NotZero(t, l.registerGraph(g))
		assert.Equal(t, -17, l.registerGraph(l.graph("lcm")), "EEXIST: the sched_switch probe was never removed")
		assert.NotEmpty(t, l.warned)
	})
}

// FTRACE_OPS_FL_GRAPH, which 6.12 does not have, outlives a registration that failed.
func TestFinding_AFailedGraphRegistrationKeepsTheGraphFlag(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		require.Zero(t, l.registerGraph(l.graph("gcd")))
		g := l.graph("lcm")
		l.services.FailAlloc(1)
		require.Equal(t, -12, l.registerGraph(g), "ENOMEM")
		require.Empty(t, l.warned)
		if l.series == kernels.Linux612 {
			require.Zero(t, l.registerGraph(g))
			return
		}
		assert.Equal(t, -16, l.registerGraph(g), "EBUSY: it is taken to be registered")
		assert.NotEmpty(t, l.warned)
	})
}

// unregister_ftrace_graph returns nothing, and may have unregistered nothing.
func TestFinding_AGraphThatIsUnregisteredWithoutMemoryStays(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		setUp := func() (stays, goes uint64) {
			stays, goes = l.graph("gcd"), l.graph("lcm")
			for _, g := range []uint64{stays, goes, l.graph("int_sqrt")} {
				require.Zero(t, l.registerGraph(g))
			}
			return stays, goes
		}
		_, goes := setUp()
		n := l.allocations(func() { l.call("unregister_ftrace_graph", goes) })
		require.Positive(t, n)

		l = fresh()
		_, goes = setUp()
		l.services.FailAlloc(1)
		l.call("unregister_ftrace_graph", goes)
		assert.NotZero(t, l.graphFlags(goes)&ftrace.OpsEnabled)
		assert.Equal(t, 3, l.enabled())
		assert.Equal(t, -16, l.registerGraph(goes), "EBUSY")
		l.warned = nil
		l.call("ftrace_free_filter", goes+graphOps)
		assert.Equal(t, l.series != kernels.Linux612, len(l.warned) > 0, "6.12 frees the filter of an ops that is enabled")

		l = fresh()
		stays, goes := setUp()
		l.services.FailAlloc(n)
		l.call("unregister_ftrace_graph", goes)
		require.NoError(t, l.k.Heap.Free(goes), "its owner has no reason to keep it")
		_, err := l.k.CallName(t.Context(), 0, nil, "unregister_ftrace_graph", stays)
		var fault *emu.Fault
		require.ErrorAs(t, err, &fault, "it is still among graph_ops' subops")
	})
}

// A graph whose notrace filter takes away all of its filter traces nothing. 7.3 has every function
// call it.
func TestFinding_AGraphThatTracesNothingHasAllFunctionsCallIt(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		g := l.graph("gcd")
		require.Zero(t, status(l.call("ftrace_set_notrace", g+graphOps, l.text("gcd"), 3, 0)))
		require.Zero(t, l.registerGraph(g))
		if l.series == kernels.Linux612 {
			assert.Zero(t, l.enabled())
		} else {
			assert.Equal(t, len(l.Records()), l.enabled())
		}
		assert.Empty(t, l.warned)
	})
}

// unregister_ftrace_graph clears saved_func, and waits for no CPU that is about to call it.
func TestFinding_AGraphFilteredByPidCallsNull(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		require.Zero(t, l.registerGraph(l.graph("lcm")), "so that no CPU is interrupted for the tracepoint's sake")
		g := l.pidGraph("gcd")
		require.Zero(t, l.registerGraph(g))
		require.Equal(t, l.sym("fgraph_pid_func"), l.load(g))
		l.events = nil

		other := l.second()
		at := breakpoints{l.sym("fgraph_pid_func"): other.stop}
		l.start(other, at.options(), "gcd", 84, 36)
		l.call("unregister_ftrace_graph", g)
		assert.Empty(t, l.graces(), "with a CPU in fgraph_pid_func")
		var fault *emu.Fault
		require.ErrorAs(t, other.finish(), &fault)
		assert.Zero(t, fault.Addr)
	})
}

// pidGraph is a graph of a trace array that traces some tasks only, those that run among them.
func (l *lab) pidGraph(funcs ...string) uint64 {
	l.t.Helper()
	data, err := l.k.AllocPerCPU("trace_array_cpu", 256, 16)
	require.NoError(l.t, err)
	const tracePid = ^uint32(1) // FTRACE_PID_TRACE, -2
	for _, c := range l.k.CPUs {
		require.NoError(l.t, l.k.Mem.Store32(data+c.PerCPU+l.offset("trace_array_cpu", "ftrace_ignore_pid"), tracePid))
	}
	tr := l.alloc("trace_array", 8192)
	l.store(tr+l.offset("trace_array", "function_pids"), tr)
	l.store(tr+l.offset("trace_array", "array_buffer")+l.offset("array_buffer", "data"), data)
	g := l.graph(funcs...)
	at := g + graphOps + uint64(l.k.Layout.Ops.Flags)
	l.store(at, l.load(at)|uint64(ftrace.OpsPID))
	l.store(g+graphOps+uint64(l.k.Layout.Ops.Private), tr)
	return g
}

// TRACE_GRAPH_NOTRACE (kernel/trace/trace.h): in the word that a graph has in each task.
const graphNoTrace = 1 << 4

// told is what a graph is called with.
type told struct{ entries, returns int }

// tellingGraph is a graph that wants each return; entry and ret may be nil.
func (l *lab) tellingGraph(entry, ret func(), funcs ...string) (g uint64, t *told) {
	l.t.Helper()
	t = &told{}
	gate := func(name string, n *int, f func()) uint64 {
		addr, err := l.k.Gates.Add(name, func(emu.CPU, [8]uint64) (uint64, error) {
			if *n++; f != nil {
				f()
			}
			return 1, nil
		})
		require.NoError(l.t, err)
		return addr
	}
	g = l.graph(funcs...)
	l.store(g, gate("entryfunc", &t.entries, entry))
	l.store(g+graphReturn, gate("retfunc", &t.returns, ret))
	return g, t
}

// tracerGraph is a graph of the kernel's function_graph tracer that records no call, as each is shorter than
// tracing_thresh.
func (l *lab) tracerGraph(funcs ...string) uint64 {
	l.t.Helper()
	g := l.pidGraph(funcs...)
	flags := g + graphOps + uint64(l.k.Layout.Ops.Flags)
	l.store(flags, l.load(flags)&^uint64(ftrace.OpsPID))
	l.store(g, l.sym("trace_graph_entry"))
	l.store(g+graphReturn, l.sym("trace_graph_thresh_return"))
	l.store(g+l.offset("fgraph_ops", "private"), l.load(g+graphOps+uint64(l.k.Layout.Ops.Private)))
	l.store(l.sym("tracing_thresh"), 1<<62)
	return g
}

// graphFile is set_graph_function or set_graph_notrace with one function: its hash.
func (l *lab) graphFile(hash, function string) {
	l.t.Helper()
	o := l.ops(hash, 0, function)
	l.store(l.sym(hash), l.load(o.Addr()+uint64(l.k.Layout.Ops.LocalHash+l.k.Layout.OpsHash.Filter)))
}

// function_graph_enter sets bit 0 of each frame's bitmap, and so has user 0 told of every return.
func TestFinding_TheFirstGraphIsToldOfReturnsOfOthers(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		first, ofFirst := l.tellingGraph(nil, nil, "gcd")
		second, ofSecond := l.tellingGraph(nil, nil, "int_sqrt")
		require.Zero(t, l.registerGraph(first))
		require.Zero(t, l.registerGraph(second))
		l.call("int_sqrt", 100)
		assert.Equal(t, told{1, 1}, *ofSecond)
		assert.Equal(t, told{0, 1}, *ofFirst)
		l.call("gcd", 84, 36)
		assert.Equal(t, told{1, 1}, *ofSecond, "the second is told of no return of the first")
	})
}

// 6.12's function_graph tracer records such a return, 7.3's misses the time of the call.
func TestFinding_TheTracerRecordsReturnsOfOthers(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		l.returnAtOnce("trace_buffer_lock_reserve", 0, 0) // there is no ring buffer
		tracer := l.tracerGraph("gcd")
		l.store(tracer+graphReturn, l.sym("trace_graph_return"))
		other, _ := l.tellingGraph(nil, nil, "int_sqrt")
		require.Zero(t, l.registerGraph(tracer))
		require.Zero(t, l.registerGraph(other))
		records := 0
		if l.series == kernels.Linux612 {
			records = 1
		}
		assert.Equal(t, records, l.executions("trace_buffer_lock_reserve", "int_sqrt", 100))
	})
}

// Such a return ends set_graph_notrace of the function_graph tracer.
func TestFinding_AnotherGraphEndsSetGraphNotrace(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		for _, tracerIsFirst := range []bool{false, true} {
			l := fresh()
			l.graphFile("ftrace_graph_notrace_hash", "lcm")
			if !tracerIsFirst {
				require.Zero(t, l.registerGraph(l.graph("int_sqrt")))
			}
			tracer := l.tracerGraph("lcm")
			var word, atEntry, atReturn uint64
			other, _ := l.tellingGraph(func() { atEntry = l.load(word) }, func() { atReturn = l.load(word) }, "gcd")
			require.Zero(t, l.registerGraph(tracer))
			require.Zero(t, l.registerGraph(other))
			word = l.call("fgraph_get_task_var", tracer)
			l.call("lcm", 84, 36) // calls gcd
			require.EqualValues(t, graphNoTrace, atEntry)
			if tracerIsFirst {
				assert.Zero(t, atReturn, "in lcm still")
			} else {
				assert.EqualValues(t, graphNoTrace, atReturn)
			}
			require.Zero(t, l.load(word))
		}
	})
}

// ftrace_shutdown waits for nobody where the ops is graph_ops, whose filter is freed next.
func TestFinding_TheLastGraphFreesAFilterThatIsRead(t *testing.T) {
	graphLabs(t, func(t *testing.T, fresh func() *lab) {
		l := fresh()
		l.register(l.ops("a", 0, "gcd"), l.ops("b", 0, "gcd"))
		g := l.graph("lcm")
		require.Zero(t, l.registerGraph(g))
		hash := l.load(l.sym("graph_ops") + uint64(l.k.Layout.Ops.LocalHash+l.k.Layout.OpsHash.Filter))
		l.events = nil

		other := l.second()
		l.start(other, l.holding(other, hash, listFuncs...), "gcd", 84, 36)
		l.call("unregister_ftrace_graph", g)
		assert.NotContains(t, l.graces(), services.RCUTasksRude)
		var fault *emu.Fault
		require.ErrorAs(t, other.finish(), &fault)
		assertAlive(t, l)
	})
}

// irqHierarchy is a struct irq_data for which irq_chip_mask_parent calls itself, n calls in all, and the last one
// irq_chip_ack_parent.
func (l *lab) irqHierarchy(n int) (data uint64) {
	l.t.Helper()
	chip := func(mask string) uint64 {
		addr := l.alloc("irq_chip", 512)
		l.store(addr+l.offset("irq_chip", "irq_mask"), l.sym(mask))
		l.store(addr+l.offset("irq_chip", "irq_ack"), l.sym("ftrace_stub"))
		return addr
	}
	chips := append([]uint64{chip("ftrace_stub"), chip("irq_chip_ack_parent")}, slices.Repeat([]uint64{chip("irq_chip_mask_parent")}, n)...)
	for _, c := range chips {
		child := l.alloc("irq_data", 128)
		l.store(child+l.offset("irq_data", "parent_data"), data)
		l.store(child+l.offset("irq_data", "chip"), c)
		data = child
	}
	return data
}

// The depth at which a function of set_graph_function was entered is kept in two bits: where other graphs
// have four frames below it, its return is not recognised.
func TestFinding_SetGraphFunctionDoesNotEndWhereOthersTrace(t *testing.T) {
	const callers, function = "irq_chip_mask_parent", "irq_chip_ack_parent"
	for _, series := range kernels.CallOps {
		for _, test := range []struct {
			depth  int
			others bool // that trace the callers
			traced int  // of three calls of gcd afterwards
		}{
			{depth: 3, others: true, traced: 0},
			{depth: 4, others: true, traced: 1}, // at depth 0, whose return is taken for the function's
			{depth: 5, others: true, traced: 3},
			{depth: 5, others: false, traced: 0},
		} {
			t.Run(fmt.Sprintf("%s, depth %d, others %v", series, test.depth, test.others), func(t *testing.T) {
				img := kept.Image(t, series)
				l := newLab(t, series, &guestcore.Options{Sites: append(sitesOf(t, img), sitesNamed(t, img, callers, function)...)})
				l.bootGraph()
				other, _ := l.tellingGraph(nil, nil, "int_sqrt")
				if test.others {
					other, _ = l.tellingGraph(nil, nil, callers)
				}
				require.Zero(t, l.registerGraph(other))
				l.graphFile("ftrace_graph_hash", function)
				require.Zero(t, l.registerGraph(l.tracerGraph(callers, function, "gcd")))

				require.Zero(t, l.returnsTraced("gcd", 84, 36), "before the function was called")
				require.Equal(t, 1, l.returnsTraced(callers, l.irqHierarchy(test.depth)), "that of the function")
				traced := 0
				for range 3 {
					traced += l.returnsTraced("gcd", 84, 36)
				}
				assert.Equal(t, test.traced, traced)
			})
		}
	}
}

// returnsTraced calls a function, and is how often the tracer of tracerGraph is told of a return.
func (l *lab) returnsTraced(name string, args ...uint64) int {
	l.t.Helper()
	return l.executions("trace_graph_thresh_return", name, args...)
}

// executions calls a function, and is how often another one is entered meanwhile.
func (l *lab) executions(of, name string, args ...uint64) (n int) {
	l.t.Helper()
	entry := l.sym(of)
	_, err := l.k.CallName(l.t.Context(), 0, &emu.CallOptions{Budget: guestcore.Budget, OnStep: func(cpu emu.CPU, _ *emu.Regs) {
		if cpu.Regs().PC == entry {
			n++
		}
	}}, name, args...)
	require.NoError(l.t, err)
	return n
}

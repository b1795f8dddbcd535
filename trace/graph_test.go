package trace_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/engines"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/kernelimage/ctype"
	"callops/trace"
)

// graphed is a kernel with its ftrace.
func graphed(t *testing.T, engine engines.Engine) (*kernel.Kernel, *ftrace.Registry) {
	t.Helper()
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, engine.New, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	r, err := ftrace.New(k, nil)
	require.NoError(t, err)
	return k, r
}

func call(t *testing.T, k *kernel.Kernel, name string, args ...uint64) uint64 {
	t.Helper()
	res, err := k.CallName(t.Context(), 0, nil, name, args...)
	require.NoError(t, err)
	return res.X0
}

// story is what was recorded in short: entries with their depth and first argument, returns with their value.
func story(k *kernel.Kernel, rec *trace.Recording) (lines []string) {
	for _, e := range rec.Events {
		name, _, _ := k.Symbols.FormatName(e.IP)
		switch {
		case e.Kind == trace.KindGraphReturn:
			lines = append(lines, fmt.Sprintf("%d %s = %d", e.Depth, name, e.Value))
		case e.Args != nil:
			lines = append(lines, fmt.Sprintf("%d %s(%d)", e.Depth, name, e.Args[0]))
		default:
			lines = append(lines, fmt.Sprintf("%d %s", e.Depth, name))
		}
	}
	return lines
}

func TestGraph_InstancesHaveFiltersAndRingsOfTheirOwn(t *testing.T) {
	for _, engine := range engines.All() {
		t.Run(engine.Name, func(t *testing.T) {
			k, r := graphed(t, engine)
			all, err := trace.NewGraph(k, r, "all", &trace.GraphOptions{Entries: 64, Args: true})
			require.NoError(t, err)
			within, err := trace.NewGraph(k, r, "within", &trace.GraphOptions{Entries: 64})
			require.NoError(t, err)
			require.NoError(t, r.SetFilter(all.Ops.Ops, "crc32_update", nil))
			require.NoError(t, r.SetFilter(all.Ops.Ops, "checksum_buffer", nil))
			require.NoError(t, r.SetFilter(within.Within, "crc32_update", nil))
			for _, g := range []*trace.Graph{all, within} {
				require.NoError(t, r.RegisterGraph(g.Ops))
				g.Rings.Start()
			}
			buf, err := k.Heap.Alloc("buf", 8)
			require.NoError(t, err)
			sum := call(t, k, "checksum_buffer", buf, 1)
			rec := all.Read()
			assert.Equal(t, []string{
				fmt.Sprintf("0 checksum_buffer(%d)", buf), fmt.Sprintf("1 crc32_update(%d)", rec.Events[1].Args[0]),
				fmt.Sprintf("1 crc32_update = %d", rec.Events[2].Value), fmt.Sprintf("0 checksum_buffer = %d", sum),
			}, story(k, rec))
			for _, e := range rec.Events {
				assert.NotZero(t, e.PID)
				assert.Contains(t, rec.Tasks, e.PID)
				assert.LessOrEqual(t, e.Start, e.Time)
			}
			inner := story(k, within.Read())
			require.Len(t, inner, 4)
			assert.Equal(t, []string{"1 crc32_update", "2 crc32_byte"}, inner[:2])

			require.NoError(t, r.UnregisterGraph(all.Ops))
			call(t, k, "fib", 3)
			assert.Empty(t, all.Read().Events, "it has left")
			assert.Empty(t, within.Read().Events, "outside of set_graph_function")
			require.NoError(t, r.UnregisterGraph(within.Ops))
		})
	}
}

// A function of set_graph_function deep in the calls of another tracer ends where it returns.
func TestGraph_LeavesSetGraphFunctionAtAnyDepth(t *testing.T) {
	k, r := graphed(t, engines.All()[0])
	deep, err := trace.NewGraph(k, r, "deep", &trace.GraphOptions{Entries: 64})
	require.NoError(t, err)
	frames, err := r.NewGoGraphOps("frames", ftrace.GraphTracer{Entry: func(*ftrace.GraphOps, *ftrace.GraphEntry) bool { return true }})
	require.NoError(t, err)
	require.NoError(t, r.SetFilter(frames.Ops, "is_*", nil))
	require.NoError(t, r.SetFilter(deep.Within, "is_odd", nil))
	require.NoError(t, r.SetNotrace(deep.Ops.Ops, "is_even", nil))
	require.NoError(t, r.RegisterGraph(frames))
	require.NoError(t, r.RegisterGraph(deep.Ops))
	call(t, k, "is_even", 7)
	assert.NotEmpty(t, deep.Read().Events)
	call(t, k, "fib", 3)
	assert.Empty(t, deep.Read().Events)
}

func TestGraph_HidesWhatSetGraphNotraceCalls(t *testing.T) {
	k, r := graphed(t, engines.All()[0])
	g, err := trace.NewGraph(k, r, "g", &trace.GraphOptions{Entries: 64, Depth: 2})
	require.NoError(t, err)
	require.NoError(t, r.SetNotrace(g.Within, "crc32_update", nil))
	require.NoError(t, r.RegisterGraph(g.Ops))
	buf, err := k.Heap.Alloc("buf", 8)
	require.NoError(t, err)
	call(t, k, "checksum_buffer", buf, 1)
	rec := story(k, g.Read())
	require.Len(t, rec, 2)
	assert.Equal(t, "0 checksum_buffer", rec[0])
	call(t, k, "fib", 3)
	assert.Len(t, g.Read().Events, 2*3, "fib(3), fib(2) and fib(1): no depth 2, and nothing is hidden any more")
}

func TestGraph_LostEventsAreCounted(t *testing.T) {
	k, r := graphed(t, engines.All()[0])
	g, err := trace.NewGraph(k, r, "g", &trace.GraphOptions{Entries: 16})
	require.NoError(t, err)
	require.NoError(t, r.RegisterGraph(g.Ops))
	call(t, k, "fib", 6) // 25 calls
	rec := g.Read()
	assert.Len(t, rec.Events, 16)
	assert.EqualValues(t, 50-16, rec.Overrun())
	var text bytes.Buffer
	require.NoError(t, trace.WriteGraph(&text, rec, &trace.Symbols{Name: func(uint64) string { return "fib" }}, trace.GraphText{}))
	assert.Contains(t, text.String(), "} /* fib */", "of an entry that was lost")
	assert.Contains(t, text.String(), "# 34 events were lost before these\n")
}

func TestNewGraph_Refuses(t *testing.T) {
	k, r := graphed(t, engines.All()[0])
	for _, opts := range []trace.GraphOptions{{Depth: -1}, {Entries: -1}, {Entries: trace.MaxSlots + 1}} {
		_, err := trace.NewGraph(k, r, "g", &opts)
		require.ErrorIs(t, err, errno.EINVAL)
	}
}

func TestWriteGraph(t *testing.T) {
	entry := func(cpu, pid uint32, time, ip uint64, depth int32, args ...uint64) trace.Event {
		e := trace.Event{Kind: trace.KindGraphEntry, CPU: cpu, PID: pid, Time: time, IP: ip, Depth: depth}
		if args != nil {
			e.Args = new([8]uint64)
			copy(e.Args[:], args)
		}
		return e
	}
	ret := func(cpu, pid uint32, start, time, ip uint64, depth int32, value uint64) trace.Event {
		return trace.Event{Kind: trace.KindGraphReturn, CPU: cpu, PID: pid, Start: start, Time: time, IP: ip, Depth: depth, Value: value}
	}
	integer := ctype.Type{Kind: ctype.Int, Size: 4, Signed: true}
	s := &trace.Symbols{
		Name: func(ip uint64) string { return fmt.Sprintf("f%d", ip) },
		Prototype: func(ip uint64) *ctype.Prototype {
			switch ip {
			case 1:
				return &ctype.Prototype{Result: integer, Params: []ctype.Type{integer}, Printed: []ctype.Param{{Name: "n"}}}
			case 2:
				return &ctype.Prototype{}
			}
			return nil
		},
	}
	tasks := map[uint32]string{10: "first", 11: "second-and-long"}
	for name, c := range map[string]struct {
		events []trace.Event
		retval bool
		want   string
	}{
		"a leaf within a call": {
			events: []trace.Event{entry(0, 10, 1, 3, 0), entry(0, 10, 2, 4, 1), ret(0, 10, 2, 9, 4, 1, 0), ret(0, 10, 1, 12, 3, 0, 0)},
			want: "" +
				" 0)               |  f3() {\n" +
				" 0)   7 insn      |    f4();\n" +
				" 0)   11 insn     |  }\n",
		},
		"two tasks of a CPU": {
			events: []trace.Event{entry(0, 10, 1, 3, 0), entry(0, 11, 2, 4, 0), ret(0, 11, 2, 5, 4, 0, 0), ret(0, 10, 1, 12, 3, 0, 0)},
			want: "" +
				" 0)               |  f3() {\n" +
				" ------------------------------------------\n" +
				" 0)    first-10    =>   second--11  \n" +
				" ------------------------------------------\n" +
				"\n" +
				" 0)   3 insn      |  f4();\n" +
				" ------------------------------------------\n" +
				" 0)   second--11   =>    first-10   \n" +
				" ------------------------------------------\n" +
				"\n" +
				" 0)   11 insn     |  } /* f3 */\n", // enter_funcs is of the CPU, and f4 had the same depth
		},
		"a task that moves to another CPU": {
			events: []trace.Event{entry(0, 10, 1, 3, 0), ret(1, 10, 1, 500, 3, 0, 0)},
			want: "" +
				" 0)               |  f3() {\n" +
				" 1)               |  } /* f3 */\n",
		},
		"an entry that was lost": {
			events: []trace.Event{ret(0, 10, 1, 4, 3, 1, 0)},
			want:   " 0)   3 insn      |    } /* f3 */\n",
		},
		"values by their types": {
			events: []trace.Event{
				entry(0, 10, 1, 3, 0, 7), entry(0, 10, 2, 1, 1, 0xffffffff_fffffffe), ret(0, 10, 2, 3, 1, 1, 0x1_ffffffea),
				entry(0, 10, 4, 2, 1, 1), ret(0, 10, 4, 5, 2, 1, 77), ret(0, 10, 1, 6, 3, 0, 0x1234),
			},
			retval: true,
			want: "" +
				" 0)               |  f3() {\n" +
				" 0)   1 insn      |    f1(n=-2); /* = -22 */\n" +
				" 0)   1 insn      |    f2();\n" +
				" 0)   5 insn      |  } /* f3 = 0x1234 */\n",
		},
		"a line of the log": {
			events: []trace.Event{entry(0, 10, 1, 3, 0), {Kind: trace.KindPrintk, CPU: 0, PID: 10, Time: 2, Text: "hello"}, ret(0, 10, 1, 6, 3, 0, 0)},
			want: "" +
				" 0)               |  f3() {\n" +
				" 0)               |    /* hello */\n" +
				" 0)   5 insn      |  }\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			rec := &trace.Recording{CPUs: 2, Events: c.events, Tasks: tasks}
			require.NoError(t, trace.WriteGraph(&out, rec, s, trace.GraphText{RetVal: c.retval}))
			_, text, ok := bytes.Cut(out.Bytes(), []byte("|   |   |   |\n"))
			require.True(t, ok)
			assert.Equal(t, c.want, string(text))
		})
	}
}

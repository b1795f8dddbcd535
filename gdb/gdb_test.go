package gdb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/ftrace"
	"callops/gdb"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
	"callops/machine"
)

// gdbProgram is the debugger. In CI one that is missing is a failure, elsewhere the test is skipped.
func gdbProgram(t testing.TB) string {
	t.Helper()
	name, err := exec.LookPath("gdb-multiarch")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no gdb-multiarch; `make test` installs it")
	}
	require.NoError(t, err)
	return name
}

// debugged is a machine with a stub.
type debugged struct {
	*machine.Machine
	t    testing.TB
	stub *gdb.Stub
	log  lines
}

func newDebugged(t testing.TB, cfg machine.Config) *debugged {
	t.Helper()
	d := &debugged{t: t}
	d.stub = gdb.New(&gdb.Options{Log: d.log.add})
	cfg.Engine = d.stub.Engine(interp.New)
	if cfg.Guest == nil {
		cfg.Ftrace = func(k *kernel.Kernel) (*ftrace.Options, error) {
			opts := &ftrace.Options{}
			if len(k.CPUs) == 1 {
				opts.Grace = d.stub.Grace()
			}
			return opts, nil
		}
	}
	var err error
	d.Machine, err = machine.New(t.Context(), &cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		d.stub.Close()
		assert.NoError(t, d.Close())
	})
	return d
}

// register registers an ops that traces a function.
func (d *debugged) register(name, glob string) {
	d.t.Helper()
	o, err := d.Ftrace.NewOps(name, d.Ftrace.Code().OpsFuncNop, nil)
	require.NoError(d.t, err)
	require.NoError(d.t, d.Ftrace.SetFilter(o, glob, nil))
	require.NoError(d.t, d.Ftrace.Register(o))
}

// limit is how long a debugger may take.
const limit = time.Minute

// gdb runs body under the real gdb, which executes commands, and returns what gdb prints.
func (d *debugged) gdb(body func() error, commands ...string) string {
	d.t.Helper()
	program := gdbProgram(d.t)
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	l, err := gdb.Listen(ctx, "localhost:0", false)
	require.NoError(d.t, err)
	d.stub.Attach(d.Machine)
	served := make(chan error, 1)
	go func() { served <- d.stub.Serve(l) }()
	ended := make(chan error, 1)
	go func() {
		ended <- body()
		d.stub.Close()
	}()
	args := []string{"-nx", "-batch", "-ex", "target remote " + l.Addr().String()}
	for _, c := range commands {
		args = append(args, "-ex", c)
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	require.NoError(d.t, err, "%s\n%s", out, d.log.String())
	select {
	case err := <-ended:
		require.NoError(d.t, err, "%s\n%s", out, d.log.String())
	case <-ctx.Done():
		d.t.Fatalf("the guest does not end:\n%s\n%s", out, d.log.String())
	}
	require.NoError(d.t, <-served)
	return string(out)
}

// call calls a function on the first CPU, and has its result be want.
func (d *debugged) call(want uint64, name string, args ...uint64) func() error {
	return func() error {
		return d.One(d.t.Context(), func(c *machine.Caller) error {
			fn, err := d.Kernel.Func(name)
			if err != nil {
				return err
			}
			res, err := c.Call(nil, fn, args...)
			if err == nil && res.X0 != want {
				err = fmt.Errorf("%s returned %#x, not %#x", name, res.X0, want)
			}
			return err
		})
	}
}

// inOrder asserts that a text has parts one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		_, after, ok := strings.Cut(rest, p)
		require.True(t, ok, "no %q after the ones before it in:\n%s", p, text)
		rest = after
	}
}

// images are those that the debugger has to work on.
func images(t *testing.T) map[string]func(*testing.T) *kernelimage.Image {
	open := func(path string) func(*testing.T) *kernelimage.Image {
		return func(t *testing.T) *kernelimage.Image {
			img, err := kernelimage.Open(t.Context(), path, nil)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, img.Close()) })
			return img
		}
	}
	return map[string]func(*testing.T) *kernelimage.Image{
		"built-in": func(*testing.T) *kernelimage.Image { return nil },
		"gcc's":    open("../kernelimage/testdata/workload/workload-callops.elf"),
		"6.12":     func(t *testing.T) *kernelimage.Image { return open(kernels.Path(t, kernels.Linux612))(t) },
	}
}

func TestGDB_StopsInFtraceCallerWithTheLiteral(t *testing.T) {
	for name, open := range images(t) {
		t.Run(name, func(t *testing.T) {
			d := newDebugged(t, machine.Config{Image: open(t), Heap: 1 << 20})
			d.register("mine", "gcd")
			ops := d.Ftrace.Registered()[0].Addr()
			out := d.gdb(d.call(6, "gcd", 12, 18),
				"bt", "break ftrace_caller", "continue", "x/3i $pc", "stepi 2", `printf "x11 is %#lx, the literal %#lx\n", $x11, *(long*)(($x30&~7)-16)`,
				"monitor ops", "info threads", "info registers sp_el0 cntvct_el0 cpsr", "delete", "finish", "continue")
			inOrder(t, out,
				" in gcd ()", "#1 ", "in return_to_host ()",
				"Breakpoint 1", "in ftrace_caller ()", "ldur	x11, [x11, #-16]",
				fmt.Sprintf("x11 is %#x, the literal %#x", ops, ops),
				"mine func ops_func_nop+0x0", `Thread 1 "CPU 0" (task `, "cntvct_el0 ", "cpsr ", "EL=1",
				"exited normally")
		})
	}
}

// literal is a gdb expression for the address of a function's literal.
func (d *debugged) literal(name string) string {
	d.t.Helper()
	fn, err := d.Kernel.Func(name)
	require.NoError(d.t, err)
	site, ok := d.Kernel.Site(fn)
	require.True(d.t, ok)
	return fmt.Sprintf("%#x", site.Literal)
}

// The core stores to the literal before it stores the branch; between the two the guest calls the function.
func TestGDB_WatchesTheLiteralThatTheCoreStores(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	lit := d.literal("gcd")
	out := d.gdb(d.call(6, "gcd", 12, 18),
		"watch *(long*)"+lit, "monitor register mine gcd &", "info threads", "continue", "info threads", "bt", "x/2i gcd",
		"delete", "continue")
	nop, mine := d.Ftrace.Code().NopOps, d.Ftrace.Registered()[0].Addr()
	inOrder(t, out,
		"register mine: thread 2, begins when it goes on", `Thread 2 "register mine" (ftrace's core)`,
		`Thread 2 "register mine" hit Hardware watchpoint 1`, fmt.Sprintf("Old value = %d", int64(nop)), fmt.Sprintf("New value = %d", int64(mine)),
		"* 2 ", "#0  ", "in callops_core ()", "<gcd>:	mov	x9, x30", "<gcd+4>:	nop",
		"exited normally")
}

// Steps of the core's thread are its stores.
func TestGDB_StepsTheCoreFromStoreToStore(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	out := d.gdb(d.call(6, "gcd", 12, 18),
		"set scheduler-locking on", "set breakpoint always-inserted on", "watch *(long*)"+d.literal("gcd"),
		"monitor register mine gcd", "info threads", "thread 2", "stepi", "x/2i gcd", "delete", "thread 1", "stepi", "stepi", "set scheduler-locking off", "continue")
	inOrder(t, out, "register mine: stopped before a store that is watched; thread 2 goes on with the guest",
		"hit Hardware watchpoint 1", "<gcd+4>:	nop", "in gcd ()", "in gcd ()", "exited normally")
	assert.Len(t, d.Ftrace.Registered(), 1)
}

func TestGDB_AWatchpointStopsBeforeGuestCodeStores(t *testing.T) {
	d := newDebugged(t, machine.Config{Heap: 1 << 20})
	buf, err := d.Kernel.Heap.Alloc("buf", 64)
	require.NoError(t, err)
	at := fmt.Sprintf("*(char*)%#x", buf+33)
	out := d.gdb(d.call(buf, "memset", buf, 'A', 64), "watch "+at, "continue", "continue")
	inOrder(t, out, "Hardware watchpoint 1", "Old value = ", "New value = 65 'A'", "in memset ()", "exited normally")
}

func TestGDB_ChangesOpsWhileTheGuestStandsStill(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	d.register("first", "gcd")
	first := d.Ftrace.Registered()[0]
	out := d.gdb(d.call(6, "gcd", 12, 18),
		"monitor register second gcd", "monitor register second gcd", "monitor unregister nobody", "monitor filter second fib", "monitor ops", "x/gx "+d.literal("gcd"), "monitor unregister first", "info threads",
		"x/gx "+d.literal("gcd"), "monitor filter nobody gcd", "monitor ops",
		"monitor register", "monitor nonsense", "monitor help", "break ftrace_caller", "continue", "stepi 2", `printf "x11 is %#lx\n", $x11`, "delete", "continue")
	second := d.Ftrace.Registered()[0]
	assert.Equal(t, "second", second.Name)
	assert.NotEqual(t, first, second)
	inOrder(t, out,
		"register second: done", `an ops "second" is registered`, `no ops "nobody" is registered`, "filter second: done", "second func", "first func", fmt.Sprintf("%#x", d.Ftrace.Code().ListOps),
		"unregister first: waits in synchronize_rcu_tasks", "waits in synchronize_rcu_tasks", fmt.Sprintf("%#x", second.Addr()),
		"another operation goes on", "holds ftrace_lock", "usage: monitor register NAME GLOB", `no monitor command "nonsense"`, "monitor unregister NAME",
		"Breakpoint 1", "exited normally")
}

func TestGDB_EveryCPUIsAThread(t *testing.T) {
	for name, open := range images(t) {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "6.12" {
				t.Skip("heavy: one kernel is enough for the race detector")
			}
			d := newDebugged(t, machine.Config{Image: open(t), CPUs: 3, Heap: 1 << 20})
			d.register("mine", "gcd")
			calls := func() error {
				return d.Each(t.Context(), func(c *machine.Caller) error {
					fn, err := d.Kernel.Func("gcd")
					if err != nil {
						return err
					}
					_, err = c.Call(nil, fn, 12, 18)
					return err
				})
			}
			out := d.gdb(calls, "break ftrace_caller", "continue", "continue", "continue", "info threads", "reverse-stepi",
				"monitor unregister mine", "delete", "continue")
			inOrder(t, out, "Breakpoint 1", "Breakpoint 1", "Breakpoint 1",
				`Thread 1 "CPU 0"`, `Thread 2 "CPU 1"`, `Thread 3 "CPU 2"`,
				"Target remote does not support this command", "unregister mine: goes on when the CPUs do", "exited normally")
			for _, hit := range []string{`Thread 1 "CPU 0" hit`, `Thread 2 "CPU 1" hit`, `Thread 3 "CPU 2" hit`} {
				assert.Equal(t, 1, strings.Count(out, hit), "%s in:\n%s", hit, out)
			}
			assert.Eventually(t, func() bool { return len(d.Ftrace.Registered()) == 0 }, limit, time.Millisecond)
		})
	}
}

// Each state is seen twice: on the way, and on the way back.
func TestGDB_GoesBack(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	show := `printf "at %d: pc %#lx sp %#lx x0 %d x30 %#lx [sp] %#lx\n", $cntvct_el0, $pc, $sp, $x0, $x30, *(long*)$sp`
	var forth []string
	const steps = 40
	for range steps {
		forth = append(forth, show, "stepi")
	}
	forth = append(forth, `printf "turned\n"`)
	for range steps {
		forth = append(forth, "reverse-stepi", show)
	}
	forth = append(forth, "reverse-stepi", "set $x0=1", "set *(long*)$sp=1", "monitor register mine gcd", "stepi 20", "continue")
	out := d.gdb(d.call(55, "fib", 10), forth...)
	states := func(text string) (list []string) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "at ") {
				list = append(list, line)
			}
		}
		return list
	}
	there, back, ok := strings.Cut(out, "turned")
	require.True(t, ok, out)
	want := states(there)
	require.Len(t, want, steps)
	slices.Reverse(want)
	assert.Equal(t, want, states(back))
	inOrder(t, back, "No more reverse-execution history", "the CPU is in the past", "the CPU is in the past", "exited normally")
}

func TestGDB_GoesBackToBreakpointsAndStores(t *testing.T) {
	d := newDebugged(t, machine.Config{Heap: 1 << 20})
	buf, err := d.Kernel.Heap.Alloc("buf", 64)
	require.NoError(t, err)
	at := fmt.Sprintf("*(char*)%#x", buf+33)
	out := d.gdb(d.call(buf, "memset", buf, 'A', 64), "break *0xffffa00000000000", "continue", "p "+at, "watch "+at, "reverse-continue", "p "+at,
		"break memset", "reverse-continue", "p $x1", "delete 3", "continue", "delete", "continue")
	inOrder(t, out, "Breakpoint 1, 0xffffa00000000000 in return_to_host ()", "= 65 'A'", "Hardware watchpoint 2", "Old value = 65 'A'", "New value = ", "in memset ()",
		"Breakpoint 3", "in memset ()", "$3 = 65", "Hardware watchpoint 2", "New value = 65 'A'", "exited normally")
}

// What Go code did is part of the history: the tracer's calls, and the patcher's stores.
func TestGDB_GoesBackOverGoCode(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	calls := uint64(0)
	counter, err := d.Kernel.Heap.Alloc("counter", 8)
	require.NoError(t, err)
	tracer, err := d.Ftrace.GoTracer("tracer", func(_, _ uint64, _ *ftrace.Ops, _ *ftrace.Regs) {
		calls++
		require.NoError(t, d.Kernel.Mem.Store64(counter, calls))
	})
	require.NoError(t, err)
	ops, err := d.Ftrace.NewOps("mine", tracer, nil)
	require.NoError(t, err)
	require.NoError(t, d.Ftrace.SetFilter(ops, "fib", nil))
	require.NoError(t, d.Ftrace.Register(ops))
	p := fmt.Sprintf("p *(long*)%#x", counter)
	out := d.gdb(d.call(2, "fib", 3), "break *0xffffa00000000000", "continue", p, fmt.Sprintf("watch *(long*)%#x", counter),
		"reverse-continue", p, "reverse-continue", p, "continue", p, "delete", "stepi", "reverse-stepi", "continue", "p 1")
	assert.EqualValues(t, 5, calls)
	inOrder(t, out, "$1 = 5", "Hardware watchpoint 2", "$2 = 4", "Hardware watchpoint 2", "$3 = 3", "Hardware watchpoint 2", "$4 = 4", "exited normally")
}

func TestGDB_InterruptsALoop(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	name := filepath.Join(t.TempDir(), "interrupt.py")
	require.NoError(t, os.WriteFile(name, []byte(`import gdb, threading, time
threading.Timer(0.5, lambda: gdb.post_event(lambda: gdb.execute("interrupt"))).start()
`), 0o600))
	err := errors.New("the guest has not run")
	out := d.gdb(func() error { err = d.call(0, "fib", 60)(); return nil },
		"source "+name, "continue", "p $pc > 0xffff800000000000", "kill")
	inOrder(t, out, "Program received signal SIGINT", "in fib ()", "$1 = 1", "killed")
	require.ErrorIs(t, err, gdb.ErrKilled)
}

func TestGDB_DetachesAndTheGuestRunsOn(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	out := d.gdb(d.call(55, "fib", 10), "break fib", "continue", "continue", "reverse-stepi", "detach")
	inOrder(t, out, "Breakpoint 1", "Breakpoint 1", "detached")
}

func TestGDB_StopsAtAFaultAndGoesBackFromIt(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	var fault *emu.Fault
	out := d.gdb(func() error {
		err := d.call(0, "memset", 8, 1, 1)()
		if !errors.As(err, &fault) {
			return fmt.Errorf("no fault: %w", err)
		}
		return nil
	}, "continue", "x/i $pc", "p $x0", "reverse-stepi", "p $pc", "continue", "continue")
	inOrder(t, out, "SIGSEGV", "in memset ()", "strb", "$1 = 8", "in memset ()", "$2 = ", "SIGSEGV", "exited normally")
}

// A CPU may be told to halt when the code that it was to halt in is over.
func TestStub_AHaltThatIsLeftEndsNoOtherCall(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	d.Kernel.CPUs[0].CPU.(emu.Debuggable).Halt()
	res, err := d.Kernel.CallName(t.Context(), 0, nil, "gcd", 12, 18)
	require.NoError(t, err)
	assert.EqualValues(t, 6, res.X0)
}

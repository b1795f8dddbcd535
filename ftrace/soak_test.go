package ftrace_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu/interp"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
	"callops/sched"
)

var soakTime = flag.Duration("soak", 3*time.Second, "how long TestSoak runs, all variants together")

// soakTargets are what the tasks call, once each in a round. On the first few
// there is an ops from the beginning to the end, so that those that come and go
// share the sites; the others they may have for themselves.
var soakTargets = []string{"tracee_relevant", "gcd", "count_call", "sum8", "tracee_irrelevant", "digit_value"}

const soakShared = 3

// Tasks call traced functions on two CPUs while ops come and go on these. No
// call is lost, none comes after its ops has been unregistered, and what has been
// freed is not used.
func TestSoak(t *testing.T) {
	type variant struct {
		name  string
		img   kernelimage.BuiltinOptions
		tasks int
		opts  ftrace.Options
	}
	variants := []variant{
		{name: "CALL_OPS, a task a CPU", tasks: 2},
		{name: "CALL_OPS, three tasks", tasks: 3},
		{name: "sets, three tasks", tasks: 3, opts: ftrace.Options{Scheme: ftrace.Sets}},
		{name: "a few sets, three tasks", tasks: 3, opts: ftrace.Options{Scheme: ftrace.Sets, SetLimit: 2}},
		{name: "without CALL_OPS, three tasks", img: kernelimage.BuiltinOptions{NoCallOps: true}, tasks: 3},
		{name: "6.1, three tasks", img: kernelimage.BuiltinOptions{Profile: kernelimage.Profile61}, tasks: 3},
	}
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			s := newSoak(t, &v.img, v.opts, v.tasks, uint64(i))
			s.run(*soakTime / time.Duration(len(variants)))
		})
	}
}

// soak is a machine under load.
type soak struct {
	*ftrace.Registry
	t      *testing.T
	k      *kernel.Kernel
	sched  *sched.Scheduler
	rnd    *rand.Rand
	tracer uint64
	size   uint64 // of struct ftrace_ops
	rounds uint64 // address of the function that makes rounds

	made     atomic.Uint64 // rounds
	stopping atomic.Bool

	always []*ftrace.Ops // there from the first call to the last, one on each shared target
	gone   []counted     // unregistered, not freed yet
	pairs  int
	others uint64 // calls counted by ops that came and went
}

// counted is an ops with what it had counted at some time.
type counted struct {
	*ftrace.Ops
	calls uint64
}

func newSoak(t *testing.T, img *kernelimage.BuiltinOptions, opts ftrace.Options, tasks int, seed uint64) *soak {
	image, err := kernelimage.Builtin(img)
	require.NoError(t, err)
	k, err := kernel.Boot(image, interp.New, &kernel.BootOptions{CPUs: 2})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	s := &soak{t: t, k: k, rnd: rand.New(rand.NewPCG(seed, 1)), size: uint64(k.Layout.Ops.Size)}
	s.load()
	s.sched, err = sched.New(t.Context(), k, &sched.Options{Slice: 10_000, Seed: seed})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.sched.Close()) })
	opts.Grace, opts.Printk = s.sched, func(line string) { t.Error(line) }
	s.Registry, err = ftrace.New(k, &opts)
	require.NoError(t, err)
	for _, fn := range soakTargets[:soakShared] {
		s.always = append(s.always, s.ops("always "+fn, 0, fn))
		require.NoError(t, s.Register(s.always[len(s.always)-1]))
	}
	for i := range tasks {
		_, err := s.sched.Spawn(fmt.Sprint("worker", i), s.work)
		require.NoError(t, err)
	}
	return s
}

// load puts the test's own code into the kernel: a tracer that counts in 64 bits
// after its ops, which several CPUs may do at once, and a loop around the
// targets.
func (s *soak) load() {
	p, err := s.k.PlaceCode("soak", kernel.CodeOptions{}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func("soak_count")
		b.Emit(
			asm.AddImm(asm.X9, asm.X2, s.size),
			asm.Movz(asm.X10, 1, 0),
			asm.Stadd(asm.X10, asm.X9),
			asm.Ret(),
		)
		b.Func("soak_rounds")
		b.Emit(
			asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -32)),
			asm.Mov(asm.FP, asm.SP),
			asm.Str(asm.X19, asm.Off(asm.SP, 16)),
			asm.Mov(asm.X19, asm.X0),
		)
		loop := b.Here("loop")
		for _, fn := range soakTargets {
			addr, err := s.k.Func(fn)
			if err != nil {
				return nil, err
			}
			b.Emit(asm.Movz(asm.X0, 6, 0), asm.Movz(asm.X1, 4, 0), asm.BL(b.Abs(fn, addr)))
		}
		b.Emit(
			asm.SubImm(asm.X19, asm.X19, 1),
			asm.Cbnz(asm.X19, loop),
			asm.Ldr(asm.X19, asm.Off(asm.SP, 16)),
			asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 32)),
			asm.Ret(),
		)
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(s.t, err)
	for _, sym := range p.Symbols {
		switch sym.Name {
		case "soak_count":
			s.tracer = sym.Addr
		case "soak_rounds":
			s.rounds = sym.Addr
		}
	}
}

// work is a task's body.
func (s *soak) work(t *sched.Task) error {
	for n := uint64(1); !s.stopping.Load(); n = n%97 + 1 {
		if _, err := t.Call(nil, s.rounds, n); err != nil {
			return err
		}
		s.made.Add(n)
		if err := t.Schedule(); err != nil {
			return err
		}
	}
	l := &s.k.Layout.Task
	for _, off := range []int{l.TraceRecursion, l.PreemptCount} {
		if v, err := s.k.Mem.Load32(t.Addr() + uint64(off)); err != nil || v != 0 {
			return fmt.Errorf("word %d of the task is %#x at the end, error %w", off, v, err)
		}
	}
	return nil
}

func (s *soak) ops(name string, flags ftrace.OpsFlag, filter ...string) *ftrace.Ops {
	o, err := s.NewOps(name, s.tracer, &ftrace.OpsOptions{Flags: flags, Extra: 8})
	require.NoError(s.t, err)
	for _, f := range filter {
		require.NoError(s.t, s.SetFilter(o, f, nil))
	}
	return o
}

func (s *soak) calls(o *ftrace.Ops) uint64 {
	n, err := s.k.Mem.Load64(o.Addr() + s.size)
	require.NoError(s.t, err)
	return n
}

func (s *soak) run(d time.Duration) {
	flags := []ftrace.OpsFlag{0, 0, ftrace.OpsRCU, ftrace.OpsRecursion}
	pick := func() string { return soakTargets[s.rnd.IntN(len(soakTargets))] }
	var live []*ftrace.Ops
	start := time.Now()
	for time.Since(start) < d && !s.t.Failed() {
		switch n := s.rnd.IntN(10); {
		case n < 4 && len(live) < 6:
			o := s.ops(fmt.Sprint("o", s.pairs+len(live)), flags[s.rnd.IntN(len(flags))], pick())
			require.NoError(s.t, s.Register(o))
			live = append(live, o)
		case n < 8 && len(live) > 0:
			i := s.rnd.IntN(len(live))
			s.unregister(live[i])
			live = append(live[:i], live[i+1:]...)
		case len(live) > 0:
			require.NoError(s.t, s.SetFilter(live[s.rnd.IntN(len(live))], pick(), &ftrace.FilterOptions{Reset: s.rnd.IntN(2) == 0}))
		}
		if s.pairs%64 == 0 {
			require.NoError(s.t, s.Validate())
		}
	}
	took := time.Since(start)
	for _, o := range live {
		s.unregister(o)
	}
	s.stop()
	traced := s.made.Load()*soakShared + s.others
	s.t.Logf("%d traced calls and %d pairs of register and unregister in %v", traced, s.pairs, took.Round(time.Millisecond))
}

// unregister takes an ops away. Some are freed at once, so that a CPU that still
// uses one faults; some are kept for a while, to see that nothing calls them.
func (s *soak) unregister(o *ftrace.Ops) {
	require.NoError(s.t, s.Unregister(o))
	s.pairs++
	kept := counted{o, s.calls(o)}
	s.others += kept.calls
	if s.rnd.IntN(2) == 0 {
		s.bury(kept)
		return
	}
	if s.gone = append(s.gone, kept); len(s.gone) > 16 {
		s.bury(s.gone[0])
		s.gone = s.gone[1:]
	}
}

// bury frees an ops that nothing may have called since it was unregistered.
func (s *soak) bury(o counted) {
	require.Equal(s.t, o.calls, s.calls(o.Ops), "%s was called after it had been unregistered", o)
	require.NoError(s.t, s.FreeFilter(o.Ops))
	require.NoError(s.t, s.FreeOps(o.Ops))
}

// stop ends the tasks after whole rounds, and compares.
func (s *soak) stop() {
	t := s.t
	s.stopping.Store(true)
	require.NoError(t, s.sched.Wait())
	require.NoError(t, s.sched.Close())
	for _, o := range s.gone {
		s.bury(o)
	}
	for i, o := range s.always {
		assert.Equal(t, s.made.Load(), s.calls(o), "%s: calls of %s", o, soakTargets[i])
	}
	require.NoError(t, s.Validate())
	require.NoError(t, s.Close())
}

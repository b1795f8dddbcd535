package guestcore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernel/services"
)

// lab is a kernel that runs its own core, and what it told meanwhile.
type lab struct {
	*guestcore.Core
	t        *testing.T
	series   string
	k        *kernel.Kernel
	services *services.Services

	direct []uint64 // direct trampolines that count at counts, and resume the function
	counts uint64
	warned []string // file:line of each WARN()
	events []services.Event
}

// labs runs a test on each kernel that has CALL_OPS.
func labs(t *testing.T, test func(t *testing.T, l *lab)) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) { test(t, newLab(t, series, nil)) })
	}
}

// newLab starts a core; opts may be nil: it is told of some call sites only.
func newLab(t *testing.T, series string, opts *guestcore.Options) *lab {
	t.Helper()
	img := kept.Image(t, series)
	if opts == nil {
		opts = &guestcore.Options{Sites: sitesOf(t, img)}
	}
	l := &lab{t: t, series: series}
	warn := func(b *kernel.Bug) { l.warned = append(l.warned, fmt.Sprintf("%s:%d", b.File, b.Line)) }
	l.k, l.services = bootWith(t, img, &kernel.BootOptions{CPUs: 2, Warn: warn}, &services.Options{Event: l.event})
	t.Cleanup(func() { require.NoError(t, l.k.Close()) })
	var err error
	l.Core, err = guestcore.New(l.k, opts)
	require.NoError(t, err)
	require.NoError(t, l.k.FreeInitMem())
	l.counts = l.alloc("counts of direct calls", 8*3)
	l.direct = l.placeDirects(false)
	l.events = nil
	return l
}

func (l *lab) event(e services.Event) {
	if e.CPU == 0 {
		l.events = append(l.events, e)
	}
}

// placeDirects makes direct trampolines that count, and resume the function; far: where no
// branch of the image reaches them.
func (l *lab) placeDirects(far bool) (addrs []uint64) {
	l.t.Helper()
	p, err := l.k.PlaceCode(fmt.Sprintf("direct, far: %v", far), kernel.CodeOptions{Far: far}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		for i := range 3 {
			b.Func(fmt.Sprintf("direct%d", i))
			b.Emit(asm.Bti(asm.BTIC))
			b.Emit(asm.MovImm(asm.X16, l.counts+uint64(8*i))...)
			b.Emit(asm.Ldr(asm.X17, asm.Off(asm.X16, 0)), asm.AddImm(asm.X17, asm.X17, 1), asm.Str(asm.X17, asm.Off(asm.X16, 0)))
			b.Emit(asm.Mov(asm.X10, asm.LR), asm.Mov(asm.LR, asm.X9), asm.RetReg(asm.X10))
		}
		b.EndFunc()
		return b.Assemble(base)
	})
	require.NoError(l.t, err)
	for _, s := range p.Symbols {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// sym is the address of a function or a variable of the image.
func (l *lab) sym(name string) uint64 {
	l.t.Helper()
	found := l.k.Image.SymbolTable().Called(name)
	require.NotEmpty(l.t, found, name)
	return found[len(found)-1].Addr
}

// ip is the call site of a function.
func (l *lab) ip(name string) uint64 {
	l.t.Helper()
	site, ok := l.k.Image.Site(l.sym(name))
	require.True(l.t, ok, name)
	return site.IP
}

// ops is an ops that counts, on the functions that are named.
func (l *lab) ops(name string, flags ftrace.OpsFlag, funcs ...string) *ftrace.Ops {
	l.t.Helper()
	o, err := l.NewOps(name, l.Code().OpsFuncCount, &ftrace.OpsOptions{Flags: flags, Extra: 8})
	require.NoError(l.t, err)
	l.filter(o, funcs...)
	return o
}

func (l *lab) directOps(name string, funcs ...string) *ftrace.Ops {
	l.t.Helper()
	o, err := l.NewDirectOps(name)
	require.NoError(l.t, err)
	l.filter(o, funcs...)
	return o
}

func (l *lab) filter(o *ftrace.Ops, funcs ...string) {
	l.t.Helper()
	for _, f := range funcs {
		require.NoError(l.t, l.SetFilterIP(o, l.ip(f), nil))
	}
}

func (l *lab) register(ops ...*ftrace.Ops) {
	l.t.Helper()
	for _, o := range ops {
		require.NoError(l.t, l.Register(o))
	}
}

func (l *lab) unregister(ops ...*ftrace.Ops) {
	l.t.Helper()
	for _, o := range ops {
		require.NoError(l.t, l.Unregister(o))
	}
}

func (l *lab) free(o *ftrace.Ops) {
	l.t.Helper()
	require.NoError(l.t, l.FreeFilter(o))
	require.NoError(l.t, l.FreeOps(o))
}

// flags are the flags of a function's record, without its count.
func (l *lab) flags(name string) ftrace.RecFlags {
	l.t.Helper()
	rec := l.record(name)
	return rec.Flags &^ 0x7ffff &^ (ftrace.RecTouched | ftrace.RecModified)
}

func (l *lab) record(name string) ftrace.Record {
	l.t.Helper()
	ip := l.ip(name)
	for _, rec := range l.Records() {
		if rec.IP == ip {
			return rec
		}
	}
	require.Fail(l.t, "no record", name)
	return ftrace.Record{}
}

// literal is what the word before a function points to, by name.
func (l *lab) literal(name string) string {
	l.t.Helper()
	site, ok := l.k.Image.Site(l.ip(name))
	require.True(l.t, ok)
	at := l.load(site.Literal)
	for _, o := range l.Registered() {
		if o.Addr() == at {
			return o.Name
		}
	}
	name, _, _ = strings.Cut(l.k.Symbols.Format(at), "+")
	return name
}

func (l *lab) load(addr uint64) uint64 {
	l.t.Helper()
	v, err := l.k.Mem.Load64(addr)
	require.NoError(l.t, err)
	return v
}

func (l *lab) store(addr, v uint64) {
	l.t.Helper()
	require.NoError(l.t, l.k.Mem.Store64(addr, v))
}

// call calls a function of the kernel on the first CPU.
func (l *lab) call(name string, args ...uint64) uint64 {
	l.t.Helper()
	res, err := l.k.CallName(l.t.Context(), 0, nil, name, args...)
	require.NoError(l.t, err)
	return res.X0
}

// count is how often the func of an ops was called.
func (l *lab) count(o *ftrace.Ops) uint64 {
	l.t.Helper()
	return l.load(o.Addr() + uint64(l.k.Layout.Ops.Size))
}

// alloc is zeroed memory of the kernel.
func (l *lab) alloc(name string, size uint64) uint64 {
	l.t.Helper()
	addr, err := l.k.Heap.Alloc(name, size)
	require.NoError(l.t, err)
	return addr
}

// text is a string in the kernel's memory.
func (l *lab) text(s string) uint64 {
	l.t.Helper()
	addr := l.alloc("text", uint64(len(s)+1))
	require.NoError(l.t, l.k.Mem.Write(addr, []byte(s)))
	return addr
}

// graces are the grace periods that were waited for since the last call.
func (l *lab) graces() (kinds []services.GraceKind) {
	for _, e := range l.events {
		if e.Kind == services.GraceEnded {
			kinds = append(kinds, e.Grace)
		}
	}
	l.events = nil
	return kinds
}

// breakpoints run functions before the first execution of an instruction on the first CPU.
type breakpoints map[uint64]func()

func (b breakpoints) options() *emu.CallOptions {
	return &emu.CallOptions{Budget: guestcore.Budget, OnStep: func(cpu emu.CPU, _ *emu.Regs) {
		pc := cpu.Regs().PC
		if f := b[pc]; f != nil {
			delete(b, pc)
			f()
		}
	}}
}

// second calls a function of the kernel on the second CPU, in a goroutine that stop holds up.
type second struct {
	reached, resume chan struct{}
	done            chan error
}

func (l *lab) second() *second {
	return &second{make(chan struct{}), make(chan struct{}), make(chan error, 1)}
}

// stop is called on the second CPU: it waits there for finish.
func (s *second) stop() {
	close(s.reached)
	<-s.resume
}

// start calls the function, and returns once the CPU is at stop.
func (l *lab) start(s *second, opts *emu.CallOptions, name string, args ...uint64) {
	l.t.Helper()
	ctx := l.t.Context()
	go func() {
		_, err := l.k.CallName(ctx, 1, opts, name, args...)
		s.done <- err
	}()
	select {
	case <-s.reached:
	case err := <-s.done:
		require.Fail(l.t, "the second CPU did not stop", "%s returned: %v", name, err)
	}
}

// finish lets the second CPU go on, and returns what its call gave.
func (s *second) finish() error {
	close(s.resume)
	return <-s.done
}

// listFuncs are the list function and what it calls to look into a filter.
var listFuncs = []string{"arch_ftrace_ops_list_func", "__ftrace_ops_list_func", "ftrace_ops_test", "hash_contains_ip", "ftrace_lookup_ip"}

// holding stops a CPU once it has the address of an object in a register, and is in one of the
// functions.
func (l *lab) holding(s *second, addr uint64, funcs ...string) *emu.CallOptions {
	return l.stopping(s, func(r *emu.Regs) bool { return slices.Contains(r.X[:], addr) }, funcs...)
}

// loading stops a CPU before it loads the first word of an object in one of the functions.
func (l *lab) loading(s *second, addr uint64, funcs ...string) *emu.CallOptions {
	return l.stopping(s, func(r *emu.Regs) bool {
		insn, err := l.k.Mem.Load32(r.PC)
		rn := insn >> 5 & 31
		return err == nil && insn&0xfffffc00 == 0xf9400000 && rn != 31 && r.X[rn] == addr // ldr xt, [xn]
	}, funcs...)
}

// stopping stops a CPU once, where at holds in one of the functions.
func (l *lab) stopping(s *second, at func(*emu.Regs) bool, funcs ...string) *emu.CallOptions {
	stopped := false
	return &emu.CallOptions{Budget: guestcore.Budget, OnStep: func(cpu emu.CPU, _ *emu.Regs) {
		if r := cpu.Regs(); !stopped && at(r) {
			in, _, _ := l.k.Symbols.At(r.PC)
			if name, _, _ := strings.Cut(in.Name, "."); slices.Contains(funcs, name) {
				stopped = true
				s.stop()
			}
		}
	}}
}

func status(x0 uint64) int { return int(int32(x0)) }

func assertAlive(t *testing.T, l *lab) {
	t.Helper()
	assert.False(t, l.Dead())
	assert.Empty(t, l.warned)
}

// shutdownGraces are what ftrace_shutdown waits for. A kernel that is not preemptible has no
// RCU tasks: its synchronize_rcu_tasks is synchronize_rcu.
func (l *lab) shutdownGraces() []services.GraceKind {
	if _, err := l.k.Symbol("synchronize_rcu_tasks"); err != nil {
		return []services.GraceKind{services.RCUTasksRude, services.RCU}
	}
	return []services.GraceKind{services.RCUTasksRude, services.RCUTasks}
}

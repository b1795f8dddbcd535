package ftrace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// idle is an engine whose CPUs never run: enough for what only patches.
type idle struct{}

type idleCPU struct {
	id    int
	regs  emu.Regs
	calls emu.CallStack
}

var errIdle = errors.New("this CPU does not run")

func newIdle(*emu.Memory) (emu.Engine, error)                    { return idle{}, nil }
func (idle) Name() string                                        { return "idle" }
func (idle) NewCPU(id int) (emu.CPU, error)                      { return &idleCPU{id: id}, nil }
func (idle) Close() error                                        { return nil }
func (c *idleCPU) ID() int                                       { return c.id }
func (c *idleCPU) Regs() *emu.Regs                               { return &c.regs }
func (c *idleCPU) Run(context.Context, uint64) (emu.Exit, error) { return emu.Exit{}, errIdle }
func (c *idleCPU) Step() (emu.Exit, error)                       { return emu.Exit{}, errIdle }
func (c *idleCPU) Calls() *emu.CallStack                         { return &c.calls }
func (c *idleCPU) Count() uint64                                 { return 0 }
func (c *idleCPU) Recent(int) []uint64                           { return nil }

// bench is one kernel under test.
type testKernel struct {
	*Registry
	t *testing.T
	k *kernel.Kernel
}

func bootIdle(t *testing.T, img *kernelimage.BuiltinOptions, opts *Options) *testKernel {
	t.Helper()
	return bootOn(t, newIdle, img, opts)
}

func bootOn(t *testing.T, engine emu.NewEngine, img *kernelimage.BuiltinOptions, opts *Options) *testKernel {
	t.Helper()
	image, err := kernelimage.Builtin(img)
	require.NoError(t, err)
	k, err := kernel.Boot(image, engine, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	r, err := New(k, opts)
	require.NoError(t, err)
	return &testKernel{r, t, k}
}

// ops makes an ops of the given func and flags, filtered to the functions.
func (k *testKernel) ops(name string, fn uint64, flags OpsFlag, filter ...string) *Ops {
	k.t.Helper()
	o, err := k.NewOps(name, fn, &OpsOptions{Flags: flags, Extra: 8})
	require.NoError(k.t, err)
	for _, f := range filter {
		require.NoError(k.t, k.SetFilter(o, f, nil))
	}
	return o
}

func (k *testKernel) register(ops ...*Ops) {
	k.t.Helper()
	for _, o := range ops {
		require.NoError(k.t, k.Register(o))
		require.NoError(k.t, k.Validate())
	}
}

func (k *testKernel) unregister(ops ...*Ops) {
	k.t.Helper()
	for _, o := range ops {
		require.NoError(k.t, k.Unregister(o))
		require.NoError(k.t, k.Validate())
	}
}

func (k *testKernel) fn(name string) uint64 {
	k.t.Helper()
	addr, err := k.k.Func(name)
	require.NoError(k.t, err)
	return addr
}

// site describes a function's site: its count and flags, its word and what its
// literal names.
func (k *testKernel) site(name string) string {
	k.t.Helper()
	rec, err := k.record(k.fn(name))
	require.NoError(k.t, err)
	word, err := k.k.Mem.Load32(rec.IP)
	require.NoError(k.t, err)
	_, text, _ := strings.Cut(k.disasm(rec.IP, word), "<")
	text, _, _ = strings.Cut(text, "+")
	if text == "" {
		text = k.disasm(rec.IP, word)
	}
	s := fmt.Sprintf("%d %s", k.Count(rec), text)
	if k.CallOps() {
		s += " " + k.literal(rec)
	}
	return s
}

// record returns the record of the call site at ip or of the function that begins
// there; ENOENT where there is none.
func (k *testKernel) record(ip uint64) (Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	site := k.location(ip)
	if site == 0 {
		return Record{}, errno.ENOENT
	}
	return *k.firstRecord(site, site), nil
}

func (k *testKernel) literal(rec Record) string {
	k.t.Helper()
	lit, err := k.mem.Load64(k.literalOf(rec.IP))
	require.NoError(k.t, err)
	switch {
	case lit == k.code.NopOps:
		return "nop"
	case lit == k.code.ListOps:
		return "list"
	case k.opsAt(lit) != nil:
		return k.opsAt(lit).Name
	case k.sets != nil && k.sets.byAddr[lit] != nil:
		return fmt.Sprint(k.sets.byAddr[lit].members)
	}
	return fmt.Sprintf("%#x", lit)
}

// enabled returns the lines of enabled_functions.
func (k *testKernel) enabledLines() string {
	k.t.Helper()
	var b strings.Builder
	require.NoError(k.t, k.WriteEnabled(&b))
	return b.String()
}

func schemeOf(callOps bool) Scheme {
	if callOps {
		return CallOps
	}
	return Global
}

// bootNothing boots a kernel without ftrace.
func bootNothing(t *testing.T, img *kernelimage.BuiltinOptions) *kernel.Kernel {
	t.Helper()
	image, err := kernelimage.Builtin(img)
	require.NoError(t, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

package ftrace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// layoutsOfSites are the four that compilers make, and the profiles.
var builds = map[string]*kernelimage.BuiltinOptions{
	"6.12 CALL_OPS":     {},
	"6.12 CALL_OPS BTI": {BTI: true},
	"6.12 args":         {NoCallOps: true},
	"6.12 args BTI":     {NoCallOps: true, BTI: true},
	"v3":                {Profile: kernelimage.ProfileV3},
	"6.1":               {Profile: kernelimage.Profile61},
}

func forBuilds(t *testing.T, f func(t *testing.T, k *testKernel)) {
	for name, img := range builds {
		t.Run(name, func(t *testing.T) { f(t, bootIdle(t, img, nil)) })
	}
}

func TestNew_PreparesEverySite(t *testing.T) {
	forBuilds(t, func(t *testing.T, k *testKernel) {
		require.NoError(t, k.Validate())
		assert.NotEmpty(t, k.Records())
		for _, rec := range k.Records() {
			assert.Zero(t, rec.Flags)
		}
	})
}

func TestRegister_LiteralFollowsTheOpsOfASite(t *testing.T) {
	k := bootIdle(t, nil, nil)
	a := k.ops("a", k.code.OpsFuncNop, 0, "tracee_relevant")
	b := k.ops("b", k.code.OpsFuncNop, 0, "tracee_relevant")
	rcu := k.ops("rcu", k.code.OpsFuncNop, OpsRCU, "tracee_relevant")
	steps := []struct {
		do   func(...*Ops)
		ops  *Ops
		want string
	}{
		{k.register, a, "1 ftrace_caller a"},
		{k.register, b, "2 ftrace_caller list"},
		{k.register, rcu, "3 ftrace_caller list"},
		{k.unregister, rcu, "2 ftrace_caller list"},
		{k.unregister, a, "1 ftrace_caller b"},
		{k.unregister, b, "0 nop nop"},
		{k.register, rcu, "1 ftrace_caller list"},
		{k.unregister, rcu, "0 nop nop"},
	}
	assert.Equal(t, "0 nop nop", k.site("tracee_relevant"))
	for i, s := range steps {
		s.do(s.ops)
		assert.Equal(t, s.want, k.site("tracee_relevant"), "step %d: %s", i, s.ops)
		assert.Equal(t, "0 nop nop", k.site("tracee_irrelevant"), "step %d: %s", i, s.ops)
	}
}

func TestRegister_EmptyFilterIsEveryFunction(t *testing.T) {
	forBuilds(t, func(t *testing.T, k *testKernel) {
		o := k.ops("all", k.code.OpsFuncNop, 0)
		require.NoError(t, k.SetNotrace(o, "tracee_irr*", nil))
		k.register(o)
		for _, rec := range k.Records() {
			want := 1
			if rec.IP == k.Location(k.fn("tracee_irrelevant")) {
				want = 0
			}
			assert.Equal(t, want, k.Count(rec), k.sym(rec.IP))
		}
		k.unregister(o)
	})
}

// Linux decides from the ops that leaves whether the one that stays may be
// called directly. One that asked for protection then loses it.
func TestUnregister_SurvivorsProtection(t *testing.T) {
	tests := []struct {
		name          string
		leaves, stays OpsFlag
		linux, fixed  string
	}{
		{"plain leaves plain", 0, 0, "1 ftrace_caller stays", "1 ftrace_caller stays"},
		{"plain leaves RCU", 0, OpsRCU, "1 ftrace_caller stays", "1 ftrace_caller list"},
		{"plain leaves RECURSION", 0, OpsRecursion, "1 ftrace_caller stays", "1 ftrace_caller list"},
		{"RCU leaves plain", OpsRCU, 0, "1 ftrace_caller list", "1 ftrace_caller stays"},
		{"RCU leaves RECURSION", OpsRCU, OpsRecursion, "1 ftrace_caller list", "1 ftrace_caller list"},
	}
	for _, tt := range tests {
		for _, fix := range []bool{false, true} {
			for _, leavesFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, fix %v, it came first %v", tt.name, fix, leavesFirst), func(t *testing.T) {
					k := bootIdle(t, nil, &Options{FixCallOps: fix})
					leaves := k.ops("leaves", k.code.OpsFuncNop, tt.leaves, "tracee_relevant")
					stays := k.ops("stays", k.code.OpsFuncNop, tt.stays, "tracee_relevant")
					if leavesFirst {
						k.register(leaves, stays)
					} else {
						k.register(stays, leaves)
					}
					k.unregister(leaves)
					want := tt.linux
					if fix {
						want = tt.fixed
					}
					assert.Equal(t, want, k.site("tracee_relevant"))
					k.unregister(stays)
					assert.Equal(t, "0 nop nop", k.site("tracee_relevant"))
				})
			}
		}
	}
}

// The same defect through a filter change: the ops does not leave ftrace, only
// the site.
func TestSetFilter_SurvivorsProtection(t *testing.T) {
	for fix, want := range map[bool]string{false: "1 ftrace_caller rcu", true: "1 ftrace_caller list"} {
		k := bootIdle(t, nil, &Options{FixCallOps: fix})
		plain := k.ops("plain", k.code.OpsFuncNop, 0, "tracee_relevant")
		rcu := k.ops("rcu", k.code.OpsFuncNop, OpsRCU, "tracee_relevant")
		k.register(plain, rcu)
		require.NoError(t, k.SetFilter(plain, "tracee_irrelevant", &FilterOptions{Reset: true}))
		require.NoError(t, k.Validate())
		assert.Equal(t, want, k.site("tracee_relevant"))
	}
}

func TestRegister_Refusals(t *testing.T) {
	tests := []struct {
		name  string
		do    func(t *testing.T, k *testKernel) error
		errno errno.Errno
		text  string
	}{
		{"twice", func(t *testing.T, k *testKernel) error {
			o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
			k.register(o)
			return k.Register(o)
		}, errno.EBUSY, "register o: registered already: device or resource busy"},
		{"unregister what is not registered", func(t *testing.T, k *testKernel) error {
			return k.Unregister(k.ops("o", k.code.OpsFuncNop, 0))
		}, errno.EBUSY, "unregister o: not registered: device or resource busy"},
		{"a func of 0", func(t *testing.T, k *testKernel) error {
			_, err := k.NewOps("o", 0, nil)
			return err
		}, errno.EINVAL, "ops o: func is 0: invalid argument"},
		{"registering one without a func", func(t *testing.T, k *testKernel) error {
			return k.Register(k.direct("o", "tracee_relevant"))
		}, errno.EINVAL, "register o: func is 0: invalid argument"},
		{"a flag of the core's", func(t *testing.T, k *testKernel) error {
			_, err := k.NewOps("o", k.code.OpsFuncNop, &OpsOptions{Flags: OpsEnabled})
			return err
		}, errno.EINVAL, "ops o: flags 0x1 are not the caller's to set: invalid argument"},
		{"SAVE_REGS, which arm64 has not", func(t *testing.T, k *testKernel) error {
			return k.Register(k.ops("o", k.code.OpsFuncNop, OpsSaveRegs))
		}, errno.EINVAL, "register o: SAVE_REGS, which arm64 does not support: invalid argument"},
		{"a freed ops", func(t *testing.T, k *testKernel) error {
			o := k.ops("o", k.code.OpsFuncNop, 0)
			require.NoError(t, k.FreeOps(o))
			return k.Register(o)
		}, errno.EINVAL, "register: ops o was freed: invalid argument"},
		{"freeing twice", func(t *testing.T, k *testKernel) error {
			o := k.ops("o", k.code.OpsFuncNop, 0)
			require.NoError(t, k.FreeOps(o))
			return k.FreeOps(o)
		}, errno.EINVAL, "ops o was freed: invalid argument"},
		{"no ops", func(t *testing.T, k *testKernel) error { return k.Register(nil) }, errno.EINVAL, "register: no ops: invalid argument"},
		{"another registry's ops", func(t *testing.T, k *testKernel) error {
			other := bootIdle(t, nil, nil)
			return k.Register(other.ops("o", k.code.OpsFuncNop, 0))
		}, errno.EINVAL, "register: ops o belongs to another registry: invalid argument"},
		{"a PERMANENT ops while switched off", func(t *testing.T, k *testKernel) error {
			require.NoError(t, k.SetEnabled(0))
			return k.Register(k.ops("o", k.code.OpsFuncNop, OpsPermanent))
		}, errno.EBUSY, "register o: PERMANENT, and ftrace is switched off: device or resource busy"},
		{"switching off under a PERMANENT ops", func(t *testing.T, k *testKernel) error {
			k.register(k.ops("o", k.code.OpsFuncNop, OpsPermanent))
			return k.SetEnabled(0)
		}, errno.EBUSY, "switch ftrace off: o is PERMANENT: device or resource busy"},
		{"an ftrace_enabled that is no int", func(t *testing.T, k *testKernel) error { return k.SetEnabled(1 << 32) },
			errno.EINVAL, "ftrace_enabled: 4294967296: invalid argument"},
		{"a second IPMODIFY ops", func(t *testing.T, k *testKernel) error {
			k.register(k.ops("first", k.code.OpsFuncNop, OpsIPModify, "tracee_irrelevant"))
			return k.Register(k.ops("second", k.code.OpsFuncNop, OpsIPModify, "tracee_*"))
		}, errno.EBUSY, ""},
		{"IPMODIFY without a filter", func(t *testing.T, k *testKernel) error {
			return k.Register(k.ops("o", k.code.OpsFuncNop, OpsIPModify))
		}, errno.EINVAL, "register o: IPMODIFY and DIRECT need a filter: invalid argument"},
		{"a filter freed under a registered ops", func(t *testing.T, k *testKernel) error {
			o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
			k.register(o)
			return k.FreeFilter(o)
		}, errno.EBUSY, "free filter of o, which is registered: device or resource busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := bootIdle(t, nil, nil)
			err := tt.do(t, k)
			require.ErrorIs(t, err, tt.errno)
			if tt.text != "" {
				assert.EqualError(t, err, tt.text)
			}
			assert.NoError(t, k.Validate(), "nothing is half done")
		})
	}
}

func TestRegister_IPModifyConflictRollsBack(t *testing.T) {
	k := bootIdle(t, nil, nil)
	first := k.ops("first", k.code.OpsFuncNop, OpsIPModify, "tracee_relevant")
	second := k.ops("second", k.code.OpsFuncNop, OpsIPModify)
	for _, f := range []string{"tracee_relevant", "tracee_irrelevant"} {
		require.NoError(t, k.SetFilter(second, f, nil))
	}
	k.register(first)
	before := k.Records()
	require.ErrorIs(t, k.Register(second), errno.EBUSY)
	assert.Equal(t, before, k.Records())
	assert.Equal(t, []*Ops{first}, k.Registered())
	assert.Equal(t, OpsAdding, second.Flags()&(OpsAdding|OpsEnabled), "ADDING stays set, as in Linux")
	require.NoError(t, k.Validate())
	k.unregister(first)
	k.register(second)
	assert.Contains(t, k.enabledLines(), "tracee_relevant (1)   I   O M \tops: ")
}

func TestSetEnabled_MakesNopsAndBringsSitesBack(t *testing.T) {
	forBuilds(t, func(t *testing.T, k *testKernel) {
		a := k.ops("a", k.code.OpsFuncNop, 0, "tracee_relevant")
		k.register(a)
		on, records := k.site("tracee_relevant"), k.Records()
		require.NoError(t, k.SetEnabled(0))
		require.NoError(t, k.Validate())
		assert.Empty(t, k.enabledLines())

		b := k.ops("b", k.code.OpsFuncNop, 0, "tracee_irrelevant")
		k.register(b) // counted, not patched
		k.unregister(b)

		require.NoError(t, k.SetEnabled(5))
		require.NoError(t, k.Validate())
		v, err := k.Enabled()
		require.NoError(t, err)
		assert.Equal(t, 5, v)
		assert.Equal(t, on, k.site("tracee_relevant"))
		assert.Equal(t, records, k.Records())
	})
}

// recorder is a live Text that notes what is stored, in order.
type recorder struct {
	Memory
	log  []string
	fail func(what string) error
}

func (r *recorder) note(format string, args ...any) error {
	s := fmt.Sprintf(format, args...)
	r.log = append(r.log, s)
	if r.fail != nil {
		return r.fail(s)
	}
	return nil
}

func (r *recorder) Store32(addr uint64, v uint32) error {
	if err := r.note("insn %x", addr); err != nil {
		return err
	}
	return r.Memory.Store32(addr, v)
}

func (r *recorder) Store64(addr uint64, v uint64) error {
	if err := r.note("word %x", addr); err != nil {
		return err
	}
	return r.Memory.Store64(addr, v)
}

func (r *recorder) SyncText(addr, size uint64) {
	r.log = append(r.log, fmt.Sprintf("sync %x", addr))
	r.Memory.SyncText(addr, size)
}

func (r *recorder) Alloc(name string, size uint64) (uint64, error) {
	addr, err := r.Memory.Alloc(name, size)
	r.log = append(r.log, fmt.Sprintf("alloc %s %x", name, addr))
	return addr, err
}

func (r *recorder) Free(addr uint64) error {
	r.log = append(r.log, fmt.Sprintf("free %x", addr))
	return r.Memory.Free(addr)
}

func (r *recorder) SyncCPUs()     { r.log = append(r.log, "ipi") }
func (r *recorder) WriteBarrier() { r.log = append(r.log, "wmb") }

func (r *recorder) SynchronizeRCUTasks() error     { r.log = append(r.log, "tasks"); return nil }
func (r *recorder) SynchronizeRCUTasksRude() error { r.log = append(r.log, "rude"); return nil }
func (r *recorder) CallRCU(free func())            { r.log = append(r.log, "call_rcu"); free() }
func (r *recorder) CallRCUTasks(free func())       { r.CallRCU(free) }

// withRecorder boots a kernel whose core writes through a recorder.
func withRecorder(t *testing.T, img *kernelimage.BuiltinOptions) (*testKernel, *recorder) {
	t.Helper()
	image, err := kernelimage.Builtin(img)
	require.NoError(t, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	rec := &recorder{Memory: LiveMemory(k)}
	r, err := New(k, &Options{Memory: rec, Grace: rec})
	require.NoError(t, err)
	return &testKernel{r, t, k}, rec
}

// only returns the entries of the log that are among the wanted.
func (r *recorder) only(want ...string) []string {
	return slices.DeleteFunc(slices.Clone(r.log), func(s string) bool { return !slices.Contains(want, s) })
}

func TestPatch_LiteralIsWrittenBeforeTheInstruction(t *testing.T) {
	for name, bti := range map[string]bool{"no BTI": false, "BTI": true} {
		t.Run(name, func(t *testing.T) {
			k, log := withRecorder(t, &kernelimage.BuiltinOptions{BTI: bti})
			ip := k.Location(k.fn("tracee_relevant"))
			lit, insn, sync := fmt.Sprintf("word %x", literalOf(ip)), fmt.Sprintf("insn %x", ip), fmt.Sprintf("sync %x", ip)
			a := k.ops("a", k.code.OpsFuncNop, 0, "tracee_relevant")
			b := k.ops("b", k.code.OpsFuncNop, 0, "tracee_relevant")
			for _, step := range []func(){
				func() { k.register(a) },   // make_call
				func() { k.register(b) },   // modify_call, the BL unchanged
				func() { k.unregister(a) }, // modify_call
				func() { k.unregister(b) }, // make_nop
			} {
				log.log = nil
				step()
				assert.Equal(t, []string{lit, insn, sync}, log.only(lit, insn, sync))
			}
		})
	}
}

func TestUnregister_GracePeriodsComeLastAndInOrder(t *testing.T) {
	k, log := withRecorder(t, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
	k.register(o)
	insn := fmt.Sprintf("insn %x", k.Location(k.fn("tracee_relevant")))
	head := fmt.Sprintf("word %x", k.code.OpsList)
	log.log = nil
	k.unregister(o)
	assert.Equal(t, []string{insn, "rude", "tasks"}, log.only(insn, "rude", "tasks"))
	assert.NotContains(t, log.log, head) // published with release, not with a plain store

	require.NoError(t, k.SetEnabled(0))
	k.register(o)
	log.log = nil
	k.unregister(o)
	assert.Equal(t, []string{"rude", "tasks"}, log.only(insn, "rude", "tasks"), "waits even when nothing was patched")
}

// An ops in the kernel's own data is never freed, so there is no wait.
func TestStaticOps_UnregisterWaitsForNobody(t *testing.T) {
	k, log := withRecorder(t, nil)
	o, err := k.NewOps("global_ops", k.code.OpsFuncNop, &OpsOptions{Static: true, Flags: OpsRecursion})
	require.NoError(t, err)
	require.NoError(t, k.SetFilter(o, "tracee_relevant", nil))
	k.register(o)
	assert.Equal(t, OpsRecursion|OpsInitialized|OpsEnabled, o.Flags())
	log.log = nil
	k.unregister(o)
	assert.Empty(t, log.only("rude", "tasks"))
	assert.ErrorIs(t, k.FreeOps(o), errno.EINVAL)
	k.register(o)
	k.unregister(o)

	_, err = k.NewOps("no func", 0, &OpsOptions{Static: true})
	assert.ErrorIs(t, err, errno.EINVAL)
	_, err = k.NewOps("core's flag", k.code.OpsFuncNop, &OpsOptions{Static: true, Flags: OpsEnabled})
	assert.ErrorIs(t, err, errno.EINVAL)
}

func TestModifyAllCode_WithoutCallOpsGoesThroughTheListFunction(t *testing.T) {
	k, log := withRecorder(t, &kernelimage.BuiltinOptions{NoCallOps: true})
	site := fmt.Sprintf("insn %x", k.Location(k.fn("tracee_relevant")))
	slot := fmt.Sprintf("insn %x", k.code.CallSlot)
	op := fmt.Sprintf("word %x", k.code.FunctionTraceOp)
	calls := func() string {
		word, err := k.k.Mem.Load32(k.code.CallSlot)
		require.NoError(t, err)
		return k.disasm(k.code.CallSlot, word)
	}
	core, err := k.NewOps("core", k.code.OpsFuncNop, &OpsOptions{Static: true})
	require.NoError(t, err)
	require.NoError(t, k.SetFilter(core, "tracee_relevant", nil))

	log.log = nil
	k.register(core) // not DYNAMIC: called by the trampoline itself
	assert.Equal(t, []string{slot, site, op, "wmb", "ipi", slot}, log.only(slot, site, op, "wmb", "ipi"))
	assert.Contains(t, calls(), "<ops_func_nop+0x0")

	other := k.ops("other", k.code.OpsFuncNop, 0, "tracee_irrelevant")
	log.log = nil
	k.register(other)
	assert.Equal(t, []string{slot}, log.only(slot, op, "wmb", "ipi"))
	assert.Contains(t, calls(), "<arch_ftrace_ops_list_func+0x0")

	k.unregister(other)
	assert.Contains(t, calls(), "<ops_func_nop+0x0")
	log.log = nil
	k.unregister(core)
	assert.Equal(t, []string{slot, site, op, "wmb", "ipi", slot}, log.only(slot, site, op, "wmb", "ipi"))
	assert.Contains(t, calls(), "<ftrace_stub+0x0")
}

func TestSelection_AsUpdateFtraceFunction(t *testing.T) {
	tests := []struct {
		name  string
		flags []OpsFlag
		core  bool
		want  string
	}{
		{"nothing", nil, false, "ftrace_stub"},
		{"one dynamic", []OpsFlag{0}, false, "arch_ftrace_ops_list_func"},
		{"one of the kernel's own", []OpsFlag{0}, true, "ops_func_nop"},
		{"one of the kernel's own, RCU", []OpsFlag{OpsRCU}, true, "arch_ftrace_ops_list_func"},
		{"one of the kernel's own, RECURSION", []OpsFlag{OpsRecursion}, true, "ftrace_ops_assist_func"},
		{"two", []OpsFlag{0, 0}, true, "arch_ftrace_ops_list_func"},
	}
	for _, tt := range tests {
		k := bootIdle(t, &kernelimage.BuiltinOptions{NoCallOps: true}, nil)
		for i, f := range tt.flags {
			o := k.ops(fmt.Sprint("o", i), k.code.OpsFuncNop, f, "tracee_relevant")
			o.core = tt.core
			k.register(o)
		}
		name, _, _ := k.k.Symbols.FormatName(k.traceFunc)
		assert.Equal(t, tt.want, name, tt.name)
	}
}

// Random sequences of what callers do; after each step every invariant holds,
// and at the end every site is as it was.
func TestRegistry_InvariantsHoldThroughRandomUse(t *testing.T) {
	patterns := []string{"tracee_relevant", "tracee_irrelevant", "tracee_*", "*", "!tracee_relevant", "!*", "*e*", "1", "2"}
	flags := []OpsFlag{0, 0, OpsRCU, OpsRecursion, OpsStub, OpsSaveRegsIfSupported, OpsIPModify, OpsPermanent}
	for name, img := range builds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(6) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				k := bootIdle(t, img, &Options{FixCallOps: seed%2 == 0, FixRegs: true})
				var all []*Ops
				for i := range 8 {
					all = append(all, k.ops(fmt.Sprint("o", i), k.code.OpsFuncNop, flags[rnd.IntN(len(flags))]))
				}
				for step := range 120 {
					o := all[rnd.IntN(len(all))]
					pat := patterns[rnd.IntN(len(patterns))]
					switch rnd.IntN(7) {
					case 0, 1:
						_ = k.Register(o)
					case 2:
						_ = k.Unregister(o)
					case 3, 4:
						_ = k.SetFilter(o, pat, &FilterOptions{Reset: rnd.IntN(2) == 0})
					case 5:
						_ = k.SetNotrace(o, pat, &FilterOptions{Reset: rnd.IntN(2) == 0})
					case 6:
						_ = k.SetEnabled(rnd.IntN(3))
					}
					require.False(t, k.Dead(), "seed %d step %d", seed, step)
					require.NoError(t, k.Validate(), "seed %d step %d", seed, step)
				}
				require.NoError(t, k.SetEnabled(1))
				require.NoError(t, k.Close())
				for _, rec := range k.Records() {
					assert.Zero(t, rec.Flags&^k.prof.noClear())
				}
				for _, o := range all {
					require.NoError(t, k.FreeFilter(o))
					require.NoError(t, k.FreeOps(o))
				}
			}
		})
	}
}

func BenchmarkRegister_OneOpsOnEverySite(b *testing.B) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(b, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(b, err)
	defer k.Close()
	r, err := New(k, nil)
	require.NoError(b, err)
	o, err := r.NewOps("o", r.code.OpsFuncNop, nil)
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, r.Register(o))
		require.NoError(b, r.Unregister(o))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2*len(image.Sites())), "ns/site")
}

// What a Go tracer reads and changes goes the way of all else.
func TestMemory_TracersAndTheHeapGoThroughIt(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	running, err := kernel.Boot(image, interp.New, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, running.Close()) })
	rec := &recorder{Memory: LiveMemory(running)}
	r, err := New(running, &Options{Memory: rec, Grace: rec})
	require.NoError(t, err)
	k := &testKernel{r, t, running}

	var slot string
	tracer, err := k.GoTracer("change", func(_, _ uint64, _ *Ops, regs *Regs) {
		slot = fmt.Sprintf("word %x", regs.addr+uint64(k.layout.Regs.X0))
		regs.SetArg(0, 24)
	})
	require.NoError(t, err)
	rec.log = nil
	o := k.ops("o", tracer, 0, "gcd")
	k.register(o)
	res, err := running.CallName(t.Context(), 0, &emu.CallOptions{Budget: 1_000_000}, "gcd", 7, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 12, res.X0)
	k.unregister(o)
	require.NoError(t, k.FreeFilter(o))
	require.NoError(t, k.FreeOps(o))
	alloc, free := fmt.Sprintf("alloc ops o %x", o.addr), fmt.Sprintf("free %x", o.addr)
	assert.Equal(t, []string{alloc, slot, free}, rec.only(alloc, slot, free))
	assert.Contains(t, strings.Join(rec.log, "\n"), "alloc filter hash of o")
}

func TestSetEnabled_Linux7StaysOn(t *testing.T) {
	k := bootIdle(t, &kernelimage.BuiltinOptions{Profile: kernelimage.Profile73}, nil)
	require.ErrorIs(t, k.SetEnabled(0), errno.EOPNOTSUPP)
	on, err := k.Enabled()
	require.NoError(t, err)
	assert.Equal(t, 1, on)
	assert.NoError(t, k.SetEnabled(5))
}

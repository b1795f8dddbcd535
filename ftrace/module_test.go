package ftrace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/kernelimage/module"
)

const fixtureKo = "../kernelimage/module/testdata/fixture.ko"

func (k *testKernel) load(far bool) *module.Module {
	k.t.Helper()
	m, err := k.k.LoadModuleFile(k.t.Context(), fixtureKo, &kernel.ModuleOptions{Far: far})
	require.NoError(k.t, err)
	return m
}

func (k *testKernel) available() string {
	var b strings.Builder
	require.NoError(k.t, k.WriteAvailable(&b, false))
	return b.String()
}

func TestModule_SitesFollowTheKernels(t *testing.T) {
	k := bootIdle(t, nil, nil)
	before := k.available()
	m := k.load(false)
	require.NoError(t, k.Validate())
	const sites = "fixture_sum [fixture]\nfixture_calls [fixture]\nfixture_text [fixture]\nfixture_per_cpu [fixture]\n"
	assert.Equal(t, before+sites, k.available())
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))

	o := k.ops("ops", k.code.OpsFuncNop, 0, "fixture_sum", "gcd")
	k.register(o)
	assert.Equal(t, "1 ftrace_caller ops", k.site("fixture_sum"))
	assert.Equal(t, "1 ftrace_caller ops", k.site("gcd"))
	k.unregister(o)
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))

	require.NoError(t, k.k.Unload(m))
	require.NoError(t, k.Validate())
	assert.Equal(t, before, k.available())
}

func TestModule_RegisteredOpsReachItByTheList(t *testing.T) {
	k := bootIdle(t, nil, nil)
	all := k.ops("all", k.code.OpsFuncNop, 0)
	k.register(all)
	assert.Equal(t, "1 ftrace_caller all", k.site("gcd"))
	k.load(false)
	require.NoError(t, k.Validate())
	assert.Equal(t, "1 ftrace_caller list", k.site("fixture_sum"), "CALL_OPS is not worked out here")
	assert.Contains(t, k.enabledLines(), "fixture_sum [fixture] (1)           \n")

	second := k.ops("second", k.code.OpsFuncNop, 0, "fixture_sum")
	k.register(second)
	assert.Equal(t, "2 ftrace_caller list", k.site("fixture_sum"))
	k.unregister(second)
	assert.Equal(t, "1 ftrace_caller all", k.site("fixture_sum"), "a later update works it out")
	k.unregister(all)
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))
}

func TestModule_IsPatchedWhileFtraceIsSwitchedOff(t *testing.T) {
	k := bootIdle(t, nil, nil)
	k.register(k.ops("all", k.code.OpsFuncNop, 0))
	require.NoError(t, k.SetEnabled(0))
	k.load(false)
	assert.Equal(t, "1 ftrace_caller list", k.site("fixture_sum"))
	assert.Equal(t, "1 nop nop", k.site("gcd"))
}

func TestModule_PassesOverIPModify(t *testing.T) {
	var log []string
	k := bootIdle(t, nil, &Options{Printk: func(line string) { log = append(log, line) }})
	m := k.load(false)
	o := k.ops("changer", k.code.OpsFuncNop, OpsIPModify, "fixture_sum")
	k.register(o)
	// Known again while the ops still names its site: as a module that is loaded
	// where one was before.
	k.groups = k.groups[:1]
	text := m.Image.Segments()[0]
	require.NoError(t, text.Load(k.k.Mem))
	require.NoError(t, k.notified(kernel.ModuleComing, m))
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))
	assert.Contains(t, strings.Join(log, "\n"), "an IPMODIFY ops is passed over for fixture_sum+0x4")
}

func TestModule_ZeroesTheEntriesOfFilters(t *testing.T) {
	k := bootIdle(t, nil, nil)
	m := k.load(false)
	o := k.ops("ops", k.code.OpsFuncNop, 0, "fixture_sum", "fixture_text")
	k.register(o)
	site := k.Location(k.fn("fixture_sum"))
	require.NoError(t, k.k.Unload(m))
	require.NoError(t, k.Validate())
	assert.Equal(t, 2, o.hash.filter.count, "not empty: that would stand for every function")
	assert.False(t, o.hash.match(site))
	words, err := k.k.Mem.ReadWords(o.hash.filter.addr, int(o.hash.filter.size(k.layout)/8))
	require.NoError(t, err)
	assert.NotContains(t, words, site)

	k.load(false)
	assert.Equal(t, site, k.Location(k.fn("fixture_sum")), "at the same place")
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))
	k.unregister(o)
}

func TestModule_NearAndFarCallsAreTraced(t *testing.T) {
	for _, e := range engines.All() {
		for name, far := range map[string]bool{"near": false, "far": true} {
			for scheme, noCallOps := range map[string]bool{"call_ops": false, "list": true} {
				t.Run(e.Name+"/"+name+"/"+scheme, func(t *testing.T) {
					k := bootOn(t, e.New, nil, &Options{Scheme: schemeOf(!noCallOps)})
					m := k.load(far)
					var seen []string
					tracer, err := k.GoTracer("watch", func(ip, _ uint64, _ *Ops, regs *Regs) {
						seen = append(seen, k.sym(ip)+" "+string('0'+rune(regs.Arg(0)%10)))
					})
					require.NoError(t, err)
					o := k.ops("ops", tracer, 0, "fixture_sum", "gcd")
					k.register(o)
					res, err := k.k.CallName(t.Context(), 0, &emu.CallOptions{Budget: 1_000_000}, "fixture_sum", 84, 36)
					require.NoError(t, err)
					assert.EqualValues(t, 24, res.X0)
					require.Len(t, seen, 3)
					assert.Contains(t, seen[0], "fixture_sum+0x4/0x")
					assert.Contains(t, seen[0], "[fixture] 4")
					assert.Contains(t, seen[1], "gcd+0x4/0x")
					rec, err := k.record(k.fn("fixture_sum"))
					require.NoError(t, err)
					word, err := k.k.Mem.Load32(rec.IP)
					require.NoError(t, err)
					want, err := k.branchTo(rec.IP, k.code.Caller)
					require.NoError(t, err)
					assert.Equal(t, want, word)
					if far {
						assert.Equal(t, m.FtracePLT, k.ftracePLT(rec.IP, k.code.Caller))
						assert.True(t, strings.HasPrefix(k.disasm(rec.IP, word), "bl "))
					}
					k.unregister(o)
				})
			}
		}
	}
}

func TestModule_ItsDirectCallsAreForgotten(t *testing.T) {
	k := bootIdle(t, nil, nil)
	m := k.load(false)
	d := k.direct("d", "fixture_sum")
	require.NoError(t, k.RegisterDirect(d, k.code.StubDirectTramp))
	require.NoError(t, k.k.Unload(m))
	require.NoError(t, k.Validate())
	require.NoError(t, k.UnregisterDirect(d, k.code.StubDirectTramp))
	require.NoError(t, k.Validate())

	k.load(false)
	d = k.direct("again", "fixture_sum")
	require.NoError(t, k.RegisterDirect(d, k.code.StubDirectTramp), "no call of the module before is in the way")
	require.NoError(t, k.Validate())
}

func TestModule_SitesOfThoseLoadedBeforeAreKnown(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	running, err := kernel.Boot(img, newIdle, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, running.Close()) })
	m, err := running.LoadModuleFile(t.Context(), fixtureKo, nil)
	require.NoError(t, err)
	r, err := New(running, nil)
	require.NoError(t, err)
	k := &testKernel{r, t, running}
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))
	require.NoError(t, k.Validate())
	require.NoError(t, running.Unload(m))
	assert.NotContains(t, k.available(), "fixture_sum")
}

func TestModule_ADeadFtraceTakesNoSitesAndMindsNoModule(t *testing.T) {
	k := bootIdle(t, nil, nil)
	sites := len(k.Records())
	k.kill()
	m := k.load(false)
	assert.Len(t, k.Records(), sites)
	assert.NoError(t, k.k.Unload(m))
}

func TestModule_OneWithABrokenSiteIsRefusedAndForgotten(t *testing.T) {
	k := bootIdle(t, nil, nil)
	sites := k.Records()
	// The first subscriber spoils one of its sites.
	k.unsubscribe()
	k.k.Subscribe(func(e kernel.Event, m *module.Module) error {
		if e == kernel.ModuleComing {
			return k.k.Mem.Store32(m.Image.Sites()[1].IP-insnSize, 0)
		}
		return nil
	})
	k.k.Subscribe(k.notified)
	_, err := k.k.LoadModuleFile(t.Context(), fixtureKo, nil)
	var bug *BugError
	require.ErrorAs(t, err, &bug)
	assert.ErrorIs(t, err, errno.ENODEV)
	assert.True(t, k.Dead())
	assert.Empty(t, k.k.Modules())
	assert.Equal(t, sites, k.Records())
}

func TestClose_HearsOfNoModuleAnyMore(t *testing.T) {
	k := bootIdle(t, nil, nil)
	sites := len(k.Records())
	require.NoError(t, k.Close())
	k.load(false)
	assert.Len(t, k.Records(), sites)
}

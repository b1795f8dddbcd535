package ftrace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/kernelimage"
)

func bootSets(t *testing.T, opts *Options) *testKernel {
	t.Helper()
	if opts == nil {
		opts = &Options{}
	}
	opts.Scheme = Sets
	return bootIdle(t, nil, opts)
}

func TestSets_LiteralFollowsTheOpsOfASite(t *testing.T) {
	k := bootSets(t, nil)
	a := k.ops("a", k.code.OpsFuncNop, 0, "tracee_relevant")
	b := k.ops("b", k.code.OpsFuncNop, 0, "tracee_relevant")
	c := k.ops("c", k.code.OpsFuncNop, 0, "tracee_relevant")
	rcu := k.ops("rcu", k.code.OpsFuncNop, OpsRCU, "tracee_relevant")
	for i, s := range []struct {
		do   func(...*Ops)
		ops  *Ops
		want string
	}{
		{k.register, a, "1 ftrace_caller a"},
		{k.register, b, "2 ftrace_caller [b a]"},
		{k.register, c, "3 ftrace_caller [c b a]"},
		{k.unregister, b, "2 ftrace_caller [c a]"},
		{k.unregister, a, "1 ftrace_caller c"},
		{k.register, rcu, "2 ftrace_caller [rcu c]"},
		{k.unregister, c, "1 ftrace_caller [rcu]"},
		{k.register, a, "2 ftrace_caller [a rcu]"},
		{k.unregister, rcu, "1 ftrace_caller a"},
		{k.unregister, a, "0 nop nop"},
		{k.register, rcu, "1 ftrace_caller [rcu]"},
		{k.unregister, rcu, "0 nop nop"},
	} {
		s.do(s.ops)
		assert.Equal(t, s.want, k.site("tracee_relevant"), "step %d: %s", i, s.ops)
		assert.Equal(t, "0 nop nop", k.site("tracee_irrelevant"), "step %d: %s", i, s.ops)
	}
	assert.Equal(t, SetStats{}, k.Sets(), "nothing is left")
}

func TestSets_FollowAFilterAndTheSwitch(t *testing.T) {
	k := bootSets(t, nil)
	a, b := k.ops("a", k.code.OpsFuncNop, 0, "fib", "gcd"), k.ops("b", k.code.OpsFuncNop, 0, "fib")
	k.register(a, b)
	set := func(o *Ops, pat string, opts *FilterOptions) {
		require.NoError(t, k.SetFilter(o, pat, opts))
		require.NoError(t, k.Validate())
	}
	set(b, "gcd", nil)
	assert.Equal(t, []string{"2 ftrace_caller [b a]", "2 ftrace_caller [b a]"}, []string{k.site("fib"), k.site("gcd")})
	assert.Equal(t, 1, k.Sets().Live, "the sites share it")
	set(a, "gcd", &FilterOptions{Reset: true})
	assert.Equal(t, []string{"1 ftrace_caller b", "2 ftrace_caller [b a]"}, []string{k.site("fib"), k.site("gcd")})
	require.NoError(t, k.SetNotrace(b, "gcd", nil))
	require.NoError(t, k.Validate())
	assert.Equal(t, []string{"1 ftrace_caller b", "1 ftrace_caller a"}, []string{k.site("fib"), k.site("gcd")})
	require.NoError(t, k.SetNotrace(b, "", &FilterOptions{Reset: true}))
	require.NoError(t, k.SetEnabled(0))
	require.NoError(t, k.Validate())
	assert.Equal(t, "2 nop nop", k.site("gcd"))
	set(b, "fib", &FilterOptions{Remove: true})
	require.NoError(t, k.SetEnabled(1))
	require.NoError(t, k.Validate())
	assert.Equal(t, []string{"0 nop nop", "2 ftrace_caller [b a]"}, []string{k.site("fib"), k.site("gcd")})
}

// A change that leaves a site with the ops that it had stores no literal.
func TestSets_KeepALiteralThatStaysTheSame(t *testing.T) {
	var log storeLog
	k := bootSets(t, nil)
	a, b := k.ops("a", k.code.OpsFuncNop, 0, "fib"), k.ops("b", k.code.OpsFuncNop, 0, "fib")
	k.register(a, b)
	log.Memory, k.mem.Memory = k.mem.Memory, &log
	require.NoError(t, k.SetFilter(a, "gcd", nil))
	assert.NotContains(t, log.stored, k.literalOf(k.Location(k.fn("fib"))))
	assert.Contains(t, log.stored, k.literalOf(k.Location(k.fn("gcd"))))
}

// storeLog notes where doublewords are stored.
type storeLog struct {
	Memory
	stored []uint64
}

func (l *storeLog) Store64(addr, v uint64) error {
	l.stored = append(l.stored, addr)
	return l.Memory.Store64(addr, v)
}

// setGrace counts the waits, and has a look when one is over.
type setGrace struct {
	otherTask
	rude, tasks int
}

func (g *setGrace) SynchronizeRCUTasksRude() error { g.rude++; return nil }
func (g *setGrace) SynchronizeRCUTasks() error     { g.tasks++; g.run(); return nil }

func TestSets_AreFreedAfterBothWaits(t *testing.T) {
	grace := &setGrace{}
	k := bootSets(t, &Options{Grace: grace})
	a, b := k.ops("a", k.code.OpsFuncNop, 0, "fib"), k.ops("b", k.code.OpsFuncNop, 0, "fib")
	k.register(a, b)
	addr, err := k.mem.Load64(k.literalOf(k.Location(k.fn("fib"))))
	require.NoError(t, err)
	grace.run = func() {
		assert.Equal(t, 1, grace.rude)
		assert.Equal(t, "1 ftrace_caller a", k.literalOnly("fib"), "the literal is another's by then")
		assert.NotNil(t, k.sets.byAddr[addr], "it is there during the wait")
	}
	require.NoError(t, k.Unregister(b))
	assert.Equal(t, 1, grace.tasks)
	assert.Equal(t, SetStats{}, k.Sets())
	set, _ := k.k.Heap.Lookup(addr)
	assert.True(t, set.Freed)
}

// literalOnly is site, for what holds the lock.
func (k *testKernel) literalOnly(name string) string {
	for rec := range k.each() {
		if sym, _, ok := k.k.Symbols.At(rec.IP); ok && sym.Name == name {
			return fmt.Sprintf("%d ftrace_caller %s", k.prof.count(rec.Flags), k.literal(*rec))
		}
	}
	return ""
}

// A static ops does not make unregistering wait: its sets are left for the next wait.
func TestSets_WithoutAWaitAreLeftForTheNext(t *testing.T) {
	k := bootSets(t, nil)
	a := k.ops("a", k.code.OpsFuncNop, 0, "fib")
	static, err := k.NewOps("static", k.code.OpsFuncNop, &OpsOptions{Static: true})
	require.NoError(t, err)
	require.NoError(t, k.SetFilter(static, "fib", nil))
	k.register(a, static)
	k.unregister(static)
	assert.Equal(t, 1, k.Sets().Retired)
	k.register(static)
	assert.Equal(t, []int{1, 0}, []int{k.Sets().Live, k.Sets().Retired}, "the same set is there again")
	k.unregister(static, a)
	assert.Equal(t, SetStats{}, k.Sets())
}

func TestSets_BeyondTheLimitSitesGoByTheList(t *testing.T) {
	k := bootSets(t, &Options{SetLimit: 1})
	a, b, c := k.ops("a", k.code.OpsFuncNop, 0, "fib", "gcd"), k.ops("b", k.code.OpsFuncNop, 0, "fib"), k.ops("c", k.code.OpsFuncNop, 0, "gcd")
	k.register(a, b, c)
	assert.Equal(t, []string{"2 ftrace_caller [b a]", "2 ftrace_caller list"}, []string{k.site("fib"), k.site("gcd")})
	st := k.Sets()
	assert.Equal(t, SetStats{Live: 1, Bytes: uint64(k.layout.Ops.Size) + 24, Sites: 1, OnList: 1, Fallbacks: 1}, st)

	k.unregister(b)
	require.NoError(t, k.SetFilter(c, "fib", &FilterOptions{Reset: true}))
	require.NoError(t, k.Validate())
	assert.Equal(t, []string{"2 ftrace_caller [c a]", "1 ftrace_caller a"}, []string{k.site("fib"), k.site("gcd")})
	assert.Zero(t, k.Sets().OnList)
}

// At the limit an operation waits once for the readers of what no literal names.
func TestSets_AtTheLimitRetiredOnesAreReclaimed(t *testing.T) {
	grace := &setGrace{otherTask: otherTask{run: func() {}}}
	k := bootSets(t, &Options{SetLimit: 2, Grace: grace})
	a, b := k.ops("a", k.code.OpsFuncNop, 0, "fib"), k.ops("b", k.code.OpsFuncNop, 0, "fib")
	k.register(a, b)
	require.NoError(t, k.SetFilter(b, "gcd", &FilterOptions{Reset: true}))
	require.NoError(t, k.SetFilter(b, "fib", nil))
	assert.Zero(t, grace.rude)
	c := k.ops("c", k.code.OpsFuncNop, 0, "fib")
	k.register(c)
	assert.Equal(t, "3 ftrace_caller [c b a]", k.site("fib"))
	assert.Zero(t, grace.rude, "there is room for two")
	d := k.ops("d", k.code.OpsFuncNop, 0, "fib")
	k.register(d)
	assert.Equal(t, "4 ftrace_caller [d c b a]", k.site("fib"))
	assert.Equal(t, []int{1, 1}, []int{grace.rude, grace.tasks})
}

// Wherever memory runs out, what was asked for is done, and the site goes by the list.
func TestSets_NoMemoryIsTheList(t *testing.T) {
	for fails := range 4 {
		asked := 0
		k := bootSets(t, &Options{FailAlloc: func(what string) bool {
			if what != "set of ops" {
				return false
			}
			asked++
			return asked-1 == fails
		}})
		var all []*Ops
		for i, want := range []string{"1 ftrace_caller o0", "2 ftrace_caller [o1 o0]", "3 ftrace_caller [o2 o1 o0]", "4 ftrace_caller [o3 o2 o1 o0]"} {
			all = append(all, k.ops(fmt.Sprint("o", i), k.code.OpsFuncNop, 0, "fib"))
			k.register(all[i])
			if i == fails+1 {
				want = fmt.Sprintf("%d ftrace_caller list", i+1)
			}
			assert.Equal(t, want, k.site("fib"), "allocation %d fails", fails)
		}
		want := "3 ftrace_caller [o3 o2 o0]"
		if fails == 3 {
			want = "3 ftrace_caller list"
		}
		k.unregister(all[1])
		assert.Equal(t, want, k.site("fib"), "allocation %d fails", fails)
		assert.Equal(t, 1, k.Sets().Fallbacks)
		k.unregister(all[3], all[0])
		assert.Equal(t, "1 ftrace_caller o2", k.site("fib"))
		assert.Zero(t, k.Sets().OnList)
	}
}

func TestSets_LeaveWithAModule(t *testing.T) {
	k := bootSets(t, nil)
	m := k.load(false)
	a, b := k.ops("a", k.code.OpsFuncNop, 0, "fixture_sum"), k.ops("b", k.code.OpsFuncNop, 0, "fixture_sum")
	k.register(a, b)
	assert.Equal(t, "2 ftrace_caller [b a]", k.site("fixture_sum"))
	require.NoError(t, k.k.Unload(m))
	require.NoError(t, k.Validate())
	assert.Equal(t, []int{0, 1}, []int{k.Sets().Live, k.Sets().Retired})
	k.unregister(a)
	assert.Equal(t, SetStats{}, k.Sets())
}

func TestSchemes_NeedLiterals(t *testing.T) {
	for _, s := range []Scheme{Sets, List, numSchemes} {
		k := bootNothing(t, &kernelimage.BuiltinOptions{NoCallOps: true})
		_, err := New(k, &Options{Scheme: s})
		assert.ErrorIs(t, err, errno.EINVAL, s)
	}
	for s := range numSchemes {
		same, err := ParseScheme(s.String())
		require.NoError(t, err)
		assert.Equal(t, s, same)
	}
	_, err := ParseScheme("mini")
	assert.ErrorIs(t, err, errno.EINVAL)
	assert.Equal(t, "scheme 4", numSchemes.String())
}

func TestList_EveryLiteralNamesIt(t *testing.T) {
	k := bootIdle(t, nil, &Options{Scheme: List})
	o := k.ops("o", k.code.OpsFuncNop, 0, "fib")
	k.register(o)
	assert.Equal(t, "1 ftrace_caller list", k.site("fib"))
	k.unregister(o)
	assert.Equal(t, "0 nop nop", k.site("fib"))
}

// called is one call of a tracer.
type called struct {
	ip  uint64
	ops string
}

// Whatever is done, each call goes to exactly the ops that are registered and want the
// function, newest first, and every scheme calls the same. What is wanted is kept
// here by names, and asks the Registry nothing.
func TestSchemes_CallWhatIsWanted(t *testing.T) {
	functions := []string{"tracee_relevant", "tracee_irrelevant", "gcd"}
	flags := []OpsFlag{0, 0, 0, OpsRCU, OpsRecursion}
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for _, tt := range []struct {
			scheme Scheme
			limit  int
		}{{CallOps, 0}, {Sets, 0}, {Sets, 2}, {List, 0}, {Global, 0}} {
			t.Run(fmt.Sprintf("%s, limit %d", tt.scheme, tt.limit), func(t *testing.T) {
				k := boot(t, nil, &Options{Scheme: tt.scheme, SetLimit: tt.limit})
				rnd := rand.New(rand.NewPCG(11, 12))
				var got []called
				tracer, err := k.GoTracer("note", func(ip, _ uint64, o *Ops, _ *Regs) { got = append(got, called{ip, o.Name}) })
				require.NoError(t, err)
				all := make([]*Ops, 6)
				wants := map[*Ops]map[string]bool{}
				var order []*Ops // registered, newest first
				for i := range all {
					all[i] = k.ops(fmt.Sprint("o", i), tracer, flags[rnd.IntN(len(flags))])
					wants[all[i]] = map[string]bool{}
				}
				for step := range 120 {
					o, fn := all[rnd.IntN(len(all))], functions[rnd.IntN(len(functions))]
					at := slices.Index(order, o)
					switch n := rnd.IntN(4); {
					case n == 0 && at < 0 && len(wants[o]) > 0:
						require.NoError(t, k.Register(o))
						order = slices.Insert(order, 0, o)
					case n == 1 && at >= 0:
						require.NoError(t, k.Unregister(o))
						order = slices.Delete(order, at, at+1)
					case n == 2 && !wants[o][fn]:
						require.NoError(t, k.SetFilter(o, fn, nil))
						wants[o][fn] = true
					case n == 3:
						require.NoError(t, k.SetFilter(o, fn, &FilterOptions{Reset: true}))
						wants[o] = map[string]bool{fn: true}
					}
					require.NoError(t, k.Validate(), "step %d", step)
					for _, fn := range functions {
						var want []called
						for _, o := range order {
							if wants[o][fn] {
								want = append(want, called{k.Location(k.fn(fn)), o.Name})
							}
						}
						got = nil
						_, err := k.k.CallName(context.Background(), 0, nil, fn, 3, 3)
						require.NoError(t, err)
						require.Equal(t, want, got, "step %d, %s", step, fn)
					}
				}
			})
		}
	})
}

// Many ops over all sites leave as many sets as there are kinds of sites.
func TestSets_AreAsManyAsKindsOfSites(t *testing.T) {
	k := bootSets(t, nil)
	rnd := rand.New(rand.NewPCG(3, 4))
	recs := k.Records()
	var all []*Ops
	for i := range 12 {
		o := k.ops(fmt.Sprint("o", i), k.code.OpsFuncNop, 0)
		var ips []uint64
		for _, rec := range recs {
			if rnd.IntN(2) == 0 {
				ips = append(ips, rec.IP)
			}
		}
		require.NoError(t, k.SetFilterIPs(o, ips, nil))
		k.register(o)
		all = append(all, o)
	}
	kinds := map[string]bool{}
	for _, rec := range recs {
		var members []string
		for _, o := range all {
			if k.Matches(o, rec.IP) {
				members = append(members, o.Name)
			}
		}
		if len(members) > 1 {
			kinds[fmt.Sprint(members)] = true
		}
	}
	assert.Equal(t, len(kinds), k.Sets().Live)
	for _, i := range rnd.Perm(len(all)) {
		k.unregister(all[i])
	}
	assert.Equal(t, SetStats{}, k.Sets())
}

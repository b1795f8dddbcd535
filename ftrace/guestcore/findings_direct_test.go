package guestcore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/kernels"
)

// directHash is a hash of call sites and their direct trampolines, as a BPF trampoline makes one.
func (l *lab) directHash(bits uint64, sites map[string]uint64) uint64 {
	l.t.Helper()
	hash := l.call("alloc_ftrace_hash", bits)
	require.NotZero(l.t, hash)
	for name, tramp := range sites {
		require.NotZero(l.t, l.call("add_ftrace_hash_entry_direct", hash, l.ip(name), tramp))
	}
	return hash
}

// update calls update_ftrace_direct_add and the like with a hash, and frees that as BPF does.
func (l *lab) update(how string, o *ftrace.Ops, sites map[string]uint64) int {
	l.t.Helper()
	hash := l.directHash(2, sites)
	ret := status(l.call("update_ftrace_direct_"+how, o.Addr(), hash, 1))
	l.call("free_ftrace_hash", hash)
	return ret
}

// update_ftrace_direct_mod asks about every site of the ops, whichever are modified.
func TestFinding_DirectModAsksForSitesThatItDoesNotModify(t *testing.T) {
	l := newLab(t, kernels.Linux7, nil)
	d := l.directOps("direct")
	refuse := false
	var asked []ftrace.ShareCommand
	d.Share = func(_ *ftrace.Ops, cmd ftrace.ShareCommand) error {
		asked = append(asked, cmd)
		if refuse {
			return errno.EBUSY
		}
		return nil
	}
	require.Zero(t, l.update("add", d, map[string]uint64{"gcd": l.direct[0], "lcm": l.direct[0]}))
	l.register(l.ops("ipmodify", ftrace.OpsIPModify, "lcm"))
	asked, refuse = nil, true
	assert.Equal(t, -16, l.update("mod", d, map[string]uint64{"gcd": l.direct[1]}))
	assert.Equal(t, []ftrace.ShareCommand{ftrace.EnableShareSelf}, asked, "for lcm")
	assertAlive(t, l)
}

// Where ftrace_caller takes the direct trampoline from the ops, update_ftrace_direct_add sets none.
func TestFinding_DirectAddLosesDirectCallsAtSharedSites(t *testing.T) {
	l := newLab(t, kernels.Linux7, nil)
	count := func() uint64 { return l.load(l.counts) }
	added, registered := l.directOps("added"), l.directOps("registered", "lcm")
	require.Zero(t, l.update("add", added, map[string]uint64{"gcd": l.direct[0]}))
	l.call("gcd", 84, 36)
	require.EqualValues(t, 1, count())

	plain := l.ops("plain", 0, "gcd", "lcm")
	l.register(plain)
	l.call("gcd", 84, 36)
	assert.EqualValues(t, 1, count(), "the direct call is lost")
	assert.EqualValues(t, 1, l.count(plain))

	require.NoError(t, l.RegisterDirect(registered, l.direct[1]))
	l.call("lcm", 84, 36)
	assert.EqualValues(t, 1, l.load(l.counts+8), "that of register_ftrace_direct is not")

	// So is one that no branch of the site reaches.
	far := l.placeDirects(true)
	alone := l.directOps("alone")
	require.Zero(t, l.update("add", alone, map[string]uint64{"int_sqrt": far[2]}))
	l.call("int_sqrt", 100)
	assert.Zero(t, l.load(l.counts+16))
	assertAlive(t, l)
}

// unregister_ftrace_direct frees entries of direct_functions under the patcher of another ops, which
// has ftrace_lock but not direct_mutex.
func TestFinding_DirectEntriesAreFreedUnderReaders(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		// Two sites in one bucket of direct_functions, the one that stays behind the one that goes.
		var going, staying string
		for _, a := range traced {
			for _, b := range traced {
				if a < b && bucket(l.ip(a), 2) == bucket(l.ip(b), 2) {
					going, staying = a, b
				}
			}
		}
		require.NotEmpty(t, going)
		stays, goes := l.directOps("stays", staying), l.directOps("goes", going)
		require.NoError(t, l.RegisterDirect(stays, l.direct[0]))
		require.NoError(t, l.RegisterDirect(goes, l.direct[1]))
		entry := l.entry(l.load(l.sym("direct_functions")), l.ip(going))
		plain := l.ops("plain", 0, "int_sqrt")
		l.register(plain)
		array := l.alloc("ips", 8)
		l.store(array, l.ip("vfs_read"))

		other := l.second()
		at := breakpoints{l.returnTo("unregister_ftrace_direct", "unregister_ftrace_function"): func() {
			l.start(other, l.holding(other, entry, "ftrace_find_rec_direct", "ftrace_get_addr_new", "ftrace_get_addr_curr", "__ftrace_lookup_ip"),
				"ftrace_set_filter_ips", plain.Addr(), array, 1, 0, 0)
		}}
		res, err := l.k.CallName(t.Context(), 0, at.options(), "unregister_ftrace_direct", goes.Addr(), l.direct[1], 0)
		require.NoError(t, err)
		require.Zero(t, status(res.X0))
		var fault *emu.Fault
		require.ErrorAs(t, other.finish(), &fault)
	})
}

// bucket is hash_long.
func bucket(ip uint64, bits int) uint64 { return ip * 0x61c8864680b583eb >> (64 - bits) }

// entry finds the entry of a site in a hash.
func (l *lab) entry(hash, ip uint64) uint64 {
	l.t.Helper()
	h, e := &l.k.Layout.Hash, &l.k.Layout.Entry
	bits := l.load(hash + uint64(h.SizeBits))
	node := l.load(l.load(hash+uint64(h.Buckets)) + 8*bucket(ip, int(bits)))
	for node != 0 {
		at := node - uint64(e.Next)
		if l.load(at+uint64(e.IP)) == ip {
			return at
		}
		node = l.load(node)
	}
	require.Fail(l.t, "no entry")
	return 0
}

// returnTo is where in a function its first call of another returns to.
func (l *lab) returnTo(in, callee string) uint64 {
	l.t.Helper()
	from, to := l.sym(in), l.sym(callee)
	for pc := from; pc < from+0x400; pc += 4 {
		w, err := l.k.Mem.Load32(pc)
		require.NoError(l.t, err)
		if w>>26 == 0x25 && pc+uint64(int64(int32(w<<6)>>6)*4) == to {
			return pc + 4
		}
	}
	require.Fail(l.t, "no call", "%s of %s", in, callee)
	return 0
}

// The filter of a registered DIRECT ops can be changed, though direct_functions does not follow.
func TestFinding_ADirectOpsThatMovesLeavesItsOldSiteBusy(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		d := l.directOps("moves", "gcd")
		require.NoError(t, l.RegisterDirect(d, l.direct[0]))
		require.NoError(t, l.SetFilterIP(d, l.ip("lcm"), &ftrace.FilterOptions{Reset: true}))
		assert.NotEmpty(t, l.warned)
		require.NoError(t, l.UnregisterDirect(d, l.direct[0]))
		assert.Zero(t, l.enabled())
		assert.ErrorIs(t, l.RegisterDirect(l.directOps("next", "gcd"), l.direct[1]), errno.EBUSY)
		assert.False(t, l.Dead())
	})
}

func TestFinding_ADirectOpsThatGrowsKillsFtrace(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		share := func(*ftrace.Ops, ftrace.ShareCommand) error { return nil }
		owner, grows := l.directOps("owner", "gcd"), l.directOps("grows", "lcm")
		owner.Share, grows.Share = share, share
		require.NoError(t, l.RegisterDirect(owner, l.direct[0]))
		require.NoError(t, l.RegisterDirect(grows, l.direct[1]))
		l.register(l.ops("ipmodify", ftrace.OpsIPModify, "gcd"))
		require.NoError(t, l.SetFilterIP(grows, l.ip("gcd"), nil))
		assert.True(t, l.Dead())
	})
}

// update_ftrace_direct_del clears func and frees the filter of a static ops, as BPF's is, and waits for no CPU.
func TestFinding_TheLastDirectCallGoesUnderAWalker(t *testing.T) {
	for name, test := range map[string]struct {
		hold  func(l *lab, s *second, ops uint64) *emu.CallOptions
		check func(t *testing.T, l *lab, err error)
	}{
		"that looks into the filter": {
			func(l *lab, s *second, ops uint64) *emu.CallOptions {
				return l.holding(s, l.load(ops+uint64(l.k.Layout.Ops.LocalHash+l.k.Layout.OpsHash.Filter)), listFuncs...)
			},
			func(t *testing.T, _ *lab, err error) {
				var fault *emu.Fault
				require.ErrorAs(t, err, &fault)
			},
		},
		"that is about to load func": {
			func(l *lab, s *second, ops uint64) *emu.CallOptions { return l.loading(s, ops, listFuncs...) },
			func(t *testing.T, l *lab, err error) {
				require.NoError(t, err)
				assert.True(t, l.Dead(), "FTRACE_WARN_ON(!op->func)")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, kernels.Linux7, nil)
			// In place of a variable that nothing uses here, so that the ops is not DYNAMIC.
			at := l.sym("stack_dump_trace")
			require.NoError(t, l.k.Mem.Write(at, make([]byte, l.k.Layout.Ops.Size)))
			l.call("ftrace_free_filter", at) // initialises it
			update := func(how string) int {
				return status(l.call("update_ftrace_direct_"+how, at, l.directHash(2, map[string]uint64{"gcd": l.direct[0]}), 1))
			}
			require.Zero(t, update("add"))
			l.register(l.ops("tracer", 0, "gcd"))

			l.events = nil
			other := l.second()
			l.start(other, test.hold(l, other, at), "gcd", 84, 36)
			require.Zero(t, update("del"))
			assert.Empty(t, l.graces())
			test.check(t, l, other.finish())
		})
	}
}

// By comparison: one that was allocated waits.
func TestFinding_TheLastDirectCallOfADynamicOpsWaits(t *testing.T) {
	l := newLab(t, kernels.Linux7, nil)
	d := l.directOps("direct")
	site := map[string]uint64{"gcd": l.direct[0]}
	require.Zero(t, l.update("add", d, site))
	l.events = nil
	require.Zero(t, l.update("del", d, site))
	assert.Equal(t, l.shutdownGraces(), l.graces())
}

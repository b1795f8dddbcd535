package guestcore_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/kernels"
)

var (
	sequences = flag.Int("sequences", 8, "how many random sequences TestHunt runs on each kernel")
	huntSeed  = flag.Uint64("hunt-seed", 1, "what they come from")
)

// hunt is random operations on a kernel's core, a third of them with an allocation that fails. What
// the core then returns is its own affair; but it must not WARN, nor die, and once all is
// unregistered nothing may be left.
type hunt struct {
	*lab
	*rand.Rand
	live  map[uint64]string // objects of the heap, by address
	users []*huntUser
	log   []string
}

// huntUser is an ops or a graph.
type huntUser struct {
	kind       huntKind
	addr, ops  uint64
	registered bool
	flags      ftrace.OpsFlag
	filter     map[string]bool
	direct     uint64            // its trampoline
	directs    map[string]uint64 // those of its sites
}

type huntKind string

const (
	plainUser  huntKind = "ops"
	directUser huntKind = "direct ops"
	graphUser  huntKind = "graph"
	updateUser huntKind = "ops of update_ftrace_direct_add"
)

// How long a sequence is, after how many steps records are checked, and how far off an allocation
// that fails can be.
const (
	huntSteps = 25
	huntCheck = 4
	huntFails = 14
)

// huntFuncs are the functions that it is about.
var huntFuncs = traced[:4]

// keptNames are what begins the names of objects that stay: this test's own, and probes of
// tracepoints, which the kernel frees when it is further on in its boot.
var keptNames = []string{"fgraph_ops", "text", "ops ", "what tracepoint_add_func"}

func TestHunt_OperationsThatFailLeaveNothingBehind(t *testing.T) {
	labs(t, func(t *testing.T, l *lab) {
		h := &hunt{lab: l, Rand: rand.New(rand.NewPCG(*huntSeed, 0)), live: make(map[uint64]string)}
		l.bootGraph()
		l.k.Heap.Observe(h.observe)
		// What is allocated once and kept: caches, shadow stacks, the tracepoint's.
		g := l.graph("gcd")
		require.Zero(t, l.registerGraph(g))
		l.call("unregister_ftrace_graph", g)
		for i := range *sequences {
			h.log = nil
			if !h.sequence() {
				require.Fail(t, "left behind", "sequence %d:\n%s", i, strings.Join(h.log, "\n"))
			}
		}
	})
}

func (h *hunt) observe(o emu.Object) {
	if delete(h.live, o.Addr); !o.Freed {
		h.live[o.Addr] = o.Name
	}
}

// sequence reports whether all was as it should be.
func (h *hunt) sequence() bool {
	h.warned = nil
	had := maps.Clone(h.live)
	h.makeUsers()
	for i := range huntSteps {
		h.step()
		if !assert.Empty(h.t, h.warned) || !assert.False(h.t, h.Dead()) || i%huntCheck == 0 && !h.consistent() {
			return false
		}
	}
	for _, u := range h.users {
		h.leave(u)
	}
	return assert.Empty(h.t, h.warned) && h.nothingLeft(had)
}

func (h *hunt) makeUsers() {
	flags := []ftrace.OpsFlag{0, 0, ftrace.OpsRCU, ftrace.OpsIPModify, ftrace.OpsSaveRegs | ftrace.OpsSaveRegsIfSupported}
	h.users = nil
	for i := range 3 {
		o := h.lab.ops(fmt.Sprintf("plain%d", i), flags[h.IntN(len(flags))])
		h.users = append(h.users, &huntUser{kind: plainUser, addr: o.Addr(), ops: o.Addr(), flags: o.Flags()})
		g := h.graph()
		h.users = append(h.users, &huntUser{kind: graphUser, addr: g, ops: g + graphOps})
	}
	kinds := []huntKind{directUser, directUser}
	if h.series == kernels.Linux7 {
		kinds = append(kinds, updateUser)
	}
	for _, kind := range kinds {
		o := h.directOps(string(kind))
		h.users = append(h.users, &huntUser{kind: kind, addr: o.Addr(), ops: o.Addr(), directs: make(map[string]uint64)})
	}
	for _, u := range h.users {
		u.filter = make(map[string]bool)
	}
}

// try calls a function of the kernel, at times with an allocation that fails, and returns its int.
func (h *hunt) try(u *huntUser, may bool, name string, args ...uint64) int {
	fail := 0
	if may && h.IntN(3) == 0 {
		fail = 1 + h.IntN(huntFails)
	}
	h.services.FailAlloc(fail)
	res, err := h.k.CallName(h.t.Context(), 0, nil, name, args...)
	h.services.FailAlloc(0)
	// The tracepoint polls RCU, which is not booted.
	h.warned = slices.DeleteFunc(h.warned, func(at string) bool { return strings.HasPrefix(at, "kernel/rcu/") })
	h.log = append(h.log, fmt.Sprintf("%s %#x: %s%#x with allocation %d failing: %d", u.kind, u.addr, name, args, fail, status(res.X0)))
	require.NoError(h.t, err, strings.Join(h.log, "\n"))
	return status(res.X0)
}

// step does what is allowed to a random user.
func (h *hunt) step() {
	u := h.users[h.IntN(len(h.users))]
	fn := huntFuncs[h.IntN(len(huntFuncs))]
	switch filters := u.kind == plainUser || u.kind == graphUser || u.kind == directUser && !u.registered; {
	case filters && h.IntN(2) == 0:
		h.refilter(u, fn)
	case u.kind == plainUser:
		h.plainStep(u)
	case u.kind == directUser:
		h.directStep(u)
	case u.kind == updateUser:
		h.updateStep(u, fn)
	case u.registered:
		h.try(u, false, "unregister_ftrace_graph", u.addr) // without memory: finding 11
		u.registered = false
	default:
		u.registered = h.try(u, true, "register_ftrace_graph", u.addr) == 0
		if at := u.ops + uint64(h.k.Layout.Ops.Flags); !u.registered { // finding 10
			h.store(at, h.load(at)&^(1<<19))
		}
	}
}

func (h *hunt) refilter(u *huntUser, fn string) {
	ipmodify := u.flags&ftrace.OpsIPModify != 0
	if h.IntN(3) == 0 && u.kind != directUser && !ipmodify {
		h.try(u, true, "ftrace_set_notrace", u.ops, h.text(fn), uint64(len(fn)), uint64(h.IntN(2)))
		return
	}
	remove, reset := uint64(h.IntN(4)/3), uint64(h.IntN(4)/3)
	if remove == 1 && ipmodify && len(u.filter) < 2 {
		return // finding 15
	}
	if h.try(u, true, "ftrace_set_filter_ip", u.ops, h.ip(fn), remove, reset) != 0 {
		return
	}
	if reset == 1 {
		clear(u.filter)
	}
	if u.filter[fn] = true; remove == 1 {
		delete(u.filter, fn)
	}
}

func (h *hunt) plainStep(u *huntUser) {
	switch {
	case u.registered:
		u.registered = h.try(u, true, "unregister_ftrace_function", u.addr) != 0
	case u.flags&ftrace.OpsIPModify == 0 || len(u.filter) > 0:
		u.registered = h.try(u, true, "register_ftrace_function", u.addr) == 0
	}
}

func (h *hunt) directStep(u *huntUser) {
	tramp := h.lab.direct[h.IntN(2)]
	switch {
	case !u.registered:
		u.direct = tramp
		u.registered = h.try(u, true, "register_ftrace_direct", u.addr, tramp) == 0
	case h.IntN(3) == 0:
		if h.try(u, true, "modify_ftrace_direct", u.addr, tramp) == 0 {
			u.direct = tramp
		}
	default:
		u.registered = h.try(u, true, "unregister_ftrace_direct", u.addr, u.direct, 0) != 0
	}
}

func (h *hunt) updateStep(u *huntUser, fn string) {
	how, tramp := "add", h.lab.direct[h.IntN(2)]
	if old, ok := u.directs[fn]; ok {
		if how = "mod"; h.IntN(2) == 0 {
			how, tramp = "del", old
		}
	}
	hash := h.directHash(2, map[string]uint64{fn: tramp})
	if h.try(u, true, "update_ftrace_direct_"+how, u.addr, hash, 1) == 0 {
		if u.directs[fn] = tramp; how == "del" {
			delete(u.directs, fn)
		}
	}
	h.call("free_ftrace_hash", hash)
}

// consistent compares the records with what the registered ops and graphs match.
func (h *hunt) consistent() bool {
	for _, fn := range huntFuncs {
		rec := h.record(fn)
		matches := func(ops uint64) bool { return status(h.call("ftrace_ops_test", ops, rec.IP, 0)) != 0 }
		count, graphs, ipmodify := 0, false, ftrace.RecFlags(0)
		for _, o := range h.Registered() {
			if !matches(o.Addr()) {
				continue
			}
			count++
			graphs = graphs || o.Addr() == h.sym("graph_ops")
			if o.Flags()&ftrace.OpsIPModify != 0 {
				ipmodify = ftrace.RecIPModify
			}
		}
		for _, u := range h.users {
			if u.kind == graphUser && u.registered && !graphs && matches(u.ops) {
				return assert.Fail(h.t, "a graph that is not called", "%s at %#x on %s", u.kind, u.addr, fn)
			}
		}
		if !assert.Equal(h.t, count, h.Count(rec), "how many ops trace %s", fn) ||
			!assert.Equal(h.t, ipmodify, rec.Flags&ftrace.RecIPModify, "IPMODIFY of %s", fn) {
			return false
		}
	}
	return true
}

// leave unregisters a user, and frees what it has.
func (h *hunt) leave(u *huntUser) {
	switch {
	case u.kind == updateUser && len(u.directs) > 0:
		hash := h.directHash(2, u.directs)
		assert.Zero(h.t, h.try(u, false, "update_ftrace_direct_del", u.addr, hash))
		h.call("free_ftrace_hash", hash)
	case u.kind == graphUser && u.registered:
		h.try(u, false, "unregister_ftrace_graph", u.addr)
	case u.kind == plainUser && u.registered:
		assert.Zero(h.t, h.try(u, false, "unregister_ftrace_function", u.addr))
	case u.kind == directUser && u.registered:
		assert.Zero(h.t, h.try(u, false, "unregister_ftrace_direct", u.addr, u.direct, 0))
	}
	if u.kind != updateUser {
		h.call("ftrace_free_filter", u.ops)
	}
	require.NoError(h.t, h.k.Heap.Free(u.addr))
}

// nothingLeft looks for flags on records, entries of direct_functions, and objects.
func (h *hunt) nothingLeft(had map[uint64]string) bool {
	ok := true
	for _, rec := range h.Records() {
		flags := rec.Flags &^ (ftrace.RecTouched | ftrace.RecModified)
		ok = assert.Zero(h.t, flags, h.k.Symbols.Format(rec.IP)) && ok
	}
	direct := h.load(h.sym("direct_functions"))
	ok = assert.Zero(h.t, h.load(direct+uint64(h.k.Layout.Hash.Count)), "direct_functions") && ok
	for addr, name := range h.live {
		kept := addr == direct || addr == h.load(direct+uint64(h.k.Layout.Hash.Buckets)) ||
			slices.ContainsFunc(keptNames, func(kept string) bool { return strings.HasPrefix(name, kept) })
		if _, before := had[addr]; !before && !kept {
			ok = assert.Fail(h.t, "never freed", name)
		}
	}
	return ok
}

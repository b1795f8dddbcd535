package ftrace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

// filtered returns the functions that an ops covers, in record order.
func (k *testKernel) filtered(o *Ops) string {
	var names []string
	for _, rec := range k.Records() {
		if o.hash.match(rec.IP) {
			names = append(names, k.siteName(rec.IP))
		}
	}
	if len(names) == len(k.Records()) {
		return "all"
	}
	return strings.Join(names, " ")
}

func TestSetFilter_AppendsResetsAndRemoves(t *testing.T) {
	type edit struct {
		pat   string
		reset bool
		errno error
		want  string
	}
	tests := map[string][]edit{
		"append": {
			{"tracee_relevant", false, nil, "tracee_relevant"},
			{"tracee_irrelevant", false, nil, "tracee_relevant tracee_irrelevant"},
			{"tracee_irrelevant", false, nil, "tracee_relevant tracee_irrelevant"},
		},
		"reset": {
			{"tracee_*", false, nil, "tracee_relevant tracee_irrelevant"},
			{"tracee_r*", true, nil, "tracee_relevant"},
		},
		"remove": {
			{"tracee_*", false, nil, "tracee_relevant tracee_irrelevant"},
			{"!*_relevant", false, nil, "tracee_irrelevant"},
			{"!*_relevant", false, nil, "tracee_irrelevant"}, // not in the set is fine
			{"!tracee_irrelevant", false, nil, "all"},        // an empty filter is every function
		},
		"no match leaves it as it was": {
			{"tracee_relevant", false, nil, "tracee_relevant"},
			{"nosuch", false, errno.EINVAL, "tracee_relevant"},
			{"nosuch*", true, errno.EINVAL, "tracee_relevant"},
			{"!nosuch", false, errno.EINVAL, "tracee_relevant"},
			{"", false, errno.EINVAL, "tracee_relevant"},
		},
		"index": {
			{"0", false, errno.EINVAL, "all"},
			{"1x", false, errno.EINVAL, "all"},
			{"1_0", false, errno.EINVAL, "all"},
			{"0b1", false, errno.EINVAL, "all"},
			{"0o1", false, errno.EINVAL, "all"},
			{"08", false, errno.EINVAL, "all"},
			{"99999", false, errno.EINVAL, "all"},
		},
	}
	for name, edits := range tests {
		for _, live := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				k := bootIdle(t, nil, nil)
				o := k.ops("o", k.code.OpsFuncNop, 0)
				if live {
					k.register(o)
				}
				for _, e := range edits {
					err := k.SetFilter(o, e.pat, &FilterOptions{Reset: e.reset})
					require.ErrorIs(t, err, e.errno, e.pat)
					assert.Equal(t, e.want, k.filtered(o), e.pat)
					require.NoError(t, k.Validate())
				}
				k.unregisterIf(live, o)
			})
		}
	}
}

func (k *testKernel) unregisterIf(live bool, o *Ops) {
	if live {
		k.unregister(o)
	}
}

func TestSetFilter_IndexIsTheLineOfAvailableFilterFunctions(t *testing.T) {
	k := bootIdle(t, nil, nil)
	var b strings.Builder
	require.NoError(t, k.WriteAvailable(&b, false))
	lines := strings.Fields(b.String())
	for pat, line := range map[string]int{"1": 1, "3": 3, "0x3": 3, "010": 8, "0": 0} {
		o := k.ops("o", k.code.OpsFuncNop, 0)
		err := k.SetFilter(o, pat, &FilterOptions{Reset: true})
		if line == 0 {
			assert.ErrorIs(t, err, errno.EINVAL)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, lines[line-1], k.filtered(o), pat)
	}
}

func TestSetFilterIP_TakesSitesAndFunctions(t *testing.T) {
	forBuilds(t, func(t *testing.T, k *testKernel) {
		o := k.ops("o", k.code.OpsFuncNop, 0)
		fn := k.fn("tracee_relevant")
		site := k.Location(fn)
		assert.Equal(t, site, k.Location(site))
		require.NoError(t, k.SetFilterIP(o, fn, nil))
		assert.Equal(t, "tracee_relevant", k.filtered(o))
		require.NoError(t, k.SetFilterIP(o, site, &FilterOptions{Reset: true}))
		assert.Equal(t, "tracee_relevant", k.filtered(o))
		assert.ErrorIs(t, k.SetFilterIP(o, k.code.Caller, nil), errno.EINVAL)
		assert.ErrorIs(t, k.SetFilterIP(o, k.fn("tracee_irrelevant"), &FilterOptions{Remove: true}), errno.ENOENT)
		assert.ErrorIs(t, k.SetFilterIPs(o, []uint64{k.fn("tracee_irrelevant"), 0}, nil), errno.EINVAL)
		assert.Equal(t, "tracee_relevant", k.filtered(o), "all of them or none")
		require.NoError(t, k.SetFilterIP(o, fn, &FilterOptions{Remove: true}))
		assert.Equal(t, "all", k.filtered(o))
	})
}

func TestSetFilter_LiveChangeMovesTheSites(t *testing.T) {
	k := bootIdle(t, nil, nil)
	a := k.ops("a", k.code.OpsFuncNop, 0, "tracee_relevant")
	b := k.ops("b", k.code.OpsFuncNop, 0, "tracee_irrelevant")
	k.register(a, b)
	require.NoError(t, k.SetFilter(a, "tracee_irrelevant", &FilterOptions{Reset: true}))
	require.NoError(t, k.Validate())
	assert.Equal(t, "0 nop nop", k.site("tracee_relevant"))
	assert.Equal(t, "2 ftrace_caller list", k.site("tracee_irrelevant"))
	require.NoError(t, k.SetNotrace(b, "tracee_irrelevant", nil))
	require.NoError(t, k.Validate())
	assert.Equal(t, "1 ftrace_caller a", k.site("tracee_irrelevant"))
	require.NoError(t, k.SetNotrace(b, "", &FilterOptions{Reset: true}))
	require.NoError(t, k.SetFilterIPs(b, nil, &FilterOptions{Reset: true}))
	assert.Equal(t, "1 ftrace_caller b", k.site("tracee_relevant"))
	require.NoError(t, k.Validate())
}

// A filter edit that keeps a site takes its count through 0 and patches nothing.
func TestSetFilter_KeptSiteIsNotPatched(t *testing.T) {
	k, log := withRecorder(t, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
	k.register(o)
	log.log = nil
	require.NoError(t, k.SetFilter(o, "tracee_relevant", &FilterOptions{Reset: true}))
	for _, s := range log.log {
		assert.NotContains(t, s, "insn")
	}
	assert.Contains(t, log.log, "call_rcu", "the old hash waits for its readers")
}

func TestSetNotrace_IsRefusedForIPModify(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, OpsIPModify, "tracee_relevant")
	assert.ErrorIs(t, k.SetNotrace(o, "tracee_irrelevant", nil), errno.EINVAL)
}

func TestFilter_OldHashesArePoisoned(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
	old := o.hash.filter.addr
	require.NoError(t, k.SetFilter(o, "tracee_irrelevant", &FilterOptions{Reset: true}))
	word, err := k.k.Mem.Load64(old)
	require.NoError(t, err)
	gone, ok := k.k.Heap.Poisoned(word)
	require.True(t, ok)
	assert.Equal(t, "filter hash of o", gone.Name)
}

func TestSetFilter_WithoutMemoryNothingChanges(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "fib")
	k.register(o)
	for size := uint64(1 << 40); size > 0; size /= 2 {
		for err := error(nil); err == nil; {
			_, err = k.k.Heap.Alloc("ballast", size)
		}
	}
	before := k.Records()
	require.ErrorIs(t, k.SetFilter(o, "gcd", &FilterOptions{Reset: true}), errno.ENOMEM)
	_, err := k.NewOps("other", k.code.OpsFuncNop, nil)
	require.ErrorIs(t, err, errno.ENOMEM)
	assert.Equal(t, before, k.Records())
	assert.Equal(t, "fib", k.filtered(o))
	require.NoError(t, k.Validate())
	require.NoError(t, k.SetFilterIPs(o, nil, &FilterOptions{Reset: true}), "EMPTY_HASH takes no memory")
	require.NoError(t, k.SetFilter(o, "gcd", &FilterOptions{Reset: true}), "and the old hash gave some back")
}

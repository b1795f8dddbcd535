package ftrace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/kernelimage"
	"callops/trampolines"
)

func (k *testKernel) direct(name, filter string) *Ops {
	k.t.Helper()
	o, err := k.NewDirectOps(name)
	require.NoError(k.t, err)
	if filter != "" {
		require.NoError(k.t, k.SetFilter(o, filter, nil))
	}
	return o
}

func TestRegisterDirect_AloneTheSiteCallsTheTarget(t *testing.T) {
	k := bootIdle(t, nil, nil)
	d := k.direct("d", "tracee_relevant")
	target := k.code.StubDirectTramp
	require.NoError(t, k.RegisterDirect(d, target))
	require.NoError(t, k.Validate())
	assert.Equal(t, "1 ftrace_stub_direct_tramp d", k.site("tracee_relevant"))
	assert.Regexp(t, `^tracee_relevant \(1\)     D O M \ttramp: ftrace_caller\+0x0/0x[0-9a-f]+ \(call_direct_funcs\+0x0/0x[0-9a-f]+\)`+
		`\tops: 0x[0-9a-f]+ \(call_direct_funcs\+0x0/0x[0-9a-f]+\)\n\tdirect-->ftrace_stub_direct_tramp\+0x0/0x[0-9a-f]+\n$`, k.enabledLines())

	o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
	k.register(o)
	assert.Equal(t, "2 ftrace_caller list", k.site("tracee_relevant"))
	assert.Regexp(t, `^tracee_relevant \(2\)     D   M \n\tdirect-->ftrace_stub_direct_tramp\+0x0/0x[0-9a-f]+\n$`, k.enabledLines())

	k.unregister(o)
	assert.Equal(t, "1 ftrace_stub_direct_tramp d", k.site("tracee_relevant"))
	require.NoError(t, k.UnregisterDirect(d, target))
	require.NoError(t, k.Validate())
	assert.Equal(t, "0 nop nop", k.site("tracee_relevant"))
	assert.Zero(t, k.directOf(k.Location(k.fn("tracee_relevant"))))
}

func TestRegisterDirect_OutOfRangeGoesThroughFtraceCaller(t *testing.T) {
	k := bootIdle(t, nil, nil)
	d := k.direct("d", "tracee_relevant")
	require.NoError(t, k.RegisterDirect(d, 0xffffa0000000f000))
	require.NoError(t, k.Validate())
	assert.Equal(t, "1 ftrace_caller d", k.site("tracee_relevant"))
	require.NoError(t, k.UnregisterDirect(d, 0xffffa0000000f000))
	require.NoError(t, k.Validate())
}

func TestModifyDirect_ChangesTheTarget(t *testing.T) {
	k := bootIdle(t, nil, nil)
	d := k.direct("d", "tracee_*")
	require.NoError(t, k.RegisterDirect(d, k.code.StubDirectTramp))
	require.NoError(t, k.ModifyDirect(d, k.code.Stub))
	require.NoError(t, k.Validate())
	assert.Equal(t, "1 ftrace_stub d", k.site("tracee_relevant"))
	assert.Equal(t, "1 ftrace_stub d", k.site("tracee_irrelevant"))
	require.NoError(t, k.ModifyDirect(d, k.code.StubDirectTramp), "again, with the same temporary ops")
	assert.Equal(t, []*Ops{d}, k.Registered())
	require.NoError(t, k.UnregisterDirect(d, k.code.StubDirectTramp))
}

func TestRegisterDirect_Refusals(t *testing.T) {
	k := bootIdle(t, nil, nil)
	target := k.code.StubDirectTramp
	assert.ErrorIs(t, k.RegisterDirect(k.direct("d", ""), target), errno.EINVAL)
	plain := k.ops("plain", k.code.OpsFuncNop, 0, "tracee_relevant")
	assert.ErrorIs(t, k.RegisterDirect(plain, target), errno.EINVAL)
	d := k.direct("d", "tracee_relevant")
	require.NoError(t, k.RegisterDirect(d, target))
	assert.ErrorIs(t, k.RegisterDirect(d, target), errno.EINVAL)
	assert.ErrorIs(t, k.RegisterDirect(k.direct("d2", "tracee_*"), target), errno.EBUSY)
	ip := k.ops("ip", k.code.OpsFuncNop, OpsIPModify, "tracee_relevant")
	assert.ErrorIs(t, k.Register(ip), errno.EBUSY)
	assert.ErrorIs(t, k.ModifyDirect(plain, target), errno.EINVAL)
	assert.ErrorIs(t, k.UnregisterDirect(plain, target), errno.EINVAL)
	require.NoError(t, k.Validate())

	var asked []ShareCommand
	d.Share = func(_ *Ops, cmd ShareCommand) error { asked = append(asked, cmd); return nil }
	k.register(ip)
	k.unregister(ip)
	assert.Equal(t, []ShareCommand{EnableSharePeer, DisableSharePeer}, asked)

	before := bootIdle(t, &kernelimage.BuiltinOptions{Profile: kernelimage.ProfileV3}, nil)
	assert.ErrorIs(t, before.RegisterDirect(before.direct("d", "tracee_relevant"), target), errno.EOPNOTSUPP)
}

// An address that is not the one registered leaves the sites busy, as in Linux.
func TestUnregisterDirect_WrongAddressLeavesStaleEntries(t *testing.T) {
	k := bootIdle(t, nil, nil)
	d := k.direct("d", "tracee_relevant")
	require.NoError(t, k.RegisterDirect(d, k.code.StubDirectTramp))
	require.NoError(t, k.UnregisterDirect(d, k.code.Stub))
	assert.ErrorIs(t, k.RegisterDirect(k.direct("d2", "tracee_relevant"), k.code.Stub), errno.EBUSY)
}

// Unregistering tells the peers even when it fails.
func TestUnregister_ReleasesDirectPeersWhateverComesOfIt(t *testing.T) {
	k := bootIdle(t, nil, nil)
	d := k.direct("d", "tracee_relevant")
	var asked []ShareCommand
	d.Share = func(_ *Ops, cmd ShareCommand) error { asked = append(asked, cmd); return nil }
	require.NoError(t, k.RegisterDirect(d, k.code.StubDirectTramp))
	ip := k.ops("ip", k.code.OpsFuncNop, OpsIPModify, "tracee_relevant")
	require.ErrorIs(t, k.Unregister(ip), errno.EBUSY)
	assert.Equal(t, []ShareCommand{DisableSharePeer}, asked)
}

// The table of direct calls that a registration replaces waits for its readers.
func TestRegisterDirect_ReplacedTableWaitsForItsReaders(t *testing.T) {
	k, log := withRecorder(t, nil)
	require.NoError(t, k.RegisterDirect(k.direct("first", "tracee_relevant"), k.code.StubDirectTramp))
	second := k.direct("second", "tracee_irrelevant")
	log.log = nil
	require.NoError(t, k.RegisterDirect(second, k.code.StubDirectTramp))
	assert.Equal(t, "call_rcu", log.log[len(log.log)-1], "after the sites were patched")
}

// Code that a site reaches is jumped to, what it does not is called through ftrace_caller.
func TestRegisterDirect_JumpsToWhatItReaches(t *testing.T) {
	k := bootIdle(t, nil, &Options{Direct: trampolines.DirectJump})
	ip := k.Location(k.fn("tracee_relevant"))
	word := func() string {
		w, err := k.k.Mem.Load32(ip)
		require.NoError(t, err)
		text, _, _ := strings.Cut(k.disasm(ip, w), "+")
		return text
	}
	target := k.code.StubDirectTramp
	d := k.direct("d", "tracee_relevant")
	require.NoError(t, k.RegisterDirect(d, target))
	require.NoError(t, k.Validate())
	assert.Regexp(t, `^b [0-9a-f]+ <ftrace_stub_direct_tramp`, word())
	o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
	k.register(o)
	assert.Regexp(t, `^bl [0-9a-f]+ <ftrace_caller`, word())
	k.unregister(o)
	assert.Regexp(t, `^b [0-9a-f]+ <ftrace_stub_direct_tramp`, word())
	require.NoError(t, k.ModifyDirect(d, 0xffffa0000000f000))
	require.NoError(t, k.Validate())
	assert.Regexp(t, `^bl [0-9a-f]+ <ftrace_caller`, word())
	require.NoError(t, k.UnregisterDirect(d, 0xffffa0000000f000))
	assert.Equal(t, "nop", word())
}

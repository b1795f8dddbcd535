package ftrace

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"callops/asm"
	"callops/kernelimage"
	"callops/trampolines"
)

func TestBug_ForeignWordAtASiteEndsFtrace(t *testing.T) {
	var log []string
	k := bootIdle(t, nil, &Options{Printk: func(s string) { log = append(log, s) }})
	o := k.ops("o", k.code.OpsFuncNop, OpsSaveRegsIfSupported, "tracee_relevant")
	ip := k.Location(k.fn("tracee_relevant"))
	require.NoError(t, k.k.Mem.Store32(ip, 0xd4210000)) // somebody's BRK

	err := k.Register(o)
	require.ErrorIs(t, err, unix.ENODEV)
	require.ErrorIs(t, err, unix.EINVAL)
	var bug *BugError
	require.ErrorAs(t, err, &bug)
	want := strings.Join([]string{
		"------------[ ftrace bug ]------------",
		fmt.Sprintf("ftrace failed to modify [<%016x>] %s", ip, k.sym(ip)),
		" actual:   00:00:21:d4",
		"Setting ftrace call site to call ftrace function",
		"ftrace record flags: e0700001",
		" (1) R O",
		fmt.Sprintf(" expected tramp: %x", k.code.Caller),
		"",
	}, "\n")
	assert.Equal(t, want, bug.Report)
	assert.Equal(t, strings.Split(strings.TrimSuffix(want, "\n"), "\n"), log[:len(log)-1])

	assert.True(t, k.Dead())
	assert.Empty(t, k.Registered(), "it is taken off the list, and nothing else is rolled back")
	assert.True(t, o.is(OpsEnabled|OpsAdding))
	assert.ErrorIs(t, k.Unregister(o), unix.ENODEV)
	assert.ErrorIs(t, k.SetFilter(o, "*", true), unix.ENODEV)
	assert.ErrorIs(t, k.SetEnabled(1), unix.ENODEV)
	_, err = k.Enabled()
	assert.ErrorIs(t, err, unix.ENODEV)
	assert.ErrorIs(t, k.WriteAvailable(&strings.Builder{}, false), unix.ENODEV)
	assert.Empty(t, k.enabledLines())
}

func TestBug_ReportSaysWhatFailed(t *testing.T) {
	tests := []struct {
		name  string
		fail  string // which store
		errno unix.Errno
		lines []string
	}{
		{"the instruction can't be written", "insn", unix.EPERM, []string{"ftrace faulted on writing ", "Setting ftrace call site to call ftrace function"}},
		{"the literal can't be written", "word", unix.EFAULT, []string{"ftrace faulted on modifying "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, log := withRecorder(t, nil)
			o := k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant")
			ip := k.Location(k.fn("tracee_relevant"))
			at := fmt.Sprintf("insn %x", ip)
			if tt.fail == "word" {
				at = fmt.Sprintf("word %x", literalOf(ip))
			}
			log.fail = func(what string) error {
				if what == at {
					return unix.EFAULT
				}
				return nil
			}
			err := k.Register(o)
			require.ErrorIs(t, err, unix.ENODEV)
			require.ErrorIs(t, err, tt.errno)
			var bug *BugError
			require.ErrorAs(t, err, &bug)
			for _, l := range tt.lines {
				assert.Contains(t, bug.Report, l)
			}
		})
	}
}

func TestNew_RefusesASiteThatIsNotAsCompiled(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernelimage.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	ip := image.Sites[3].IP
	require.NoError(t, k.Mem.Store32(ip-insnSize, 0xd65f03c0))
	_, err = New(k, nil)
	require.ErrorIs(t, err, unix.EINVAL)
	var bug *BugError
	require.ErrorAs(t, err, &bug)
	assert.Equal(t, ip, bug.IP)
	assert.Contains(t, bug.Report, "Initializing ftrace call sites")
	assert.ErrorContains(t, err, "found ret")
}

func TestNew_RefusesATrampolineOutOfBranchRange(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernelimage.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	code, err := trampolines.Install(k, &trampolines.Options{CallOps: true, Far: true})
	require.NoError(t, err)
	before, err := k.Mem.Load64(image.Sites[0].Literal)
	require.NoError(t, err)

	_, err = New(k, &Options{Code: code})
	require.ErrorIs(t, err, unix.EINVAL)
	require.ErrorIs(t, err, asm.ErrRange)
	assert.ErrorContains(t, err, "tracee_relevant+0x4/0x18 can't call ftrace_caller")
	after, err := k.Mem.Load64(image.Sites[0].Literal)
	require.NoError(t, err)
	assert.Equal(t, before, after, "no site has been touched")
}

func TestKill_EnabledSitesGoOnCalling(t *testing.T) {
	k := bootIdle(t, nil, nil)
	k.register(k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant"))
	before := k.site("tracee_relevant")
	k.Kill()
	assert.Equal(t, before, k.site("tracee_relevant"))
}

func TestBugError_Unwraps(t *testing.T) {
	err := fmt.Errorf("ftrace: %w", &BugError{Err: unix.EPERM})
	assert.True(t, errors.Is(err, unix.EPERM))
}

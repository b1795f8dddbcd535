package ftrace

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

func TestBug_ForeignWordAtASiteEndsFtrace(t *testing.T) {
	var log []string
	k := bootIdle(t, nil, &Options{Printk: func(s string) { log = append(log, s) }})
	o := k.ops("o", k.code.OpsFuncNop, OpsSaveRegsIfSupported, "tracee_relevant")
	ip := k.Location(k.fn("tracee_relevant"))
	require.NoError(t, k.k.Mem.Store32(ip, 0xd4210000)) // a foreign BRK

	err := k.Register(o)
	require.ErrorIs(t, err, errno.ENODEV)
	require.ErrorIs(t, err, errno.EINVAL)
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
	assert.ErrorIs(t, k.Unregister(o), errno.ENODEV)
	assert.ErrorIs(t, k.SetFilter(o, "*", &FilterOptions{Reset: true}), errno.ENODEV)
	assert.ErrorIs(t, k.SetEnabled(1), errno.ENODEV)
	_, err = k.Enabled()
	assert.ErrorIs(t, err, errno.ENODEV)
	assert.ErrorIs(t, k.WriteAvailable(&strings.Builder{}, false), errno.ENODEV)
	assert.Empty(t, k.enabledLines())
}

func TestBug_ReportSaysWhatFailed(t *testing.T) {
	tests := []struct {
		name  string
		fail  string // which store
		errno errno.Errno
		lines []string
	}{
		{"the instruction can't be written", "insn", errno.EPERM, []string{"ftrace faulted on writing ", "Setting ftrace call site to call ftrace function"}},
		{"the literal can't be written", "word", errno.EFAULT, []string{"ftrace faulted on modifying "}},
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
					return errno.EFAULT
				}
				return nil
			}
			err := k.Register(o)
			require.ErrorIs(t, err, errno.ENODEV)
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
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	ip := image.Sites()[3].IP
	require.NoError(t, k.Mem.Store32(ip-insnSize, 0xd65f03c0))
	_, err = New(k, nil)
	require.ErrorIs(t, err, errno.EINVAL)
	var bug *BugError
	require.ErrorAs(t, err, &bug)
	assert.Equal(t, ip, bug.IP)
	assert.Contains(t, bug.Report, "Initializing ftrace call sites")
	assert.ErrorContains(t, err, "found ret")
}

func TestNew_RefusesATrampolineOutOfBranchRange(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	code, err := trampolines.Install(k, &trampolines.Options{CallOps: true, Far: true})
	require.NoError(t, err)
	before, err := k.Mem.Load64(image.Sites()[0].Literal)
	require.NoError(t, err)

	_, err = New(k, &Options{Code: code})
	require.ErrorIs(t, err, errno.EINVAL)
	require.ErrorIs(t, err, asm.ErrRange)
	assert.ErrorContains(t, err, "tracee_relevant+0x4/0x18 can't call ftrace_caller")
	after, err := k.Mem.Load64(image.Sites()[0].Literal)
	require.NoError(t, err)
	assert.Equal(t, before, after, "no site has been touched")
}

func TestKill_EnabledSitesGoOnCalling(t *testing.T) {
	k := bootIdle(t, nil, nil)
	k.register(k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant"))
	before := k.site("tracee_relevant")
	k.kill()
	assert.Equal(t, before, k.site("tracee_relevant"))
}

func TestBugError_Unwraps(t *testing.T) {
	err := fmt.Errorf("ftrace: %w", &BugError{Err: errno.EPERM})
	assert.True(t, errors.Is(err, errno.EPERM))
}

// Each profile's report has the columns that its kernel prints.
func TestBug_ReportColumnsFollowTheProfile(t *testing.T) {
	for profile, want := range map[kernelimage.Profile]string{
		kernelimage.Profile612: " (1)   O\n",
		kernelimage.ProfileV3:  " (1)   O\n",
		kernelimage.Profile61:  " (1)  \n",
	} {
		k := bootIdle(t, &kernelimage.BuiltinOptions{Profile: profile}, nil)
		require.NoError(t, k.k.Mem.Store32(k.Location(k.fn("fib")), 0xd4210000))
		err := k.Register(k.ops("o", k.code.OpsFuncNop, 0, "fib"))
		var bug *BugError
		require.ErrorAs(t, err, &bug)
		assert.Contains(t, bug.Report, want, profile)
	}
}

// Whatever meets a site that can't be patched reports it.
func TestBug_IsReportedByTheOperationThatMeetsIt(t *testing.T) {
	tests := map[string]func(k *testKernel, o *Ops) error{
		"filter":     func(k *testKernel, o *Ops) error { return k.SetFilter(o, "gcd", &FilterOptions{Reset: true}) },
		"notrace":    func(k *testKernel, o *Ops) error { return k.SetNotrace(o, "fib", &FilterOptions{Reset: true}) },
		"off":        func(k *testKernel, _ *Ops) error { return k.SetEnabled(0) },
		"unregister": func(k *testKernel, o *Ops) error { return k.Unregister(o) },
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			k := bootIdle(t, nil, nil)
			o := k.ops("o", k.code.OpsFuncNop, 0, "fib")
			k.register(o)
			require.NoError(t, k.k.Mem.Store32(k.Location(k.fn("fib")), 0xd4210000))
			err := do(k, o)
			assert.True(t, k.Dead())
			for _, err := range []error{err, k.Register(o)} {
				var bug *BugError
				require.ErrorIs(t, err, errno.ENODEV)
				require.ErrorAs(t, err, &bug)
				assert.Contains(t, bug.Report, "ftrace failed to modify")
			}
		})
	}
}

// The site of one of three functions can't be made a NOP, so the other two stay.
func TestBug_LastUnregisterListsTheFlagsThatAreLeft(t *testing.T) {
	var log []string
	k := bootIdle(t, nil, &Options{Printk: func(s string) { log = append(log, s) }})
	o := k.ops("o", k.code.OpsFuncNop, 0, "1")
	for _, index := range []string{"2", "3"} {
		require.NoError(t, k.SetFilter(o, index, nil))
	}
	k.register(o)
	recs := k.Records()
	require.NoError(t, k.k.Mem.Store32(recs[0].IP, 0xd4210000))
	require.ErrorIs(t, k.Unregister(o), errno.ENODEV)
	assert.Equal(t, []string{
		"WARNING: ftrace is disabled",
		"WARNING: no ops is registered, but there are flags left",
		fmt.Sprintf("  %s flags:80300000", k.sym(recs[1].IP)),
		fmt.Sprintf("  %s flags:80300000", k.sym(recs[2].IP)),
	}, log[len(log)-4:])
}

// Linux leaves it to the patching of a site to clear its REGS, and while ftrace
// is switched off nothing is patched. Each way in which an ops with SAVE_REGS can
// leave a site then keeps the flag, and the check at the end fails.
func TestBug_RegsLeftWhileSwitchedOff(t *testing.T) {
	ways := map[string]func(*testKernel, *Ops){
		"unregister": func(*testKernel, *Ops) {},
		"filter": func(k *testKernel, o *Ops) {
			require.NoError(t, k.SetFilter(o, "fib", &FilterOptions{Reset: true}))
			require.NoError(t, k.SetFilter(o, "digit_value", &FilterOptions{Reset: true}))
		},
		"notrace": func(k *testKernel, o *Ops) { require.NoError(t, k.SetNotrace(o, "fib", nil)) },
		"filter ip": func(k *testKernel, o *Ops) {
			require.NoError(t, k.SetFilterIP(o, k.fn("fib"), &FilterOptions{Remove: true}))
		},
	}
	for way, leave := range ways {
		for _, shared := range []bool{false, true} {
			for _, fix := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, shared %v, fixed %v", way, shared, fix), func(t *testing.T) {
					k := bootIdle(t, nil, &Options{FixRegs: fix})
					regs := k.ops("regs", k.code.OpsFuncNop, OpsSaveRegsIfSupported, "fib", "sum8")
					plain := k.ops("plain", k.code.OpsFuncNop, 0, "fib")
					require.NoError(t, k.SetEnabled(0))
					k.register(regs)
					if shared {
						k.register(plain)
					}
					leave(k, regs)
					rec, err := k.record(k.fn("fib"))
					require.NoError(t, err)
					assert.Equal(t, way == "unregister" || !fix, rec.is(RecRegs))
					k.unregister(regs)
					if shared {
						k.unregister(plain)
					}
					require.NoError(t, k.SetEnabled(1))
					last := k.ops("last", k.code.OpsFuncNop, 0, "gcd")
					k.register(last)
					err = k.Unregister(last)
					assert.Equal(t, !fix, errors.Is(err, errno.ENODEV))
					assert.Equal(t, !fix, k.Dead())
				})
			}
		}
	}
}

func TestNew_RefusesTrampolinesOfTheOtherScheme(t *testing.T) {
	for _, callOps := range []bool{false, true} {
		image, err := kernelimage.Builtin(nil)
		require.NoError(t, err)
		k, err := kernel.Boot(image, newIdle, nil)
		require.NoError(t, err)
		defer k.Close()
		code, err := trampolines.Install(k, &trampolines.Options{CallOps: callOps})
		require.NoError(t, err)
		_, err = New(k, &Options{Scheme: schemeOf(!callOps), Code: code})
		assert.ErrorIs(t, err, errno.EINVAL)
		_, err = New(k, &Options{Scheme: schemeOf(callOps), Code: code})
		assert.NoError(t, err)
	}
}

func TestNew_ASecondOneChangesNothing(t *testing.T) {
	for _, noCallOps := range []bool{false, true} {
		k := bootIdle(t, nil, &Options{Scheme: schemeOf(!noCallOps)})
		k.register(k.ops("all", k.code.OpsFuncNop, 0), k.ops("gcd", k.code.OpsFuncNop, 0, "gcd"))
		before, symbols := k.enabledLines(), k.k.Symbols.All()
		_, err := New(k.k, &Options{Scheme: schemeOf(!noCallOps)})
		assert.ErrorIs(t, err, errno.EBUSY)
		assert.NoError(t, k.Validate())
		assert.Equal(t, before, k.enabledLines())
		assert.Equal(t, symbols, k.k.Symbols.All(), "no trampolines were placed")
	}
}

func TestNew_ASiteThatIsNotAsCompiledIsFoundBeforeAnyChanges(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	require.NoError(t, k.Mem.Store32(image.Sites()[3].IP-insnSize, 0))
	text := func() []uint64 {
		first, last := image.Sites()[0].Literal, image.Sites()[len(image.Sites())-1].IP
		words, err := k.Mem.ReadWords(first, int(last-first)/8)
		require.NoError(t, err)
		return words
	}
	before := text()
	_, err = New(k, nil)
	var bug *BugError
	require.ErrorAs(t, err, &bug)
	assert.Equal(t, image.Sites()[3].IP, bug.IP)
	assert.Equal(t, before, text())
}

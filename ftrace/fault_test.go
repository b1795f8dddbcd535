package ftrace

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

func TestFault_KeepUniqueNeverCallsTheSecondOps(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for _, profile := range []kernelimage.Profile{kernelimage.Profile612, kernelimage.ProfileV3} {
			t.Run(string(profile), func(t *testing.T) {
				k := boot(t, &kernelimage.BuiltinOptions{Profile: profile}, &Options{Fault: KeepUnique})
				first := k.ops("first", k.code.OpsFuncCount, 0, "gcd")
				second := k.ops("second", k.code.OpsFuncCount, 0, "gcd")
				require.NoError(t, k.Register(first))
				require.NoError(t, k.Register(second))
				assert.Equal(t, "2 ftrace_caller first", k.site("gcd"))
				k.call("gcd", 10, 15)
				assert.EqualValues(t, 1, k.counter(first))
				assert.Zero(t, k.counter(second))
				assert.Error(t, k.Validate())

				require.NoError(t, k.Unregister(second))
				require.NoError(t, k.Validate())
				require.NoError(t, k.Register(second))
				require.NoError(t, k.Unregister(first))
				assert.Equal(t, "1 ftrace_caller first", k.site("gcd"), "after the first has gone")
				require.NoError(t, k.Unregister(second))
				assert.Equal(t, "0 nop nop", k.site("gcd"))
				require.NoError(t, k.Validate())
			})
		}
	})
}

func TestFault_KeepUniqueTouchesNoOtherSite(t *testing.T) {
	k := bootIdle(t, nil, &Options{Fault: KeepUnique})
	listed := k.ops("listed", k.code.OpsFuncNop, OpsRCU, "fib")
	other := k.ops("other", k.code.OpsFuncNop, 0, "fib")
	alone := k.ops("alone", k.code.OpsFuncNop, 0, "gcd")
	k.register(listed, other, alone)
	assert.Equal(t, "2 ftrace_caller list", k.site("fib"))
	assert.Equal(t, "1 ftrace_caller alone", k.site("gcd"))
	k.unregister(listed)
	assert.Equal(t, "1 ftrace_caller list", k.site("fib"), "as without the fault")
	require.NoError(t, k.SetEnabled(0))
	require.NoError(t, k.SetEnabled(1))
	require.NoError(t, k.Validate())
}

// unalignedMemory notes doublewords stored where memory takes none.
type unalignedMemory struct {
	Memory
	stored map[uint64]uint64
}

func (u *unalignedMemory) Store64(addr, v uint64) error {
	if addr%8 != 0 {
		u.stored[addr] = v
		return nil
	}
	return u.Memory.Store64(addr, v)
}

// With BTI, ip-12 is no multiple of 8.
func TestFault_UnalignedLiteralIsWrittenTwelveBytesBeforeTheSite(t *testing.T) {
	image, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{BTI: true})
	require.NoError(t, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	_, err = New(k, &Options{Fault: UnalignedLiteral})
	require.ErrorIs(t, err, errno.EFAULT, "memory takes no such store")

	mem := &unalignedMemory{LiveMemory(k), map[uint64]uint64{}}
	r, err := New(k, &Options{Fault: UnalignedLiteral, Memory: mem})
	require.NoError(t, err)
	for _, rec := range r.Records() {
		assert.Equal(t, r.code.NopOps, mem.stored[rec.IP-12], r.sym(rec.IP))
	}
	assert.Len(t, mem.stored, len(r.Records()))

	o, err := r.NewOps("o", r.code.OpsFuncNop, nil)
	require.NoError(t, err)
	require.NoError(t, r.Register(o))
	for _, rec := range r.Records() {
		assert.Equal(t, o.Addr(), mem.stored[rec.IP-12], r.sym(rec.IP))
	}
}

func TestFault_RefusedWhereItCanNotBe(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	for _, opts := range []Options{{Scheme: Global, Fault: KeepUnique}, {Fault: numFaults}} {
		_, err := New(k, &opts)
		assert.ErrorIs(t, err, errno.EINVAL, opts.Fault)
	}
	assert.Equal(t, "keep-unique", KeepUnique.String())
	assert.Equal(t, fmt.Sprint("fault ", int(numFaults)), numFaults.String())
}

// A CPU meets an ops without a func while an operation waits for that CPU.
func TestNoFunc_WhileAGracePeriodIsAwaited(t *testing.T) {
	grace := &otherTask{}
	var log []string
	k := bootOn(t, interp.New, nil, &Options{Grace: grace, Printk: func(s string) { log = append(log, s) }})
	broken := k.ops("broken", k.code.OpsFuncNop, 0, "gcd")
	stays := k.ops("stays", k.code.OpsFuncNop, 0, "gcd")
	leaves := k.ops("leaves", k.code.OpsFuncNop, 0, "fib")
	k.register(broken, stays, leaves)
	require.NoError(t, k.k.Mem.Store64(broken.addr+uint64(k.layout.Ops.Func), 0))
	grace.run = func() { assert.EqualValues(t, 5, k.call("gcd", 10, 15)) }

	require.ErrorIs(t, k.Unregister(leaves), errno.ENODEV)
	assert.True(t, k.Dead())
	assert.Len(t, log, 1)
	assert.ErrorIs(t, k.Register(leaves), errno.ENODEV)
	_, err := k.Enabled()
	assert.ErrorIs(t, err, errno.ENODEV)
	assert.ErrorIs(t, k.SetEnabled(1), errno.ENODEV)
}

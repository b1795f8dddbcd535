package ftrace

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
)

// otherTask is GracePeriods under which another task calls a traced function
// and leaves its CPU afterwards.
type otherTask struct{ run func() }

func (o *otherTask) SynchronizeRCUTasksRude() error { return nil }
func (o *otherTask) SynchronizeRCUTasks() error     { o.run(); return nil }
func (o *otherTask) CallRCU(free func())            { free() }
func (o *otherTask) CallRCUTasks(free func())       { free() }

func TestGracePeriod_GoTracersRunWhileOneIsAwaited(t *testing.T) {
	grace := &otherTask{}
	k := bootOn(t, interp.New, nil, &Options{Grace: grace})
	calls := 0
	fn, err := k.GoTracer("tracer", func(uint64, uint64, *Ops, *Regs) { calls++ })
	require.NoError(t, err)
	stays, leaves := k.ops("stays", fn, 0, "fib"), k.ops("leaves", k.code.OpsFuncNop, 0, "fib")
	k.register(stays, leaves)
	grace.run = func() {
		_, err := k.k.CallName(context.Background(), 0, nil, "fib", 1)
		assert.NoError(t, err)
	}
	require.NoError(t, k.Unregister(leaves))
	assert.Equal(t, 1, calls)
}

// What a tracer's end frees, and looking at an ops, don't disturb others.
func TestRegistry_HammerFromSeveralGoroutines(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "fib")
	k.register(o)
	work := []func(){
		func() { k.readers.enter(); k.leaveReader() },
		func() { assert.NoError(t, k.SetFilter(o, "gcd", &FilterOptions{Reset: true})) },
		func() { assert.True(t, o.is(OpsEnabled)); assert.NotZero(t, o.Func()) },
		func() {
			other, err := k.NewOps("other", k.code.OpsFuncNop, nil)
			if assert.NoError(t, err) {
				assert.NoError(t, k.FreeOps(other))
			}
		},
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, do := range work {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			for range 200 {
				do()
			}
		}()
	}
	close(start)
	wg.Wait()
	require.NoError(t, k.Validate())
}

// An ops without a func may be met on any CPU, whatever the Registry does.
func TestNoFunc_HammerFromSeveralGoroutines(t *testing.T) {
	const calls = 200
	lines := 0 // Printk gets one line at a time
	k := bootIdle(t, nil, &Options{Printk: func(string) { lines++ }})
	o := k.ops("o", k.code.OpsFuncNop, 0, "fib")
	work := []func(){
		func() { k.noFunc(o.addr) },
		func() { k.noFunc(o.addr) },
		func() { _ = k.Register(o) },
		func() { _ = k.Unregister(o) },
		func() { _ = k.SetFilter(o, "gcd", &FilterOptions{Reset: true}) },
		func() { _ = k.SetEnabled(0); _ = k.SetEnabled(1) },
		func() { _ = k.enabledLines(); k.Dead() },
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, do := range work {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			for range calls {
				do()
			}
		}()
	}
	close(start)
	wg.Wait()
	assert.True(t, k.Dead())
	assert.GreaterOrEqual(t, lines, 2*calls)
}

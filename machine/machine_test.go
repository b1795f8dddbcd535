package machine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernel/services"
	"callops/machine"
	"callops/sched"
)

const fixtureKo = "../kernelimage/module/testdata/fixture.ko"

var withFtrace = machine.Options(nil)

func newMachine(t *testing.T, cfg *machine.Config) *machine.Machine {
	t.Helper()
	m, err := machine.New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return m
}

func TestNew_TheZeroConfigRunsTheBuiltInKernel(t *testing.T) {
	m := newMachine(t, nil)
	res, err := m.Kernel.CallName(t.Context(), 0, nil, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 12, res.X0)
	assert.Nil(t, m.Ftrace)
	assert.Nil(t, m.Sched)
	require.NoError(t, m.Close())
}

func TestNew_FtraceKnowsTheModules(t *testing.T) {
	m := newMachine(t, &machine.Config{Modules: []string{fixtureKo}, Ftrace: withFtrace})
	assert.Len(t, m.Kernel.Modules(), 1)
	var enabled bytes.Buffer
	for _, rec := range m.Ftrace.Records() {
		enabled.WriteString(m.Kernel.Symbols.Format(rec.IP) + "\n")
	}
	assert.Contains(t, enabled.String(), "fixture_sum+0x4/0x68 [fixture]")
}

func TestNew_SeveralCPUsHaveASchedulerThatGracePeriodsWaitFor(t *testing.T) {
	m := newMachine(t, &machine.Config{CPUs: 2, Ftrace: withFtrace})
	require.NotNil(t, m.Sched)
	fn, err := m.Kernel.Func("fib")
	require.NoError(t, err)
	task, err := m.Sched.Spawn("caller", func(task *sched.Task) error {
		res, err := task.Call(nil, fn, 15)
		assert.EqualValues(t, 610, res.X0)
		return err
	})
	require.NoError(t, err)
	require.NoError(t, task.Wait())
}

func TestNew_InitTextIsFreedUnlessItIsKept(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := kept.Image(t, series)
			m := newMachine(t, &machine.Config{Image: img})
			_, err := m.Kernel.Func("start_kernel")
			require.ErrorIs(t, err, errno.ENOENT)

			kept := newMachine(t, &machine.Config{Image: img, KeepInit: true})
			_, err = kept.Kernel.Func("start_kernel")
			assert.NoError(t, err)
			for _, s := range img.Segments() {
				if s.Name == "rodata" {
					_, err := kept.Kernel.CallName(t.Context(), 0, nil, "memset", s.Addr, 0, 8)
					assert.NoError(t, err, "__ro_after_init data can be written")
					_, err = m.Kernel.CallName(t.Context(), 0, nil, "memset", s.Addr, 0, 8)
					assert.ErrorIs(t, err, errno.EFAULT)
				}
			}
		})
	}
}

func TestNew_AfterAnErrorNothingIsLeft(t *testing.T) {
	broken := errors.New("broken")
	for name, cfg := range map[string]*machine.Config{
		"cpus":    {CPUs: -1},
		"modules": {Modules: []string{"none.ko"}},
		"ftrace":  {Ftrace: func(*kernel.Kernel) (*ftrace.Options, error) { return nil, broken }},
	} {
		m, err := machine.New(context.Background(), cfg)
		assert.Error(t, err, name)
		assert.Nil(t, m, name)
	}
}

func TestEach_RunsOnAllCPUsAtTheSameTime(t *testing.T) {
	for _, cpus := range []int{1, 4} {
		m := newMachine(t, &machine.Config{CPUs: cpus, Ftrace: withFtrace})
		fn, err := m.Kernel.Func("gcd")
		require.NoError(t, err)
		results := make([]emu.Result, cpus)
		require.NoError(t, m.Each(t.Context(), func(c *machine.Caller) (err error) {
			results[c.ID], err = c.Call(nil, fn, 84, 36)
			return err
		}))
		for _, res := range results {
			assert.EqualValues(t, 12, res.X0)
			assert.Equal(t, results[0].Count, res.Count, "however often it was preempted")
		}
		broken := errors.New("broken")
		assert.ErrorIs(t, m.Each(t.Context(), func(c *machine.Caller) error {
			if c.ID == cpus-1 {
				return broken
			}
			return nil
		}), broken)
	}
}

func TestEach_OptionsReachTheCall(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		m := newMachine(t, &machine.Config{CPUs: cpus})
		fn, err := m.Kernel.Func("spin_forever")
		require.NoError(t, err)
		var steps atomic.Uint64
		err = m.Each(t.Context(), func(c *machine.Caller) error {
			_, err := c.Call(&emu.CallOptions{Budget: 100, OnStep: func(emu.CPU, *emu.Regs) { steps.Add(1) }}, fn)
			return err
		})
		assert.ErrorIs(t, err, emu.ErrBudget)
		assert.EqualValues(t, 100*cpus, steps.Load())
	}
}

func TestNew_UnscheduledLeavesTheCPUsToTheCaller(t *testing.T) {
	m := newMachine(t, &machine.Config{CPUs: 2, Unscheduled: true, Ftrace: withFtrace})
	assert.Nil(t, m.Sched)
	assert.Len(t, m.Kernel.CPUs, 2)
	res, err := m.Kernel.CallName(t.Context(), 1, nil, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 12, res.X0)
}

func TestNew_WhatServicesReplaceIsTracedAsBefore(t *testing.T) {
	for _, series := range kernels.All {
		for _, cpus := range []int{1, 2} {
			t.Run(fmt.Sprint(series, " on ", cpus), func(t *testing.T) {
				img := kept.Image(t, series)
				var mu sync.Mutex
				var lines []services.Line
				m := newMachine(t, &machine.Config{Image: img, CPUs: cpus, Ftrace: withFtrace, Printk: func(l services.Line) {
					mu.Lock()
					defer mu.Unlock()
					lines = append(lines, l)
				}})
				var traced atomic.Int64
				gate, err := m.Kernel.Gates.Add("tracer", func(emu.CPU, [8]uint64) (uint64, error) {
					traced.Add(1)
					return 0, nil
				})
				require.NoError(t, err)
				o, err := m.Ftrace.NewOps("replaced", gate, nil)
				require.NoError(t, err)
				for _, r := range m.Services.Replaced() {
					if site, ok := m.Kernel.Site(r.Addr); ok {
						require.NoError(t, m.Ftrace.SetFilterIP(o, site.IP, nil), r.Name)
					}
				}
				require.NoError(t, m.Ftrace.Register(o))

				text, err := m.Kernel.Heap.Alloc("text", 16)
				require.NoError(t, err)
				require.NoError(t, m.Kernel.Mem.Write(text, []byte("\x013on %d\n\x00")))
				require.NoError(t, m.Each(t.Context(), func(c *machine.Caller) error {
					printk, err := m.Kernel.Func("_printk")
					require.NoError(t, err)
					res, err := c.Call(nil, printk, text, uint64(c.ID))
					assert.EqualValues(t, 4, res.X0)
					return err
				}))
				assert.EqualValues(t, cpus, traced.Load(), "vprintk_emit, by each")
				require.Len(t, lines, cpus)
				for _, l := range lines {
					assert.Regexp(t, `^on \d$`, l.Text)
					assert.Equal(t, 3, l.Level)
				}
				replaced := m.Services.Replaced()
				vmap := replaced[slices.IndexFunc(replaced, func(r services.Replaced) bool { return r.Name == "vmap" })]
				err = m.Each(t.Context(), func(c *machine.Caller) error {
					_, err := c.Call(nil, vmap.Addr, 100)
					return err
				})
				assert.ErrorIs(t, err, errno.ENOSYS)
				var none *services.NoAllocatorError
				require.ErrorAs(t, err, &none)
				assert.Equal(t, vmap.Name, none.Func)
				assert.EqualValues(t, 2*cpus, traced.Load(), "the allocator, by each")
				require.NoError(t, m.Ftrace.Unregister(o))
				require.NoError(t, m.Ftrace.Validate())
			})
		}
	}
}

// Tasks that allocate and free at the same time get objects of their own.
func TestEach_TasksShareTheAllocator(t *testing.T) {
	img := kept.Image(t, kernels.Linux612)
	m := newMachine(t, &machine.Config{Image: img, CPUs: 3})
	text, err := m.Kernel.Heap.Alloc("text", 16)
	require.NoError(t, err)
	require.NoError(t, m.Kernel.Mem.Write(text, []byte("hello")))
	kstrdup, err := m.Kernel.Func("kstrdup")
	require.NoError(t, err)
	kfree, err := m.Kernel.Func("kfree")
	require.NoError(t, err)
	var mu sync.Mutex
	live := make(map[uint64]bool)
	require.NoError(t, m.Each(t.Context(), func(c *machine.Caller) error {
		for range 100 {
			res, err := c.Call(nil, kstrdup, text, 0xcc0)
			if err != nil {
				return err
			}
			mu.Lock()
			assert.False(t, live[res.X0])
			live[res.X0] = true
			mu.Unlock()
			s, err := m.Kernel.Mem.ReadString(res.X0, 16)
			assert.Equal(t, "hello", s)
			if err != nil {
				return err
			}
			mu.Lock()
			delete(live, res.X0)
			mu.Unlock()
			if _, err := c.Call(nil, kfree, res.X0); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestClose_WhatIsAskedAfterwardsIsAnError(t *testing.T) {
	for _, cpus := range []int{1, 2} {
		m, err := machine.New(t.Context(), &machine.Config{CPUs: cpus, Ftrace: withFtrace})
		require.NoError(t, err)
		require.NoError(t, m.Close())
		require.NoError(t, m.Close())
		assert.ErrorIs(t, m.Each(t.Context(), func(c *machine.Caller) error { _, err := c.Call(nil, 0); return err }), os.ErrClosed)
		_, err = m.Kernel.CallName(t.Context(), 0, nil, "gcd", 4, 2)
		assert.ErrorIs(t, err, os.ErrClosed)
	}
	var none *machine.Machine
	assert.NoError(t, none.Close())
	assert.ErrorIs(t, none.Each(t.Context(), nil), errno.EINVAL)
	assert.ErrorIs(t, newMachine(t, &machine.Config{CPUs: 2}).Each(t.Context(), nil), errno.EINVAL)
}

func TestNew_ASchedulersCPUsAreNotCalledOn(t *testing.T) {
	m := newMachine(t, &machine.Config{CPUs: 2})
	_, err := m.Kernel.CallName(t.Context(), 0, nil, "gcd", 4, 2)
	assert.ErrorIs(t, err, errno.EBUSY)
}

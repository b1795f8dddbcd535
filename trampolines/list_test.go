package trampolines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/kernelimage"
)

const (
	stub = 1 << opsStubBit
	rcu  = 1 << opsRCUBit
	mod  = 1 << hashModBit
)

// recorder is a tracer that notes which ops it was called for.
type recorder struct {
	fn     uint64
	called []uint64
}

func (m *machine) recorder() *recorder {
	m.t.Helper()
	r := &recorder{}
	r.fn = m.goTracer(func(_ emu.CPU, _, _, ops, _ uint64) { r.called = append(r.called, ops) })
	return r
}

func (r *recorder) take() []uint64 {
	called := r.called
	r.called = nil
	return called
}

func TestList_CallsNewestFirstWithAllArguments(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		var got [][4]uint64
		fn := m.goTracer(func(cpu emu.CPU, ip, parent, ops, fregs uint64) {
			got = append(got, [4]uint64{ip, parent, ops, fregs})
			assert.Zero(t, cpu.Regs().SP%16)
		})
		var ops []uint64
		for range 3 {
			ops = append(ops, m.newOps(opsSpec{fn: fn}))
		}
		m.register(ops...)
		m.enable("dump", m.c.ListOps)
		m.requireUntouched(m.mustCall("dump"))

		fregs := m.k.CPUs[0].StackTop - 144
		var want [][4]uint64
		for _, op := range ops {
			want = append(want, [4]uint64{m.site("dump"), emu.ReturnGate, op, fregs})
		}
		assert.Equal(t, want, got)
		m.requireIdle()
	})
}

func TestList_BacktraceShowsEveryFrame(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		var trace []uint64
		m.register(m.newOps(opsSpec{fn: m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) {
			trace = m.k.Backtrace(0)
		})}))
		m.enable("dump", m.c.ListOps)
		m.mustCall("dump")
		var names []string
		for _, pc := range trace[1:] {
			sym, _, _ := m.k.Symbols.At(pc)
			names = append(names, sym.Name)
		}
		assert.Equal(t, []string{"arch_ftrace_ops_list_func", "ftrace_caller", "dump", ""}, names)
	})
}

func TestList_SkipsByFlags(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		r := m.recorder()
		plain := m.newOps(opsSpec{fn: r.fn})
		stubbed := m.newOps(opsSpec{fn: r.fn, flags: stub})
		wantsRCU := m.newOps(opsSpec{fn: r.fn, flags: rcu})
		both := m.newOps(opsSpec{fn: r.fn, flags: rcu | stub})
		m.register(stubbed, wantsRCU, both, plain)
		state := m.k.CPUs[0].PerCPU + uint64(m.l.PerCPU.ContextState)
		for _, v := range []struct {
			state uint32
			want  []uint64
		}{
			{4, []uint64{wantsRCU, plain}},
			{0, []uint64{plain}},
			{3, []uint64{plain}},                // in guest mode: state bits alone
			{8, []uint64{plain}},                // an even counter
			{12 | 1, []uint64{wantsRCU, plain}}, // an odd one
		} {
			m.put32(state, v.state)
			m.callList(0x1000)
			assert.Equal(t, v.want, r.take(), "context_tracking.state %d", v.state)
		}
		m.requireIdle()
	})
}

func TestList_EmptyList(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		m.callList(0x1000)
		m.requireIdle()
	})
}

// TestList_Hashes compares the walk with hash_contains_ip on every shape of a
// filter and a notrace hash.
func TestList_Hashes(t *testing.T) {
	const ip, otherIP = 0xffff_8000_8012_3458, 0xffff_8000_8012_3460
	type shape struct {
		name       string
		make       func(m *machine) uint64
		empty, has bool
	}
	shapes := []shape{
		{"none", func(*machine) uint64 { return 0 }, true, false},
		{"EMPTY_HASH", func(m *machine) uint64 { return m.c.EmptyHash }, true, false},
		{"no entries", func(m *machine) uint64 { return m.newHash(3, 0) }, true, false},
		{"no entries but FL_MOD", func(m *machine) uint64 { return m.newHash(0, mod) }, false, false},
		{"no entries but FL_MOD, 8 buckets", func(m *machine) uint64 { return m.newHash(3, mod) }, false, false},
		{"ip", func(m *machine) uint64 { return m.newHash(0, 0, ip) }, false, true},
		{"ip and FL_MOD", func(m *machine) uint64 { return m.newHash(1, mod, ip) }, false, true},
		{"another", func(m *machine) uint64 { return m.newHash(0, 0, otherIP) }, false, false},
		{"stale", func(m *machine) uint64 { return m.newHash(0, 0, 0) }, false, false},
		{"chain with ip last", func(m *machine) uint64 { return m.newHash(0, 0, ip, 1, 2, 3) }, false, true},
		{"chain without ip", func(m *machine) uint64 { return m.newHash(0, 0, otherIP, 1, 2, 3) }, false, false},
	}
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		r := m.recorder()
		for _, filter := range shapes {
			for _, notrace := range shapes {
				t.Run(filter.name+"/"+notrace.name, func(t *testing.T) {
					m.register(m.newOps(opsSpec{fn: r.fn, filter: filter.make(m), notrace: notrace.make(m)}))
					m.callList(ip)
					want := (filter.empty || filter.has) && (notrace.empty || !notrace.has)
					assert.Equal(t, want, len(r.take()) == 1)
				})
			}
		}
	})
}

func TestList_HashOfEverySize(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		r := m.recorder()
		rng := rand.New(rand.NewPCG(1, 2))
		randomIP := func() uint64 { return 0xffff_8000_8000_0000 + rng.Uint64N(1<<24)&^3 }
		for bits := 0; bits <= 12; bits++ {
			t.Run(fmt.Sprintf("bits %d", bits), func(t *testing.T) {
				// Two entries to a bucket on average, and one bucket with five.
				in := map[uint64]bool{}
				for len(in) < min(2<<bits, 512) {
					in[randomIP()] = true
				}
				for crowd := bucketOf(0xffff_8000_8000_0100, bits); ; {
					n := 0
					for ip := range in {
						if bucketOf(ip, bits) == crowd {
							n++
						}
					}
					if n >= 5 {
						break
					}
					if ip := randomIP(); bucketOf(ip, bits) == crowd {
						in[ip] = true
					}
				}
				var ips []uint64
				for ip := range in {
					ips = append(ips, ip)
				}
				m.register(m.newOps(opsSpec{fn: r.fn, filter: m.newHash(bits, 0, ips...)}))
				for i, ip := range ips[:min(len(ips), 40)] {
					m.callList(ip)
					assert.Len(t, r.take(), 1, "entry %d, %#x", i, ip)
				}
				for range 40 {
					ip := randomIP()
					m.callList(ip)
					assert.Equal(t, in[ip], len(r.take()) == 1, "%#x", ip)
				}
			})
		}
	})
}

func TestList_OpsWithoutFunc(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		t.Run("fails the call", func(t *testing.T) {
			m := bootCallOps(t, newEngine)
			m.register(m.newOps(opsSpec{}))
			_, err := m.k.Call(context.Background(), 0, nil, m.c.ListFunc, 1, 2, 3, 4)
			assert.True(t, errors.Is(err, ErrNoFunc), "%v", err)
			m.requireIdle()
		})
		t.Run("is reported and ends the walk", func(t *testing.T) {
			var warned []uint64
			m := boot(t, newEngine, bootOptions{Options: Options{CallOps: true, Warn: func(op uint64) { warned = append(warned, op) }}})
			r := m.recorder()
			first, bad, last := m.newOps(opsSpec{fn: r.fn}), m.newOps(opsSpec{}), m.newOps(opsSpec{fn: r.fn})
			m.register(first, bad, last)
			m.callList(0x1000)
			assert.Equal(t, []uint64{first}, r.take())
			assert.Equal(t, []uint64{bad}, warned)
			m.requireIdle()
		})
	})
}

// v3 and 6.1 have a smaller struct ftrace_ops; the list function is the same.
func TestList_OtherProfiles(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, profile := range []kernelimage.Profile{kernelimage.ProfileV3, kernelimage.Profile61} {
			t.Run(string(profile), func(t *testing.T) {
				m := boot(t, newEngine, bootOptions{profile: profile})
				require.Zero(t, m.c.CallDirectFuncs)
				require.Zero(t, m.c.StubDirectTramp)
				r := m.recorder()
				m.register(m.newOps(opsSpec{fn: r.fn}), m.newOps(opsSpec{fn: r.fn, filter: m.newHash(0, 0, 1)}))
				m.attachOps("dump", m.c.ListEnd, m.c.ListFunc)
				m.requireUntouched(m.mustCall("dump"))
				assert.Len(t, r.take(), 1)
				m.requireIdle()
			})
		}
	})
}

func TestAssist_TestsNeitherHashesNorStub(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := boot(t, newEngine, bootOptions{})
		r := m.recorder()
		op := m.newOps(opsSpec{fn: r.fn, flags: stub, filter: m.newHash(0, mod)})
		m.attachOps("dump", op, m.c.AssistFunc)
		call := func() {
			t.Helper()
			m.requireUntouched(m.mustCall("dump"))
		}
		call()
		assert.Equal(t, []uint64{op}, r.take())
		m.requireIdle()

		state := m.k.CPUs[0].PerCPU + uint64(m.l.PerCPU.ContextState)
		m.put64(op+uint64(m.l.Ops.Flags), rcu)
		call()
		assert.Equal(t, []uint64{op}, r.take(), "RCU is watching")
		m.put32(state, 0)
		call()
		assert.Empty(t, r.take(), "RCU is not watching")
		m.requireIdle()
	})
}

// Distributions' kernels have per-CPU variables further off than a load's
// immediate reaches, and no ring.
func TestList_OtherPerCPULayout(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		builtin, err := kernelimage.Builtin(nil)
		require.NoError(t, err)
		img := builtin.Parts()
		img.Layout.PerCPU = kernelimage.PerCPULayout{Size: 0x8000, ContextState: 0x6004, RingBuffer: kernelimage.Absent}
		m := bootImage(t, newEngine, kernelimage.New(img), bootOptions{Options: Options{CallOps: true}})
		r := m.recorder()
		m.register(m.newOps(opsSpec{fn: r.fn, flags: rcu}))
		m.callList(1)
		assert.Len(t, r.take(), 1)
		m.put32(m.k.CPUs[0].PerCPU+0x6004, 0)
		m.callList(1)
		assert.Empty(t, r.take())

		assert.Zero(t, m.c.FunctionTracer)
	})
}

package trampolines

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// forFaults runs a test on both variants of the caller that can have a fault.
func forFaults(t *testing.T, fault Fault, f func(t *testing.T, m *machine)) {
	t.Helper()
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, profile := range []kernelimage.Profile{kernelimage.Profile612, kernelimage.ProfileV3} {
			t.Run(string(profile), func(t *testing.T) {
				f(t, boot(t, newEngine, bootOptions{Options: Options{CallOps: true, Fault: fault}, profile: profile}))
			})
		}
	})
}

// swapped calls dump with ops a in its literal, puts b there after the nth
// load of the literal, and returns whose func was called and which ops it got.
// ok is false where there is no nth load.
func (m *machine) swapped(n int) (got string, ok bool) {
	m.t.Helper()
	var a, b uint64
	names := map[bool]string{true: "a", false: "b"}
	tracer := func(name string) uint64 {
		return m.goTracer(func(_ emu.CPU, _, _, ops, _ uint64) {
			got = "func of " + name + ", ops " + names[ops == a]
		})
	}
	a, b = m.newOps(opsSpec{fn: tracer("a")}), m.newOps(opsSpec{fn: tracer("b")})
	m.enable("dump", a)
	literal := (m.site("dump") - 12) &^ 7
	_, _, err := m.call("dump", &emu.CallOptions{OnStep: func(_ emu.CPU, before *emu.Regs) {
		if before.PC < m.c.Caller || before.PC >= m.c.CallerEnd || !m.loadsLiteral(before) {
			return
		}
		if n--; n == 0 {
			m.put64(literal, b)
			ok = true
		}
	}})
	require.NoError(m.t, err)
	return got, ok
}

// loadsLiteral reports whether the instruction at PC is LDR Xt, [Xn, #-16].
func (m *machine) loadsLiteral(before *emu.Regs) bool {
	m.t.Helper()
	w, err := m.k.Mem.Load32(before.PC)
	require.NoError(m.t, err)
	return w&^(31<<5|31) == 0xf85f0000
}

func TestFault_LiteralChangesBetweenItsLoads(t *testing.T) {
	const aa, ab, bb = "func of a, ops a", "func of a, ops b", "func of b, ops b"
	for fault, want := range map[Fault]map[kernelimage.Profile][]string{
		NoFault: {kernelimage.Profile612: {aa}, kernelimage.ProfileV3: {aa}},
		// direct_call comes from the first load, too.
		LoadLiteralTwice: {kernelimage.Profile612: {ab, aa}, kernelimage.ProfileV3: {ab, aa}},
		// Only direct_call comes from the first.
		LoadFuncFirst: {kernelimage.Profile612: {bb, ab, aa}, kernelimage.ProfileV3: {ab, aa}},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			forFaults(t, fault, func(t *testing.T, m *machine) {
				var got []string
				for n := 1; ; n++ {
					pair, ok := m.swapped(n)
					if !ok {
						break
					}
					got = append(got, pair)
				}
				assert.Equal(t, want[m.k.Image.Profile()], got)
				m.requireUntouched(m.mustCall("dump"))
			})
		})
	}
}

func TestFault_RegisterIsLost(t *testing.T) {
	for fault, reg := range map[Fault]int{LoseX8: 8, LoseX18: 18} {
		t.Run(fault.String(), func(t *testing.T) {
			forFaults(t, fault, func(t *testing.T, m *machine) {
				calls := 0
				m.attach("dump", m.goTracer(func(emu.CPU, uint64, uint64, uint64, uint64) { calls++ }))
				dump := m.mustCall("dump")
				assert.Equal(t, 1, calls)
				assert.NotEqual(t, poison(reg), dump[reg])
				dump[reg] = poison(reg)
				m.requireUntouched(dump) // and it is the only one
			})
		})
	}
}

// Of a function that begins with BTI, x30-16 is the middle of the literal.
func TestFault_UnalignedLiteral(t *testing.T) {
	forFaults(t, UnalignedLiteral, func(t *testing.T, m *machine) {
		m.attach("dump", m.c.OpsFuncNop)
		m.requireUntouched(m.mustCall("dump"))

		m.attach("dump_bti", m.c.OpsFuncNop)
		at := m.site("dump_bti") - 12
		require.EqualValues(t, 4, at%8)
		p := make([]byte, 8)
		require.NoError(t, m.k.Mem.Read(at, p))
		ops := binary.LittleEndian.Uint64(p)
		_, _, err := m.call("dump_bti", nil)
		var fault *emu.Fault
		require.ErrorAs(t, err, &fault)
		field := m.l.Ops.DirectCall // what is loaded of the ops first
		if field == kernelimage.Absent {
			field = m.l.Ops.Func
		}
		assert.Equal(t, hex(ops+uint64(field)), hex(fault.Addr))
	})
}

func TestFault_RefusedWhereItCanNotBe(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, engines.All()[0].New, nil)
	require.NoError(t, err)
	defer k.Close()
	for _, opts := range []Options{{Fault: LoseX8}, {CallOps: true, Fault: numFaults}} {
		_, err := Install(k, &opts)
		assert.ErrorIs(t, err, errno.EINVAL, opts.Fault)
	}
	_, err = FromImage(k, &Options{CallOps: true, Fault: LoseX8})
	assert.ErrorIs(t, err, errno.EINVAL)
}

func TestFault_HasAName(t *testing.T) {
	seen := map[string]bool{}
	for f := range numFaults {
		assert.NotEmpty(t, f.String())
		assert.False(t, seen[f.String()], f.String())
		assert.False(t, strings.ContainsAny(f.String(), " \t"), f.String())
		seen[f.String()] = true
	}
	assert.Equal(t, fmt.Sprint("fault ", int(numFaults)), numFaults.String())
}

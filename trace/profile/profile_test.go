package profile

import (
	"bytes"
	"strings"
	"testing"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/kernelimage"
	"callops/trace"
)

// Functions of the tests, and words of instructions.
const (
	a, b, c = 0x1000, 0x2000, 0x3000
	gate    = 0x9000

	nop = 0xd503201f
	bl  = 0x94000000
	blr = 0xd63f0080
	br  = 0xd61f0220
	ret = 0xd65f03c0
	jmp = 0x14000000
)

var names = NewNames([]kernelimage.Symbol{
	{Name: "a", Addr: a, Func: true, Size: 0x100},
	{Name: "data", Addr: a + 8},
	{Name: "b", Addr: b, Func: true},
	{Name: "also b", Addr: b, Func: true},
	{Name: "c", Addr: c, Func: true, Size: 0x100},
	{Name: "gate;", Addr: gate, Func: true},
})

func folded(t *testing.T, p *Profile) string {
	t.Helper()
	var sb strings.Builder
	require.NoError(t, p.WriteFolded(&sb))
	return sb.String()
}

type step struct {
	pc   uint64
	word uint32
	next uint64
}

func TestNames_EndWhereTheNextBegins(t *testing.T) {
	for addr, want := range map[uint64]string{a - 1: "0xfff", a: "a", a + 0xff: "a", a + 0x100: "0x1100", b: "b", c - 1: "b", c: "c", 1 << 60: "gate;"} {
		name, start, end := names(addr)
		assert.Equal(t, want, name, "%#x", addr)
		if end != 0 {
			assert.True(t, start <= addr && addr < end)
		}
	}
}

func TestCounter_FollowsCalls(t *testing.T) {
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"a call":                    {[]step{{a, bl, b}, {b, nop, b + 4}, {b + 4, ret, a + 4}, {a + 4, ret, emu.ReturnGate}}, "a 2\na;b 2\n"},
		"by a register":             {[]step{{a, blr, b}, {b, ret, a + 4}, {a + 4, nop, a + 8}}, "a 2\na;b 1\n"},
		"a tail call":               {[]step{{a, bl, b}, {b, jmp, c}, {c, ret, a + 4}, {a + 4, nop, a + 8}}, "a 2\na;b 1\na;c 1\n"},
		"a tail call by a register": {[]step{{a, bl, b}, {b, br, c}, {c, ret, a + 4}, {a + 4, nop, a + 8}}, "a 2\na;b 1\na;c 1\n"},
		// The function tracer returns to the site by another register than x30.
		"a return by BR":         {[]step{{a, bl, b}, {b, br, a + 4}, {a + 4, nop, a + 8}}, "a 2\na;b 1\n"},
		"recursion":              {[]step{{a, bl, a}, {a, bl, a}, {a, nop, a + 4}, {a + 4, ret, a + 4}, {a + 4, ret, a + 4}, {a + 4, ret, emu.ReturnGate}}, "a 2\na;a 2\na;a;a 2\n"},
		"Go code is called":      {[]step{{a, bl, gate}, {a + 4, nop, a + 8}}, "a 2\n"},
		"Go code calls":          {[]step{{a, bl, gate}, {b, ret, emu.ReturnGate}, {a + 4, nop, a + 8}}, "a 2\na;gate_;b 1\n"},
		"one call after another": {[]step{{a, ret, emu.ReturnGate}, {a, ret, emu.ReturnGate}, {b, ret, emu.ReturnGate}}, "a 2\nb 1\n"},
		"frames are skipped":     {[]step{{a, bl, b}, {b, bl, c}, {c, br, a + 4}, {a + 4, nop, a + 8}}, "a 2\na;b 1\na;b;c 1\n"},
		"what has no name":       {[]step{{a, bl, 0x10}, {0x10, nop, 0x14}, {0x14, ret, a + 4}, {a + 4, nop, a + 8}}, "a 2\na;0x10 1\na;0x14 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			counter := NewCounter(2, names)
			for _, s := range c.steps {
				counter.Step(1, s.pc, s.word, s.next)
			}
			assert.Equal(t, c.want, folded(t, counter.Profile()))
		})
	}
}

func TestCounter_BoundsTheStack(t *testing.T) {
	counter := NewCounter(1, names)
	const n = maxFrames * 3
	for range n {
		counter.Step(0, a, bl, a)
	}
	total := uint64(0)
	depth := 0
	counter.Profile().root.each(func(n *node) {
		depth++
		for _, c := range n.counts {
			total += c
		}
	})
	assert.EqualValues(t, n, total)
	assert.LessOrEqual(t, depth, maxFrames)
}

func TestFromGraph_CountsBetweenEvents(t *testing.T) {
	const first, second = 7, 8
	r := &trace.Recording{CPUs: 2, Events: []trace.Event{
		{Kind: trace.KindGraphEntry, PID: first, Time: 100, IP: a + 4},
		{Kind: trace.KindGraphEntry, PID: first, Time: 110, IP: b, ParentIP: a + 16},
		{Kind: trace.KindSwitch, PID: first, Next: second, Time: 115},
		{Kind: trace.KindGraphEntry, PID: second, Time: 120, IP: c},
		{Kind: trace.KindSwitch, PID: second, Next: first, Time: 150},
		{Kind: trace.KindGraphReturn, PID: first, Time: 153, IP: b},
		{Kind: trace.KindGraphEntry, PID: first, Time: 160, IP: c, ParentIP: b + 4}, // b is not traced now
		{Kind: trace.KindGraphReturn, PID: first, Time: 1160, IP: a},                // c's return was lost
		{Kind: trace.KindGraphReturn, PID: first, Time: 1200, IP: a},
	}}
	p := FromGraph(r, names)
	assert.Equal(t, "a 17\na;b 8\na;c 1000\nc 30\n", folded(t, p))
	p.root.each(func(n *node) {
		if n.fn == b {
			assert.EqualValues(t, a+16, n.call)
		}
		if n.fn == c {
			assert.Zero(t, n.call, "the caller is not the function above")
		}
	})
}

func TestWritePprof_HasEveryInstruction(t *testing.T) {
	counter := NewCounter(1, names)
	for _, s := range []step{{a, bl, b}, {b, nop, b + 4}, {b + 4, jmp, b + 4}, {b + 4, ret, a + 4}, {a + 4, ret, emu.ReturnGate}} {
		counter.Step(0, s.pc, s.word, s.next)
	}
	var buf bytes.Buffer
	require.NoError(t, counter.Profile().WritePprof(&buf, "an image", nil))
	p, err := pprof.Parse(&buf)
	require.NoError(t, err)
	got := map[string]int64{}
	for _, s := range p.Sample {
		var stack []string
		for _, l := range s.Location {
			stack = append(stack, l.Line[0].Function.Name)
		}
		got[strings.Join(stack, "<")] += s.Value[0]
	}
	assert.Equal(t, map[string]int64{"a": 2, "b<a": 3}, got)
	assert.Equal(t, "an image", p.Mapping[0].File)
}

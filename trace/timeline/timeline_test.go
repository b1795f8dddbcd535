package timeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/trace"
)

var names = Names{
	Function: func(addr uint64) string { return fmt.Sprintf("f%d", addr) },
	Place:    func(addr uint64) string { return map[uint64]string{1: "f1+0x4"}[addr] },
}

var recorded = &trace.Recording{
	CPUs: 2, Lost: []uint64{0, 12}, Tasks: map[uint32]string{7: "sh"},
	Events: []trace.Event{
		{Kind: trace.KindPatch, PID: 7, Time: 0, IP: 5, Text: "literal of f5: a -> b"},
		{Kind: trace.KindGraphEntry, PID: 7, Time: 10, IP: 1, Args: &[8]uint64{16}},
		{Kind: trace.KindFunction, CPU: 1, PID: 8, Time: 11, IP: 2, ParentIP: 3},
		{Kind: trace.KindInsn, PID: 7, Time: 12, IP: 1, Value: 0xd65f03c0, Text: "ret"},
		{Kind: trace.KindInsn, PID: 7, Time: 13, IP: 4, Text: "nop"},
		{Kind: trace.KindPrintk, PID: 7, Time: 14, Text: "a \xff line"},
		{Kind: trace.KindGraphReturn, PID: 7, Time: 1520, IP: 1, Start: 10, Value: 255},
		{Kind: trace.KindSwitch, PID: 7, Next: 9, Time: 1530},
		{Kind: trace.KindFunction, PID: 9, Time: 1531, IP: 2},
	},
}

func lines(t *Timeline) (list []string) {
	for e := range t.Events {
		s := fmt.Sprintf("%d %c %d", e.Track, "BEi"[e.Phase], e.Time)
		if e.Phase != End {
			s += " " + e.Name + " (" + e.Category + ")"
		}
		for _, a := range e.Args {
			s += " " + a.Name + "=" + a.Value
		}
		list = append(list, s)
	}
	return list
}

func TestNew_LaysOutEveryKind(t *testing.T) {
	tl := New(recorded, names)
	assert.Equal(t, []Track{{"CPU 0", -1}, {"CPU 1", -1}, {"patcher", -1}, {"sh 7", 0}, {"task 8", 1}, {"task 9", 0}}, tl.Tracks)
	got := lines(tl)
	for i := range got {
		got[i] = strings.Replace(got[i], " x1=0x0 x2=0x0 x3=0x0 x4=0x0 x5=0x0 x6=0x0 x7=0x0", " …", 1)
	}
	want := []string{
		"0 B 0 sh 7 (sched)",
		"1 B 0 task 8 (sched)",
		"1 i 0 CPU:1 [LOST 12 EVENTS] (lost)",
		"2 i 0 literal of f5 (patch) change=a -> b address=0x5",
		"3 B 10 f1 (function_graph) x0=0x10 …",
		"4 i 11 f2 (function) caller=f3",
		"3 i 12 f1+0x4 (insn) instruction=ret word=d65f03c0",
		"3 i 13 0x4 (insn) instruction=nop word=00000000",
		"3 i 14 a ? line (printk)",
		"3 E 1520 x0=0xff",
		"0 E 1530",
		"0 B 1530 task 9 (sched)",
		"5 i 1531 f2 (function) caller=f0",
		"0 E 1532",
		"1 E 12",
	}
	assert.Equal(t, want, got)
	assert.Equal(t, len(want), len(lines(tl)), "again")
}

func TestNew_SlicesNestWhateverWasLost(t *testing.T) {
	r := &trace.Recording{CPUs: 1, Events: []trace.Event{
		{Kind: trace.KindPatch, Text: "a: b -> c"},
		{Kind: trace.KindGraphReturn, PID: 7, Time: 5, IP: 1},
		{Kind: trace.KindGraphEntry, PID: 7, Time: 6, IP: 2},
		{Kind: trace.KindGraphEntry, PID: 7, Time: 7, IP: 3},
	}}
	assert.Equal(t, []string{
		"0 B 0 task 0 (sched)",
		"1 i 0 a (patch) change=b -> c address=0x0",
		"2 B 6 f2 (function_graph)", "2 B 7 f3 (function_graph)",
		"2 E 8", "2 E 8", "0 E 8",
	}, lines(New(r, names)))
}

// Begin and end, and what is required of each event, are as the Trace Event Format says.
func TestWriteChrome_IsTheTraceEventFormat(t *testing.T) {
	var sb strings.Builder
	require.NoError(t, New(recorded, names).WriteChrome(&sb))
	var file struct {
		DisplayTimeUnit string
		TraceEvents     []struct {
			Name, Cat, Ph, S string
			TS               float64
			PID, TID         int
			Args             map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(sb.String()), &file))
	assert.Equal(t, "ns", file.DisplayTimeUnit)
	threads, open := map[string]int{}, map[int]int{}
	for _, e := range file.TraceEvents {
		switch e.Ph {
		case "M":
			if e.Name == "thread_name" {
				threads[e.Args["name"]] = e.PID*100 + e.TID
			}
		case "B":
			assert.NotEmpty(t, e.Name)
			open[e.TID]++
		case "E":
			open[e.TID]--
			assert.GreaterOrEqual(t, open[e.TID], 0)
		case "i":
			assert.Equal(t, "t", e.S)
		default:
			t.Errorf("phase %q", e.Ph)
		}
		if e.Args["x0"] == "0xff" {
			assert.InDelta(t, 1.52, e.TS, 1e-9, "microseconds")
		}
	}
	for tid, n := range open {
		assert.Zero(t, n, "thread %d", tid)
	}
	assert.Equal(t, map[string]int{"CPU 0": 101, "CPU 1": 202, "patcher": 303, "sh 7": 104, "task 8": 205, "task 9": 106}, threads)
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteChrome_TellsOfAFailedWrite(t *testing.T) {
	assert.ErrorIs(t, New(recorded, names).WriteChrome(full{}), errFull)
}

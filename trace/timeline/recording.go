package timeline

import (
	"cmp"
	"fmt"
	"strings"

	"callops/trace"
)

// The categories of what is recorded, as viewers filter by them.
const (
	catFunction = "function"
	catGraph    = "function_graph"
	catPatch    = "patch"
	catInsn     = "insn"
	catPrintk   = "printk"
	catSched    = "sched"
	catLost     = "lost"
)

// Names resolves addresses.
type Names struct {
	Function func(addr uint64) string // a function
	Place    func(addr uint64) string // symbol+offset; "" where there is none
}

// New lays out a recording.
func New(r *trace.Recording, names Names) *Timeline {
	l := &layout{r: r, names: names, tasks: make(map[cpuTask]int), running: make([]uint32, r.CPUs)}
	l.addTracks()
	return &Timeline{Tracks: l.tracks, Events: l.events}
}

// cpuTask is a task on a CPU: one that moves has a track on each.
type cpuTask struct{ cpu, pid uint32 }

type layout struct {
	r       *trace.Recording
	names   Names
	tracks  []Track // the CPUs first
	tasks   map[cpuTask]int
	patcher int
	running []uint32 // task of each CPU in the beginning
}

func (l *layout) addTracks() {
	for cpu := range l.r.CPUs {
		l.tracks = append(l.tracks, Track{Name: fmt.Sprintf("CPU %d", cpu), Parent: -1})
	}
	l.patcher = -1
	begun := make([]bool, l.r.CPUs)
	for i := range l.r.Events {
		e := &l.r.Events[i]
		if !begun[e.CPU] {
			l.running[e.CPU], begun[e.CPU] = e.PID, true
		}
		if e.Kind == trace.KindPatch && l.patcher < 0 {
			l.patcher = l.track(Track{Name: "patcher", Parent: -1})
		}
		if key := (cpuTask{e.CPU, e.PID}); e.Kind != trace.KindPatch && e.Kind != trace.KindSwitch {
			if _, ok := l.tasks[key]; !ok {
				l.tasks[key] = l.track(Track{Name: l.task(e.PID), Parent: int(e.CPU)})
			}
		}
	}
}

func (l *layout) track(t Track) int {
	l.tracks = append(l.tracks, t)
	return len(l.tracks) - 1
}

// task is the name of a task.
func (l *layout) task(pid uint32) string {
	return fmt.Sprintf("%s %d", cmp.Or(l.r.Tasks[pid], "task"), pid)
}

func (l *layout) events(yield func(Event) bool) {
	last := make([]uint64, l.r.CPUs)
	open := make([]int, len(l.tracks)) // slices of each track
	for cpu, pid := range l.running {
		if !yield(Event{Track: cpu, Phase: Begin, Name: l.task(pid), Category: catSched}) {
			return
		}
		if cpu >= len(l.r.Lost) || l.r.Lost[cpu] == 0 {
			continue
		}
		// As Linux's trace file has it (print_trace_line).
		if !yield(Event{Track: cpu, Phase: Instant, Name: fmt.Sprintf("CPU:%d [LOST %d EVENTS]", cpu, l.r.Lost[cpu]), Category: catLost}) {
			return
		}
	}
	for i := range l.r.Events {
		e := &l.r.Events[i]
		last[e.CPU] = e.Time
		if e.Kind == trace.KindSwitch {
			if !yield(Event{Track: int(e.CPU), Phase: End, Time: e.Time}) ||
				!yield(Event{Track: int(e.CPU), Phase: Begin, Time: e.Time, Name: l.task(e.Next), Category: catSched}) {
				return
			}
			continue
		}
		t := l.event(e)
		switch {
		case t.Phase == Begin:
			open[t.Track]++
		case t.Phase == End && open[t.Track] == 0:
			continue // its begin was lost
		case t.Phase == End:
			open[t.Track]--
		}
		if !yield(t) {
			return
		}
	}
	for track := range l.tracks[l.r.CPUs:] {
		track += l.r.CPUs
		for range open[track] { // what had not returned
			if !yield(Event{Track: track, Phase: End, Time: last[l.tracks[track].Parent] + 1}) {
				return
			}
		}
	}
	for cpu, time := range last {
		if !yield(Event{Track: cpu, Phase: End, Time: time + 1}) {
			return
		}
	}
}

// event is any but a switch of tasks.
func (l *layout) event(e *trace.Event) Event {
	t := Event{Track: l.tasks[cpuTask{e.CPU, e.PID}], Phase: Instant, Time: e.Time}
	switch e.Kind {
	case trace.KindFunction:
		t.Name, t.Category = l.names.Function(e.IP), catFunction
		t.Args = append(t.Args, Arg{"caller", l.names.Function(e.ParentIP)})
	case trace.KindGraphEntry:
		t.Phase, t.Name, t.Category = Begin, l.names.Function(e.IP), catGraph
	case trace.KindGraphReturn:
		t.Phase, t.Args = End, []Arg{{"x0", fmt.Sprintf("%#x", e.Value)}}
	case trace.KindInsn:
		t.Name, t.Category = cmp.Or(l.names.Place(e.IP), fmt.Sprintf("%#x", e.IP)), catInsn
		t.Args = []Arg{{"instruction", e.Text}, {"word", fmt.Sprintf("%08x", e.Value)}}
	case trace.KindPatch:
		where, change, _ := strings.Cut(e.Text, ": ")
		t.Track, t.Name, t.Category = l.patcher, where, catPatch
		t.Args = []Arg{{"change", change}, {"address", fmt.Sprintf("%#x", e.IP)}}
	case trace.KindPrintk:
		t.Name, t.Category = strings.ToValidUTF8(e.Text, "?"), catPrintk
	}
	if e.Args != nil {
		for i, v := range e.Args {
			t.Args = append(t.Args, Arg{fmt.Sprintf("x%d", i), fmt.Sprintf("%#x", v)})
		}
	}
	return t
}

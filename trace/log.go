package trace

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// Log records the events that Go code sees and not a tracer in machine code: stores to
// text, instructions, log lines, switches of tasks. It holds so many; the newest overwrite
// the oldest, as in a ring. Any goroutine may add to it.
type Log struct {
	mu     sync.Mutex
	max    int
	events []Event
	oldest int // index, once events is full
	lost   []uint64
	first  []uint32 // PID of the task that each CPU had in the beginning
	tasks  map[uint32]string
}

// NewLog returns a log of at most max events, of so many CPUs.
func NewLog(cpus, max int) *Log {
	return &Log{max: max, lost: make([]uint64, cpus), first: make([]uint32, cpus), tasks: make(map[uint32]string)}
}

// Add records an event. Those of one CPU have to come in the order of time.
func (l *Log) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) < l.max {
		l.events = append(l.events, e)
		return
	}
	l.lost[l.events[l.oldest].CPU]++
	l.events[l.oldest] = e
	l.oldest = (l.oldest + 1) % l.max
}

// Insn records an instruction.
func (l *Log) Insn(e Insn) {
	l.Add(Event{Kind: KindInsn, CPU: uint32(e.CPU), Time: e.Number, IP: e.Addr, Value: uint64(e.Word), Text: e.Text})
}

// Patch records a store to text.
func (l *Log) Patch(e Patch) {
	l.Add(Event{
		Kind: KindPatch, CPU: uint32(e.CPU), Time: e.Number, IP: e.Addr, Size: uint8(e.Size), Old: e.OldValue, Value: e.Value,
		Text: e.Where + ": " + e.Old + " -> " + e.New,
	})
}

// Begin tells which task a CPU has in the beginning.
func (l *Log) Begin(cpu int, pid uint32, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first[cpu], l.tasks[pid] = pid, name
}

// Switch records that a CPU goes to another task; state is the last one's, 0 where it is
// runnable (TASK_RUNNING).
func (l *Log) Switch(cpu uint32, time uint64, state int32, next uint32, name string) {
	l.mu.Lock()
	l.tasks[next] = name
	l.mu.Unlock()
	l.Add(Event{Kind: KindSwitch, CPU: cpu, Time: time, Next: next, Depth: state})
}

// Merge adds what a log holds, and gives every event that does not say whose it is the task that its CPU had by then.
func (r *Recording) Merge(l *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	logged := slices.Concat(l.events[l.oldest:], l.events[:l.oldest])
	r.CPUs = max(r.CPUs, len(l.lost))
	r.Events = mergeByTime(logged, r.Events)
	lost := make([]uint64, r.CPUs)
	for _, list := range [][]uint64{r.Lost, l.lost} {
		for cpu, n := range list {
			lost[cpu] += n
		}
	}
	r.Lost = lost
	tasks := maps.Clone(l.tasks)
	maps.Copy(tasks, r.Tasks)
	r.Tasks = tasks
	current := append(l.first, make([]uint32, r.CPUs-len(l.first))...)
	for i := range r.Events {
		e := &r.Events[i]
		if e.PID == 0 {
			e.PID = current[e.CPU]
		}
		if e.Kind == KindSwitch {
			current[e.CPU] = e.Next
		}
	}
}

// mergeByTime merges lists into one by time; of events at the same time those of the first
// lists come first. An interrupt may have traced while a tracer took the time: what is out of
// order in a list is put in order.
func mergeByTime(lists ...[]Event) []Event {
	byTime := func(a, b Event) int { return cmp.Compare(a.Time, b.Time) }
	var all []Event
	for _, list := range lists {
		if !slices.IsSortedFunc(list, byTime) {
			slices.SortStableFunc(list, byTime)
		}
		if len(all) == 0 {
			all = list
			continue
		}
		merged := make([]Event, 0, len(all)+len(list))
		for len(all) > 0 && len(list) > 0 {
			if list[0].Time < all[0].Time {
				merged, list = append(merged, list[0]), list[1:]
			} else {
				merged, all = append(merged, all[0]), all[1:]
			}
		}
		all = append(append(merged, all...), list...)
	}
	return all
}

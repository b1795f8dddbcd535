package schedule

import (
	"fmt"
	"slices"

	"callops/board"
	"callops/emu"
	"callops/internal/errno"
	"callops/trace/timeline"
)

// watch is what the host knows of a schedule as it runs, a value: what the threads do, and what the probes have to see.
type watch struct {
	threads []threadState
	probes  []probeState
	left    int  // threads with steps that have not ended
	asleep  int  // threads that have ended
	skipped bool // time has passed since a caller began its last call
	granted uint // CPUs whose thread may go on with its next step: a turn has begun there, which an interrupt may have ended
}

type threadState struct {
	step    int // that it makes; -1: none yet
	ended   bool
	running bool     // its step has not returned to the host
	inCall  bool     // nor to the thread
	expect  []Expect // by probe, of the call that a caller makes
	seen    []uint8
}

type probeState struct {
	gone bool
	to   []Expect // by function
}

func newWatch(s *Setup) *watch {
	w := &watch{}
	for _, t := range s.threads {
		w.threads = append(w.threads, threadState{step: -1, expect: make([]Expect, len(s.probes)), seen: make([]uint8, len(s.probes))})
		if t.calls < 0 {
			w.left++
		}
	}
	for range s.probes {
		w.probes = append(w.probes, probeState{to: make([]Expect, len(s.functions))})
	}
	return w
}

func (w *watch) clone() *watch {
	c := *w
	c.threads, c.probes = slices.Clone(w.threads), slices.Clone(w.probes)
	for i := range c.threads {
		c.threads[i].expect = slices.Clone(w.threads[i].expect)
		c.threads[i].seen = slices.Clone(w.threads[i].seen)
	}
	for i := range c.probes {
		c.probes[i].to = slices.Clone(w.probes[i].to)
	}
	return &c
}

// over reports whether all threads have ended.
func (w *watch) over() bool { return w.asleep == len(w.threads) }

// change is what is expected from now on. Of a call in progress nothing is known then.
func (w *watch) change(s *Setup, list []Change) {
	for _, c := range list {
		fn := s.function(c.Func)
		p := &w.probes[c.Probe.index]
		p.gone = c.To == Gone
		p.to[fn] = c.To
		if c.To == Gone {
			p.to[fn] = Never
		}
		for i := range w.threads {
			if s.threads[i].calls == fn {
				w.threads[i].expect[c.Probe.index] = Maybe
			}
		}
	}
}

// step is a thread's hypercall: its last call has returned x0, and the next one is chosen.
func (l *Lab) step(cpu int, regs *emu.Regs) (board.Served, error) {
	n := regs.X[19]
	if n >= uint64(len(l.setup.threads)) {
		return board.ServedNothing, fmt.Errorf("thread %d of CPU %d: %w", n, cpu, errno.EINVAL)
	}
	if n != 0 && l.watch.asleep == 0 { // the first process is still waking them
		regs.X[16] = l.schedule
		return board.ServedGoOn, nil
	}
	t, state := l.setup.threads[n], &l.watch.threads[n]
	if state.running {
		l.returned(cpu, t, state, regs.X[0])
		if n != 0 {
			return board.ServedHeld, nil
		}
	}
	if l.watch.granted>>cpu&1 == 0 && n != 0 {
		return board.ServedNothing, nil
	}
	l.watch.granted &^= 1 << cpu
	switch {
	case t.calls >= 0 && l.watch.left > 0:
		state.step = 0
		for i, p := range l.watch.probes {
			state.expect[i], state.seen[i] = p.to[t.calls], 0
		}
	case t.calls < 0 && state.step+1 < len(t.steps):
		state.step++
		l.watch.change(l.setup, t.steps[state.step].Begin)
	default:
		if !state.ended {
			state.ended = true
			l.watch.asleep++
		}
		regs.X[16], regs.X[0] = l.sleep, maxScheduleTimeout
		return board.ServedTurn, nil
	}
	state.running, state.inCall = true, true
	step := &t.steps[state.step]
	regs.X[16] = t.addrs[state.step]
	copy(regs.X[:emu.MaxArgs], step.Args)
	l.event(cpu, true, timeline.Begin, categoryStep, step.name())
	return board.ServedTurn, nil
}

// returned takes notice of a thread's step that has returned x0.
func (l *Lab) returned(cpu int, t *thread, state *threadState, x0 uint64) {
	state.running, state.inCall = false, false
	l.event(cpu, true, timeline.End, categoryStep, "")
	if t.calls >= 0 {
		l.called(t, state)
		return
	}
	l.stepped(t, &t.steps[state.step], x0)
	if state.step+1 == len(t.steps) {
		l.watch.left--
	}
}

// maxScheduleTimeout is MAX_SCHEDULE_TIMEOUT: a thread sleeps for good.
const maxScheduleTimeout = 1<<63 - 1

func (s *Step) name() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Func
}

// stepped is a step that has returned.
func (l *Lab) stepped(t *thread, step *Step, x0 uint64) {
	n := -int64(int32(x0))
	if n <= 0 || n > 4095 {
		l.watch.change(l.setup, step.End)
		return
	}
	if !slices.Contains(step.Fails, errno.Linux(n)) {
		l.fail(KindError, "%s: %s returned %v", t.name, step.name(), errno.Linux(n))
	}
}

// called is a call that may be traced, and has returned.
func (l *Lab) called(t *thread, state *threadState) {
	for i, p := range l.setup.probes {
		seen := state.seen[i]
		switch {
		case state.expect[i] == Always && seen == 0:
			l.fail(KindLost, "%s called %s, and %s did not see it", t.name, t.steps[0].Func, p.Name)
		case state.expect[i] == Never && seen > 0:
			l.fail(KindStray, "%s called %s, and %s saw it", t.name, t.steps[0].Func, p.Name)
		case seen > 1:
			l.fail(KindTwice, "%s called %s once, and %s saw it %d times", t.name, t.steps[0].Func, p.Name, seen)
		}
	}
}

// probed is a probe's hypercall.
func (l *Lab) probed(cpu, index int) {
	if l.watch == nil { // the workload is being prepared
		return
	}
	p := l.setup.probes[index]
	l.event(cpu, true, timeline.Instant, categoryProbe, p.Name)
	if l.watch.probes[index].gone {
		l.fail(KindStray, "CPU %d called %s, which is gone", cpu, p.Name)
	}
	if i := l.threadOn(cpu); i >= 0 && l.watch.threads[i].seen[index] < 255 {
		l.watch.threads[i].seen[index]++
	}
}

// threadOn is the workload's thread on a CPU that makes calls; -1 where there is none.
func (l *Lab) threadOn(cpu int) int {
	for i, t := range l.setup.threads {
		if t.cpu == cpu && t.calls >= 0 {
			return i
		}
	}
	return -1
}

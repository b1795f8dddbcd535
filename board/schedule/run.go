package schedule

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"strings"

	"callops/board"
	"callops/trace/timeline"
)

// Kind is the kind of a failure.
type Kind string

// Kinds of failures.
const (
	KindPanic    Kind = "panic"       // WARN, BUG, an oops, or what else the kernel panics at
	KindLost     Kind = "lost call"   // a probe has not seen a call
	KindStray    Kind = "stray call"  // a probe has seen a call that it should not
	KindTwice    Kind = "double call" // a probe has seen a call twice
	KindError    Kind = "error"       // a step has returned an errno
	KindDead     Kind = "ftrace dead" // ftrace has disabled itself
	KindDeadlock Kind = "deadlock"    // all CPUs wait for what nobody does
	KindLockup   Kind = "lockup"      // a schedule does not end
)

// Failure is what went wrong in a schedule.
type Failure struct {
	Kind Kind
	Text string
	Err  error      // the machine's end, where it was one
	CPUs [][]string // where each CPU stood: functions, innermost first
}

func (f *Failure) Error() string { return string(f.Kind) + ": " + f.Text }

func (f *Failure) Unwrap() error { return f.Err }

// Segment is a part of a schedule: a CPU executes instructions.
type Segment struct {
	CPU          int
	Instructions uint64
}

// Outcome is a schedule that has run.
type Outcome struct {
	Failure  *Failure // nil: nothing went wrong
	Schedule []Segment
	Count    uint64 // instructions of all CPUs
	Switches int    // times that another CPU went on
	Sum      uint32 // of all CPUs' registers at the end: two runs of a schedule have the same
}

// Run runs the schedule that a policy chooses, from where the threads are about to begin. A failure is not an error: that is a host's.
func (l *Lab) Run(ctx context.Context, p Policy) (*Outcome, error) {
	l.begin()
	point := Point{Last: -1, Shared: len(l.shared) > 0}
	for {
		ok, err := l.ready(&point)
		if err != nil {
			return nil, err
		}
		if !ok {
			return l.outcome(), nil
		}
		cpu, n := p.Next(&point)
		if err := l.turn(ctx, &point, cpu, n); err != nil {
			return nil, err
		}
	}
}

// begin goes to where the threads are about to begin.
func (l *Lab) begin() {
	l.points.Return(l.root)
	l.watch, l.failure, l.segments, l.events, l.printed = l.begun.clone(), nil, nil, nil, l.printed[:0]
}

// ready has time pass until a CPU can execute, and notes which. It reports whether the schedule goes on.
func (l *Lab) ready(p *Point) (bool, error) {
	for !l.watch.over() && l.failure == nil {
		l.look(p)
		if p.Ready&^p.Callers != 0 {
			return true, nil
		}
		if p.Ready != 0 && l.watch.skipped {
			return true, nil // a caller's turn, which the kernel may wait for
		}
		// All wait but callers, which could call for ever: time passes for those that wait.
		l.watch.skipped = true
		if !l.m.Skip() && p.Ready == 0 {
			l.fail(KindDeadlock, "all CPUs wait for interrupts, and no timer is armed")
		}
		if l.look(p); p.Ready != 0 {
			return true, nil
		}
		l.bound(p)
	}
	if l.failure == nil {
		return false, l.lookAfter()
	}
	return false, nil
}

// outcome is what has become of the schedule.
func (l *Lab) outcome() *Outcome {
	o := &Outcome{Failure: l.failure, Schedule: l.segments, Count: l.m.Count() - l.base, Switches: max(len(l.segments)-1, 0)}
	for cpu := range l.m.CPUs() {
		o.Sum = crc32.Update(o.Sum, crc32.IEEETable, fmt.Appendf(nil, "%x", *l.m.Regs(cpu)))
	}
	return o
}

// look notes which CPUs can execute.
func (l *Lab) look(p *Point) {
	p.Ready, p.AtStep, p.Callers = l.m.Ready(), 0, 0
	for r := p.Ready; r != 0; r &= r - 1 {
		cpu := bits.TrailingZeros(r)
		if !l.atStep(cpu) {
			continue
		}
		p.AtStep |= 1 << cpu
		if t := l.setup.threads[l.m.Regs(cpu).X[19]]; t.calls >= 0 && l.watch.left > 0 {
			p.Callers |= 1 << cpu
		}
	}
}

// turn has a CPU execute.
func (l *Lab) turn(ctx context.Context, p *Point, cpu int, n uint64) error {
	if cpu < 0 || p.Ready>>cpu&1 == 0 {
		return fmt.Errorf("a policy chose CPU %d, of %#b", cpu, p.Ready)
	}
	if l.atStep(cpu) {
		l.watch.granted |= 1 << cpu
	}
	l.last = cpu
	if p.Callers>>cpu&1 == 1 {
		l.watch.skipped = false
	}
	n = min(max(n, 1), l.opts.Budget+1-min(p.Count, l.opts.Budget)) // a schedule ends at the same place whatever its turns are
	if l.record {
		l.event(cpu, false, timeline.Begin, categoryTurn, l.m.Where(l.m.Regs(cpu).PC))
	}
	end, executed, err := l.m.Turn(ctx, cpu, n)
	if l.record {
		l.event(cpu, false, timeline.End, categoryTurn, "", timeline.Arg{Name: "to", Value: l.m.Where(l.m.Regs(cpu).PC)})
	}
	if p.Last != cpu {
		p.Run = 0
	}
	p.Last, p.End, p.Executed, p.Calls = cpu, end, executed, 0
	if end == board.TurnServed && l.threadOn(cpu) >= 0 {
		p.Calls = 1 << cpu
	}
	p.Count, p.Run = p.Count+executed, p.Run+executed
	if last := len(l.segments) - 1; last >= 0 && l.segments[last].CPU == cpu {
		l.segments[last].Instructions += executed
	} else {
		l.segments = append(l.segments, Segment{cpu, executed})
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return l.ended(err)
	}
	l.bound(p)
	return nil
}

// bound ends a schedule that does not end.
func (l *Lab) bound(p *Point) {
	switch {
	case p.Count > l.opts.Budget:
		l.fail(KindLockup, "%d instructions, and it has not ended", p.Count)
	case l.m.Now()-l.began > longest:
		l.fail(KindLockup, "%d s, and it has not ended", (l.m.Now()-l.began)/1e9)
	}
}

// ended is what a machine's end was.
func (l *Lab) ended(err error) error {
	var stop *board.StopError
	if !errors.As(err, &stop) {
		return err
	}
	l.fail(KindPanic, "%s", words(l.printed, stop))
	l.failure.Err = err
	return nil
}

// firstWords are what the first line of a report begins with, after its time stamp.
var firstWords = []string{"WARNING: ", "kernel BUG at ", "Unable to handle ", "Internal error: ", "BUG: "}

// words is what the kernel said first of what it panicked at.
func words(printed []string, stop *board.StopError) string {
	for _, line := range printed {
		for _, w := range firstWords {
			if _, rest, ok := strings.Cut(line, w); ok {
				return w + rest
			}
		}
	}
	return stop.Error()
}

// lookAfter looks at the kernel after a schedule.
func (l *Lab) lookAfter() error {
	if l.dead == 0 {
		return nil
	}
	var b [4]byte
	if err := l.m.ReadMemory(l.dead, b[:]); err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint32(b[:]); n != 0 {
		l.fail(KindDead, "ftrace_disabled is %d", n)
	}
	return nil
}

// fail keeps the first failure.
func (l *Lab) fail(kind Kind, format string, args ...any) {
	if l.failure != nil {
		return
	}
	l.failure = &Failure{Kind: kind, Text: fmt.Sprintf(format, args...)}
	for cpu := range l.m.CPUs() {
		l.failure.CPUs = append(l.failure.CPUs, l.m.Backtrace(cpu))
	}
}

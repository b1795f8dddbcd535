package model

import (
	"bytes"
	"fmt"

	"callops/asm"
	"callops/check/event"
	"callops/check/internal/guest"
	"callops/check/internal/weak"
	"callops/check/property"
	"callops/sched"
)

// turn is the work on one CPU's moves.
type turn struct {
	*product
	now  weak.Time
	gone uint64 // objects that have been freed
	kind int
	b    []byte // its block
	n    *guest.Node
	next []byte // scratch
	emit func(mv move, next []byte)
}

// cpuMoves gives all that a CPU may do: moves, and the block that each leads
// to, which is valid for the call only. It depends on nothing else.
func (m *product) cpuMoves(c control, kind int, b []byte, emit func(move, []byte)) error {
	t := turn{product: m, now: c.now, gone: m.p.gone[c.now], kind: kind, b: b, n: m.g.Node(kind, getNode(b, cpuNode)), emit: emit}
	t.next = make([]byte, len(b))
	for i := range m.p.callbacks {
		if c.call(i) == ran {
			t.gone |= m.p.callbacks[i].objects
		}
	}
	return t.moves()
}

func (t *turn) moves() (err error) {
	n := t.n
	switch n.Kind {
	case guest.Done:
		return nil
	case guest.Between:
		t.switchTo(sched.Switched, event.Schedule)
		err = t.goTo(move{event: event.CallBegins})
	case guest.Gate:
		// Gates that start no operation return at once.
		if op, ok := t.p.gateOf(n.Gate); !ok || t.p.done[t.now]>>op&1 != 0 {
			err = t.goTo(move{event: event.GateReturns})
		}
	case guest.End:
		if b := t.owed(); b != nil {
			t.breaks(b, move{event: event.CallReturns})
		} else {
			err = t.goTo(move{event: event.CallReturns})
		}
	case guest.Run:
		err = t.execute()
	}
	if n.Kind != guest.Between && n.Preemptible && t.p.preemptible && !t.sc.Tasks[t.kind].Idle {
		t.switchTo(sched.Preempted, event.Preempted)
	}
	t.answer()
	return err
}

// start returns a copy of the block to be changed.
func (t *turn) start() []byte {
	copy(t.next, t.b)
	return t.next
}

// gives gives out a move.
func (t *turn) gives(mv move, next []byte) {
	mv.node = t.n
	t.emit(mv, next)
}

// breaks gives out a move that breaks something.
func (t *turn) breaks(b *property.Broken, mv move) {
	mv.broken = b
	t.gives(mv, nil)
}

// execute makes the moves of an instruction: one for each thing that it may see.
func (t *turn) execute() error {
	for _, o := range t.n.Uses {
		if t.gone>>o&1 != 0 {
			t.breaks(property.Break(property.NoUseAfterFree, "%s has been freed", t.p.objects[o].name), move{event: event.Execute})
			return nil
		}
	}
	if t.n.Fetch >= 0 {
		return t.fetch()
	}
	return t.loads(0, move{event: event.Execute})
}

// maxWords is more than a location of text ever holds different ones.
const maxWords = 16

// fetch makes a move for each word that the CPU may find. Of equal words it finds the oldest, which brings least.
func (t *turn) fetch() (err error) {
	l := t.p.hist.Location(t.n.Fetch)
	var found [maxWords]weak.Version
	count := 0
	t.p.hist.Range(l, t.now, l.Cleaned(getTime(t.b, cpuText)), func(v weak.Version) {
		for i, w := range found[:count] {
			if l.Value(w) == l.Value(v) {
				found[i] = v
				return
			}
		}
		if count == maxWords {
			err = fmt.Errorf("%#x: more than %d words", l.Addr, maxWords)
			return
		}
		found[count] = v
		count++
	})
	for _, v := range found[:count] {
		if word := uint32(l.Value(v)); count > 1 && !weak.Exchangeable(word) {
			t.breaks(property.Break(property.TextExchangeable,
				"%s is none of those that may be exchanged for one another", asm.Disassemble(word, t.n.PC, nil)),
				move{event: event.Execute, in: guest.Input(0).With(0, v)})
			return nil
		}
	}
	for _, v := range found[:count] {
		if err == nil {
			err = t.goTo(move{event: event.Execute, in: guest.Input(0).With(0, v)})
		}
	}
	return err
}

// loads chooses what the i-th load sees, and those after it.
func (t *turn) loads(i int, mv move) (err error) {
	if i == len(t.n.Loads) {
		return t.goTo(mv)
	}
	ld := t.n.Loads[i]
	l, slot := t.p.hist.Location(ld.Loc), t.slot[ld.Loc]
	if slot < 0 { // see learn
		mv.in = mv.in.With(i, l.Latest(t.now))
		return t.loads(i+1, mv)
	}
	low := max(getTime(t.b, cpuLow), ld.After)
	oldest := t.p.hist.Oldest(l, low, weak.Version(t.b[cpuRead+slot]))
	t.p.hist.Range(l, t.now, oldest, func(v weak.Version) {
		if err != nil || t.reduced && t.sameAsOlder(l, v, oldest) {
			return
		}
		with := mv
		with.in = mv.in.With(i, v)
		err = t.loads(i+1, with)
	})
	return err
}

// sameAsOlder reports whether an older version that may be seen holds the same
// value and brings no more. A CPU that reads that one has seen less, so it may do
// all that one may which reads v.
func (t *turn) sameAsOlder(l *weak.Location, v, oldest weak.Version) bool {
	for w := v; w > oldest; {
		w = t.p.hist.Before(l, w)
		if l.Value(w) == l.Value(v) && l.Whole(w) == l.Whole(v) && l.Brings(w) <= l.Brings(v) {
			return true
		}
	}
	return false
}

// goTo makes the move of a CPU that goes on and sees mv.in.
func (t *turn) goTo(mv move) error {
	to, err := t.g.Next(t.kind, t.n, mv.in)
	if err != nil {
		return err
	}
	t.learn(to)
	mv.to = to
	if to.Kind == guest.Bad {
		t.breaks(to.Broken, mv)
		return nil
	}
	next := t.start()
	putNode(next, cpuNode, to.ID)
	switch t.n.Kind {
	case guest.Between:
		putTime(next, cpuBegun, t.p.owedSince(t.now, t.now))
		putTime(next, cpuKnew, getTime(t.b, cpuKnown))
	case guest.End:
		putTime(next, cpuBegun, 0)
		putTime(next, cpuKnew, 0)
	case guest.Run:
		t.remember(next, mv.in)
	}
	if to.Kind == guest.Done {
		t.happened(next, sched.UserMode)
	}
	t.rest(next, to)
	t.gives(mv, next)
	return nil
}

// remember notes which versions were read, none older of which may be read there again, and what the one brings that was fetched.
func (t *turn) remember(next []byte, in guest.Input) {
	if t.n.Fetch >= 0 {
		low, text := t.p.hist.Fetched(t.p.hist.Location(t.n.Fetch), in.Version(0))
		putTime(next, cpuLow, max(getTime(next, cpuLow), t.p.hist.CanonData(low)))
		putTime(next, cpuText, max(getTime(next, cpuText), t.p.hist.CanonText(text)))
		return
	}
	for i, ld := range t.n.Loads {
		if slot := t.slot[ld.Loc]; slot >= 0 {
			next[cpuRead+slot] = byte(in.Version(i))
		}
	}
}

// rest rounds down what the CPU, now at n, has seen to what still matters to it.
func (m *product) rest(b []byte, kind int, n *guest.Node) {
	h := m.p.hist
	low, text := getTime(b, cpuLow), getTime(b, cpuText)
	for i, loc := range m.reads {
		l := h.Location(loc)
		if v := &b[cpuRead+i]; *v != 0 && weak.Version(*v) <= l.Latest(low) || m.reduced && !n.MayRead(loc) {
			*v = 0
		}
	}
	if !m.reduced {
		return
	}
	putTime(b, cpuLow, m.since(n, m.reads, low))
	putTime(b, cpuText, m.since(n, m.words, text))
	if n.Call+1 >= len(m.enters[kind]) && n.Kind != guest.Between {
		putTime(b, cpuKnown, 0) // no call is to begin any more
	}
}

func (t *turn) rest(next []byte, n *guest.Node) { t.product.rest(next, t.kind, n) }

// since is the earliest time from which on all that may still be read looks as
// it does from seen on.
func (m *product) since(n *guest.Node, locs []int, seen weak.Time) (since weak.Time) {
	if seen == 0 {
		return 0
	}
	for _, loc := range locs {
		if n.MayRead(loc) {
			since = max(since, m.p.hist.Location(loc).Since(seen))
		}
	}
	return since
}

// synchronise is what a context switch or an interrupt does to what a CPU sees.
func (t *turn) synchronise(next []byte) {
	h := t.p.hist
	putTime(next, cpuLow, max(getTime(next, cpuLow), h.CanonData(h.Completed(t.now))))
	putTime(next, cpuText, max(getTime(next, cpuText), h.CanonText(t.now)))
	putTime(next, cpuKnown, t.p.owedSince(t.now, t.now))
}

// switchTo makes a move in which a CPU's task is taken off it, or leaves, and
// comes back. That it may stay away for long makes no difference: meanwhile it
// does nothing, and when it comes back the CPU synchronises again, as it does
// by another such move.
//
// A switch that nothing waits for, and that tells the CPU nothing of what is
// owed, only takes away from what it may see: all that may happen after it may
// happen without it.
func (t *turn) switchTo(ev sched.Event, what event.Kind) {
	next := t.start()
	t.happened(next, ev)
	t.synchronise(next)
	t.rest(next, t.n)
	useless := get16(next, cpuWaits) == get16(t.b, cpuWaits) && getTime(next, cpuKnown) == getTime(t.b, cpuKnown)
	if bytes.Equal(next, t.b) || t.reduced && useless {
		return
	}
	t.gives(move{event: what}, next)
}

// answer takes the interrupt that the patcher waits for.
func (t *turn) answer() {
	if get16(t.b, cpuWaits)&1 == 0 || t.p.steps[t.p.kids[t.now][0]].Kind != event.AllAnswered {
		return
	}
	next := t.start()
	t.synchronise(next)
	put16(next, cpuWaits, get16(t.b, cpuWaits)&^1)
	t.rest(next, t.n)
	t.gives(move{event: event.Interrupted}, next)
}

// happened ends waits for the CPU.
func (t *turn) happened(next []byte, ev sched.Event) {
	waits := get16(next, cpuWaits)
	if waits == 0 {
		return
	}
	r := t.reader(t.kind)
	if waits&1 != 0 {
		st := &t.p.steps[t.p.kids[t.now][0]]
		if st.Kind == event.AllAnswered || st.Wait.Ends(ev, r) {
			waits &^= 1
		}
	}
	for i := range t.p.callbacks {
		if t.p.callbacks[i].kind.Ends(ev, r) {
			waits &^= 1 << (1 + i)
		}
	}
	put16(next, cpuWaits, waits)
}

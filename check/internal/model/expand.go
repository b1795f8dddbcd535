package model

import (
	"slices"

	"callops/check/event"
	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/check/internal/weak"
)

// A state is a control and, for each CPU, the number of its block. What a CPU may do depends on the control
// and on its block, not on other CPUs.
type state struct {
	control search.Control
	blocks  []search.Part // by CPU
}

// control is what patchers and callbacks have done.
type control struct {
	now   weak.Time
	calls uint32 // what has become of callbacks, two bits each
}

// What has become of a callback.
const (
	notCalled = iota
	called
	ran
)

func (c control) call(i int) uint32 { return c.calls >> (2 * i) & 3 }

func (c control) withCall(i int, v uint32) control {
	c.calls = c.calls&^(3<<(2*i)) | v<<(2*i)
	return c
}

// step is one of the program, or a callback that runs.
type step struct {
	search.Step
	move
}

// controls numbers those that a search meets.
type controls struct {
	list  []control
	steps [][]step // of each, once they are asked for
	ids   map[control]search.Control
}

func (m *product) controlID(c control) search.Control {
	cs := &m.controls
	id, ok := cs.ids[c]
	if !ok {
		id = search.Control(len(cs.list))
		cs.ids[c] = id
		cs.list, cs.steps = append(cs.list, c), append(cs.steps, nil)
	}
	return id
}

// The marks of blocks: for the patcher, and for each callback, that the CPU is waited for; for each operation
// that tracers start, that it stands in the gate.
const (
	waitedFor = search.Marks(1)
	inGate    = search.Marks(1) << 16
)

// stepsFrom is what patchers and callbacks may do.
func (m *product) stepsFrom(id search.Control) []step {
	if steps := m.controls.steps[id]; steps != nil {
		return steps
	}
	c := m.controls.list[id]
	steps := []step{}
	for _, t := range m.p.kids[c.now] {
		st := &m.p.steps[t]
		next := control{m.settled[t], c.calls}
		if st.Kind == event.CallRCU {
			next = next.withCall(st.Call, called)
		}
		s := step{search.Step{To: m.controlID(next)}, move{cpu: -1, time: t}}
		switch {
		case m.p.asks(t):
			s.Where = inGate << st.Op
		case st.Kind == event.GraceEnds, st.Kind == event.AllAnswered:
			s.Unless = waitedFor
		}
		steps = append(steps, s)
	}
	for i := range m.p.callbacks {
		if c.call(i) == called {
			to := m.controlID(c.withCall(i, ran))
			steps = append(steps, step{search.Step{To: to, Unless: waitedFor << (1 + i)}, move{cpu: -1, call: i + 1}})
		}
	}
	m.controls.steps[id] = steps
	return steps
}

// Kinds implements search.Model.
func (m *product) Kinds() []int { return m.kinds }

// Alike implements search.Model: CPUs that run the same kind of task are interchangeable.
func (m *product) Alike() bool { return m.reduced }

// Begin implements search.Model.
func (m *product) Begin() (search.Control, []search.Part) {
	s := m.first()
	return s.control, s.blocks
}

func (m *product) first() *state {
	s := &state{control: m.controlID(control{now: m.settled[0]})}
	for _, kind := range m.kinds {
		s.blocks = append(s.blocks, m.number(kind, make([]byte, cpuRead+len(m.reads))))
	}
	return s
}

// Steps implements search.Model.
func (m *product) Steps(id search.Control) (steps []search.Step, waits bool) {
	for _, s := range m.stepsFrom(id) {
		steps = append(steps, s.Step)
	}
	return steps, m.waits(id)
}

// waits reports whether something is left to do that only a patcher can do.
func (m *product) waits(id search.Control) bool {
	return slices.ContainsFunc(m.p.kids[m.controls.list[id].now], func(t weak.Time) bool { return !m.p.asks(t) })
}

// After implements search.Model.
func (m *product) After(id search.Control, n, kind int, block search.Part) search.Part {
	if s := &m.stepsFrom(id)[n]; s.call == 0 {
		return m.patched(s.time, kind, block)
	}
	return block
}

// Marks implements search.Model.
func (m *product) Marks(_ int, id search.Part) search.Marks {
	b := m.block(id)
	marks := search.Marks(b.waits) * waitedFor
	switch b.node.Kind {
	case guest.Done:
		marks |= search.Done
	case guest.Gate:
		if op, ok := m.p.gateOf(b.node.Gate); ok {
			marks |= inGate << op
		}
	}
	return marks
}

// Moves implements search.Model.
func (m *product) Moves(id search.Control, kind int, block search.Part) (to []search.Part, err error) {
	err = m.cpuMoves(m.controls.list[id], kind, m.block(block).bytes, func(mv move, next []byte) {
		if mv.broken != nil {
			to = append(to, search.Broken)
		} else {
			to = append(to, m.number(kind, next))
		}
	})
	return to, err
}

// reached is one move of a state, and where it leads: nowhere if it breaks
// something.
type reached struct {
	move
	by    search.Move
	state *state
}

// moves lists what may follow a state.
func (m *product) moves(s *state) (list []reached, err error) {
	some := search.Marks(0)
	for cpu, kind := range m.kinds {
		some |= m.Marks(kind, s.blocks[cpu])
	}
	for n, st := range m.stepsFrom(s.control) {
		if !st.Open(some) {
			continue
		}
		next := &state{control: st.To}
		for cpu, kind := range m.kinds {
			next.blocks = append(next.blocks, m.After(s.control, n, kind, s.blocks[cpu]))
		}
		list = append(list, reached{st.move, search.Move{Component: -1, Number: n}, next})
	}
	for cpu, kind := range m.kinds {
		n := 0
		err := m.cpuMoves(m.controls.list[s.control], kind, m.block(s.blocks[cpu]).bytes, func(mv move, b []byte) {
			mv.cpu = cpu
			r := reached{move: mv, by: search.Move{Component: cpu, Number: n}}
			if n++; mv.broken == nil {
				r.state = &state{s.control, slices.Clone(s.blocks)}
				r.state.blocks[cpu] = m.number(kind, b)
			}
			list = append(list, r)
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// at is the patchers' time in a state.
func (m *product) at(s *state) weak.Time { return m.controls.list[s.control].now }

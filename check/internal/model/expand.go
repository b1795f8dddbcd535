package model

import (
	"encoding/binary"
	"slices"

	"callops/check/event"
	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/check/internal/weak"
)

// A state is a string of bytes:
//
//	0  time of the program
//	2  a byte a callback: notCalled, called or ran
//	   then the number of a block a CPU
//
// What a CPU may do depends on the patchers' time, on what callbacks have
// freed, and on its block; not on other CPUs. So the moves of each are found
// once, and the search puts them together.
const (
	atTime  = 0
	atCalls = 2
	cpuSize = 4
)

// What has become of a callback.
const (
	notCalled = iota
	called
	ran
)

func (m *product) cpuAt(cpu int) int { return atCalls + len(m.p.callbacks) + cpu*cpuSize }

func (m *product) blockOf(s []byte, cpu int) uint32 {
	return binary.LittleEndian.Uint32(s[m.cpuAt(cpu):])
}

func (m *product) setBlock(s []byte, cpu int, id uint32) {
	binary.LittleEndian.PutUint32(s[m.cpuAt(cpu):], id)
}

// Size implements search.Model.
func (m *product) Size() int { return m.size }

// Initial implements search.Model.
func (m *product) Initial(s []byte) {
	putTime(s, atTime, m.settled[0])
	for cpu, kind := range m.kinds {
		m.setBlock(s, cpu, m.number(kind, make([]byte, cpuRead+len(m.reads))))
	}
}

// order puts CPUs that run the same kind of task in order: which of them is
// where makes no difference. cpus, if not nil, is permuted alike.
func (m *product) order(s []byte, cpus []int) {
	for i := 1; i < len(m.kinds); i++ {
		for j := i; j > 0 && m.kinds[j-1] == m.kinds[j]; j-- {
			a, b := m.blockOf(s, j-1), m.blockOf(s, j)
			if a <= b {
				break
			}
			m.setBlock(s, j-1, b)
			m.setBlock(s, j, a)
			if cpus != nil {
				cpus[j-1], cpus[j] = cpus[j], cpus[j-1]
			}
		}
	}
}

// ranBy returns the callbacks that have run, a bit each.
func (m *product) ranBy(s []byte) (set uint16) {
	for i := range m.p.callbacks {
		if s[atCalls+i] == ran {
			set |= 1 << i
		}
	}
	return set
}

// known is what a worker remembers of moves.
type known struct {
	moves   map[moveKey][]result
	patched map[patchKey]uint32
}

type moveKey struct {
	block uint32
	now   weak.Time
	ran   uint16
}

type patchKey struct {
	block uint32
	step  weak.Time
}

// result is what a move makes of a CPU's block; broken reports that it
// breaks something.
type result struct {
	block  uint32
	broken bool
}

// Expand implements search.Model.
func (m *product) Expand(s []byte, out *search.Successors) error {
	k, ok := out.Local.(*known)
	if !ok {
		k = &known{moves: map[moveKey][]result{}, patched: map[patchKey]uint32{}}
		out.Local = k
	}
	now := getTime(s, atTime)
	waits := m.patches(s, now, func(t weak.Time) {
		next := out.Add(s)
		m.advance(next, t, func(kind int, id uint32) uint32 {
			key := patchKey{id, t}
			to, ok := k.patched[key]
			if !ok {
				to = m.patched(t, kind, id)
				k.patched[key] = to
			}
			return to
		})
		m.ordered(next)
	})
	m.callbacks(s, func(i int) { out.Add(s)[atCalls+i] = ran })
	done := 0
	ran := m.ranBy(s)
	for cpu, kind := range m.kinds {
		id := m.blockOf(s, cpu)
		if m.block(id).node.Kind == guest.Done {
			done++
			continue
		}
		key := moveKey{id, now, ran}
		results, ok := k.moves[key]
		if !ok {
			var err error
			if results, err = m.results(now, ran, kind, id); err != nil {
				return err
			}
			k.moves[key] = results
		}
		for _, r := range results {
			if r.broken {
				out.Break()
				continue
			}
			next := out.Add(s)
			m.setBlock(next, cpu, r.block)
			m.ordered(next)
		}
	}
	if done == len(m.kinds) && !waits {
		out.Final()
	}
	return nil
}

func (m *product) ordered(s []byte) {
	if m.reduced {
		m.order(s, nil)
	}
}

// results finds the moves of a CPU.
func (m *product) results(now weak.Time, ran uint16, kind int, id uint32) (list []result, err error) {
	err = m.cpuMoves(now, ran, kind, m.block(id).bytes, func(mv move, next []byte) {
		r := result{broken: mv.broken != nil}
		if !r.broken {
			r.block = m.number(kind, next)
		}
		list = append(list, r)
	})
	return list, err
}

// patches calls f with each step that a patcher may make next. It reports
// whether something is left to do that only a patcher can do.
func (m *product) patches(s []byte, now weak.Time, f func(t weak.Time)) (waits bool) {
	for _, t := range m.p.kids[now] {
		st := &m.p.steps[t]
		if st.Kind == event.OperationBegins && m.p.ops[st.Op].thread < 0 {
			if m.asks(s, st.Op) {
				f(t)
			}
			continue
		}
		waits = true
		if (st.Kind == event.GraceEnds || st.Kind == event.AllAnswered) && m.waitedFor(s, 0) {
			continue
		}
		f(t)
	}
	return waits
}

// asks reports whether a CPU stands in the gate of an operation.
func (m *product) asks(s []byte, op int) bool {
	for cpu := range m.kinds {
		if n := m.block(m.blockOf(s, cpu)).node; n.Kind == guest.Gate && n.Gate == m.p.ops[op].gate {
			return true
		}
	}
	return false
}

// waitedFor reports whether a CPU is still waited for: by the patcher, bit 0, or by
// a callback.
func (m *product) waitedFor(s []byte, bit int) bool {
	for cpu := range m.kinds {
		if m.block(m.blockOf(s, cpu)).waits>>bit&1 != 0 {
			return true
		}
	}
	return false
}

// advance makes one step of the program, and the invisible ones after it.
func (m *product) advance(s []byte, t weak.Time, patched func(kind int, id uint32) uint32) {
	putTime(s, atTime, m.settled[t])
	if st := &m.p.steps[t]; st.Kind == event.CallRCU {
		s[atCalls+st.Call] = called
	}
	for cpu, kind := range m.kinds {
		m.setBlock(s, cpu, patched(kind, m.blockOf(s, cpu)))
	}
}

// callbacks calls f with each callback whose grace period has ended.
func (m *product) callbacks(s []byte, f func(i int)) {
	for i := range m.p.callbacks {
		if s[atCalls+i] == called && !m.waitedFor(s, 1+i) {
			f(i)
		}
	}
}

// reached is one move of a state, and where it leads: nowhere if it breaks
// something.
type reached struct {
	move
	state []byte
}

// moves lists what may follow a state, in the order in which Expand gives it
// out, with every CPU where it was.
func (m *product) moves(s []byte) (list []reached, err error) {
	now := getTime(s, atTime)
	m.patches(s, now, func(t weak.Time) {
		next := slices.Clone(s)
		m.advance(next, t, func(kind int, id uint32) uint32 { return m.patched(t, kind, id) })
		list = append(list, reached{move{cpu: -1, time: t}, next})
	})
	m.callbacks(s, func(i int) {
		next := slices.Clone(s)
		next[atCalls+i] = ran
		list = append(list, reached{move{cpu: -1, call: i + 1}, next})
	})
	for cpu, kind := range m.kinds {
		err := m.cpuMoves(now, m.ranBy(s), kind, m.block(m.blockOf(s, cpu)).bytes, func(mv move, b []byte) {
			mv.cpu = cpu
			r := reached{move: mv}
			if mv.broken == nil {
				r.state = slices.Clone(s)
				m.setBlock(r.state, cpu, m.number(kind, b))
			}
			list = append(list, r)
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

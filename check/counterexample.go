package check

import (
	"context"
	"fmt"

	"callops/check/internal/search"
)

// Counterexample is a shortest way to break a property, or one of several.
type Counterexample struct {
	Scenario string `json:"scenario"`
	Mutation string `json:"mutation,omitempty"`
	Kernel   string `json:"kernel,omitempty"` // the image, where it is not the built-in kernel
	CPUs     int    `json:"cpus"`
	Property string `json:"property"` // what ought to hold
	Detail   string `json:"detail"`   // what was found instead
	Steps    []Step `json:"steps"`
	Token    string `json:"token"` // for Replay
}

// Step is one step of a counterexample.
type Step struct {
	// Agent is "patcher", "callback", or "cpu0" and so on.
	Agent string `json:"agent"`

	Where  string `json:"where,omitempty"` // symbol+offset of a CPU's instruction
	Does   string `json:"does"`            // the instruction, or what happens
	Reads  []Read `json:"reads,omitempty"`
	Writes []Read `json:"writes,omitempty"`

	// More is how many instructions the CPU executed after this one that see
	// nothing others write.
	More int `json:"more,omitempty"`
}

// Read is something read or written.
type Read struct {
	What  string `json:"what"`
	Value string `json:"value"`

	// Stale says that it held Newest by then: the CPU had not seen that yet. Of
	// what is written, Newest is what it held before.
	Stale  bool   `json:"stale,omitempty"`
	Newest string `json:"newest,omitempty"`
}

const (
	noDeadlock = "nobody waits for ever"
	stuck      = "nothing can happen any more, and not everybody is done"
)

// explain turns the way that a search found into a counterexample.
func (s *subject) explain(m *model, trace *search.Trace) (*Counterexample, error) {
	way, err := m.choices(trace)
	if err != nil {
		return nil, err
	}
	return s.play(way)
}

// play goes a way and tells of it.
func (s *subject) play(way []choice) (*Counterexample, error) {
	c := &Counterexample{
		Kernel: s.base.String(), Scenario: s.sc.Name, Mutation: s.m.mut.Name, CPUs: len(s.kinds),
		Property: noDeadlock, Detail: stuck, Token: s.token(way),
	}
	p := s.newPlayer()
	d := describer{s.m, s.p, s.g}
	for i, ch := range way {
		first := true
		broke, err := p.step(ch, func(state []byte, mv *move) error {
			if !first {
				return nil // what nobody notices
			}
			first = false
			st, err := d.step(getTime(state, atTime), s.kinds, mv)
			c.Steps = append(c.Steps, st)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("scenario %s: step %d: %w", s.sc.Name, i+1, err)
		}
		if broke != nil {
			if i+1 < len(way) {
				return nil, fmt.Errorf("scenario %s: %w: it goes on after what step %d breaks", s.sc.Name, ErrToken, i+1)
			}
			c.Property, c.Detail = broke.Property, broke.Detail
			return c, nil
		}
	}
	list, err := p.moves(p.s)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s.sc.Name, err)
	}
	if len(list) > 0 || p.finished() {
		return nil, fmt.Errorf("scenario %s: %w: the way breaks nothing", s.sc.Name, ErrToken)
	}
	return c, nil
}

// shortest searches for the counterexample again, alone and in one order, so
// that it is the same each time.
func shortest(ctx context.Context, sc *Scenario, mut *Mutation, opts Options) (*Counterexample, error) {
	opts.Workers, opts.Progress = 1, nil
	s, err := prepare(sc, mut, &opts)
	if err != nil {
		return nil, err
	}
	defer s.close()
	m, res, err := s.explore(ctx, &opts)
	if err != nil {
		return nil, err
	}
	if res.Broken == nil {
		return nil, fmt.Errorf("scenario %s: what was found once was not found again", sc.Name)
	}
	return s.explain(m, res.Broken)
}

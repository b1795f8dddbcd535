package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"callops/check/event"
	"callops/check/internal/search"
	"callops/check/internal/weak"
)

// ErrWay is a way that can't be gone, or that leads nowhere.
var ErrWay = errors.New("no way of this scenario")

// Way is the choices that lead to something broken.
type Way []choice

// choice is a move as it can be made again by a model that has searched
// nothing, whatever it calls its states.
type choice struct {
	kind choiceKind
	cpu  int
	arg  int // of patches: the time; of calls: the callback; of sees: the input
}

type choiceKind uint8

const (
	patches   choiceKind = iota // a patcher goes on to a time
	callsBack                   // a callback runs
	sees                        // a CPU goes on, and sees
	switches                    // its task is taken off it, or leaves
	answers                     // it is interrupted
	numChoices
)

// hasArg reports whether choices of the kind have an argument.
func (k choiceKind) hasArg() bool { return k == patches || k == callsBack || k == sees }

func (c choice) String() string {
	switch c.kind {
	case patches:
		return fmt.Sprintf("the patchers' step %d", c.arg)
	case callsBack:
		return fmt.Sprintf("callback %d", c.arg)
	case sees:
		return fmt.Sprintf("what cpu%d sees (%#x)", c.cpu, c.arg)
	case switches:
		return fmt.Sprintf("a switch on cpu%d", c.cpu)
	case answers:
		return fmt.Sprintf("an interrupt of cpu%d", c.cpu)
	}
	return fmt.Sprintf("choice %d", c.kind)
}

// choice is what mv chooses, on its way to the time now.
func (mv *move) choice(now weak.Time) choice {
	switch {
	case mv.call > 0:
		return choice{kind: callsBack, arg: mv.call - 1}
	case mv.cpu < 0:
		return choice{kind: patches, arg: int(now)}
	case mv.event == event.Preempted, mv.event == event.Schedule:
		return choice{kind: switches, cpu: mv.cpu}
	case mv.event == event.Interrupted:
		return choice{kind: answers, cpu: mv.cpu}
	}
	return choice{kind: sees, cpu: mv.cpu, arg: int(mv.in)}
}

// way turns what a search found into choices.
func (m *product) way(trace *search.Trace) (Way, error) {
	var all Way
	s := m.first()
	for _, by := range trace.Moves {
		list, err := m.moves(s)
		if err != nil {
			return nil, err
		}
		mv := &list[slices.IndexFunc(list, func(r reached) bool { return r.by == by })]
		if mv.state == nil {
			all = append(all, mv.choice(0))
			break
		}
		s = mv.state
		all = append(all, mv.choice(m.at(s)))
	}
	return all, nil
}

// Bytes is the way as ParseWay takes it: of each choice a byte for its kind and
// its CPU, and its argument.
func (w Way) Bytes() []byte {
	var b []byte
	for _, c := range w {
		b = append(b, byte(c.kind)|byte(c.cpu)<<4)
		if c.kind.hasArg() {
			b = binary.AppendUvarint(b, uint64(c.arg))
		}
	}
	return b
}

const maxChoices = 10_000

// ParseWay reads what Bytes wrote, on as many CPUs. What is not such matches
// ErrWay; whether the choices can be made is for Play to see.
func ParseWay(b []byte, cpus int) (Way, error) {
	var w Way
	for len(b) > 0 {
		n := len(w) + 1
		if n > maxChoices {
			return nil, fmt.Errorf("more than %d choices: %w", maxChoices, ErrWay)
		}
		c := choice{kind: choiceKind(b[0] & 15), cpu: int(b[0] >> 4)}
		b = b[1:]
		if c.kind >= numChoices || c.cpu >= cpus {
			return nil, fmt.Errorf("choice %d is of kind %d, on CPU %d: %w", n, c.kind, c.cpu, ErrWay)
		}
		if c.kind.hasArg() {
			v, size := binary.Uvarint(b)
			switch {
			case size == 0:
				return nil, fmt.Errorf("it ends within choice %d: %w", n, ErrWay)
			case size < 0 || v > math.MaxUint32 || c.kind == patches && v > math.MaxUint16:
				return nil, fmt.Errorf("choice %d is of %d: %w", n, v, ErrWay)
			}
			c.arg, b = int(v), b[size:]
		}
		w = append(w, c)
	}
	return w, nil
}

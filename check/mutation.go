package check

import (
	"fmt"
	"slices"

	"callops/check/internal/model"
)

// Mutation is a fault built in on purpose, to show that the checker finds it.
type Mutation struct {
	Name     string
	About    string // what is wrong
	Scenario string // where that shows

	// Harmless is what covers for the fault, where nothing goes wrong by it.
	Harmless string

	fault model.Fault
}

// OnlyImageCore reports whether the fault can only be made in an image's own core, see
// [Options.ImageCore].
func (m *Mutation) OnlyImageCore() bool { return m.fault.OnlyCode() }

// none is no fault.
var none = &Mutation{}

// Mutations returns all mutations.
func Mutations() []Mutation { return slices.Clone(mutations) }

// findMutation returns none for "".
func findMutation(name string) (*Mutation, error) {
	if name == "" {
		return none, nil
	}
	for i := range mutations {
		if mutations[i].Name == name {
			return &mutations[i], nil
		}
	}
	return nil, fmt.Errorf("mutation %q: %w", name, ErrUnknown)
}

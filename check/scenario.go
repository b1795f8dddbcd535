package check

import (
	"fmt"
	"slices"

	"callops/check/internal/model"
)

// Scenario is a machine, what its tasks call, and what is done to ftrace
// meanwhile.
type Scenario struct {
	Name  string
	About string // one line

	// Finding is what Linux breaks here, NoFinding where every property holds.
	Finding Finding

	set model.Scenario
}

// MinCPUs is the least number of CPUs for the scenario: one per task.
func (s *Scenario) MinCPUs() int { return len(s.set.Tasks) }

// Scenarios returns all scenarios.
func Scenarios() []Scenario { return slices.Clone(scenarios) }

func findScenario(name string) (*Scenario, error) {
	for i := range scenarios {
		if scenarios[i].Name == name {
			return &scenarios[i], nil
		}
	}
	return nil, fmt.Errorf("scenario %q: %w", name, ErrUnknown)
}

package main

import (
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"callops/check"
	"callops/internal/near"
	"callops/internal/text"
)

// all is the name that stands for all mutations.
const all = "all"

// job is a search to run.
type job struct {
	scenario string
	mutation *check.Mutation // nil: none
	named    bool            // by its own name, not as one of all
}

// name is the first column of the job's line.
func (j *job) name() string {
	if j.mutation != nil {
		return j.mutation.Name
	}
	return j.scenario
}

// jobs returns the searches to run.
func (c *checkFlags) jobs() ([]job, error) {
	mutations, err := c.mutations()
	if err != nil {
		return nil, err
	}
	if c.mutation == all && len(c.scenarios) > 0 {
		return nil, usagef("--mutation all takes no --scenario: each has its own")
	}
	scenarios, err := pick("scenario", c.scenarios, scenarioNames())
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, m := range mutations {
		names := scenarios
		switch {
		case len(names) > 0:
		case m != nil:
			names = []string{m.Scenario}
		default:
			names = scenarioNames()
		}
		for _, name := range names {
			if n := minCPUs(name); c.cpus.value > 0 && int(c.cpus.value) < n {
				return nil, usagef("--cpus %d: scenario %s has tasks for %d", c.cpus.value, name, n)
			}
			named := slices.Contains(c.scenarios, name) || m != nil && c.mutation == m.Name
			jobs = append(jobs, job{name, m, named})
		}
	}
	return jobs, nil
}

// mutations returns the selected mutations; a nil element is none.
func (c *checkFlags) mutations() ([]*check.Mutation, error) {
	if c.mutation == "" {
		return []*check.Mutation{nil}, nil
	}
	known := []string{all}
	for _, m := range check.Mutations() {
		known = append(known, m.Name)
	}
	names, err := pick("mutation", []string{c.mutation}, known)
	if err != nil {
		return nil, err
	}
	var chosen []*check.Mutation
	for _, m := range check.Mutations() {
		if c.mutation == all || slices.Contains(names, m.Name) {
			chosen = append(chosen, &m)
		}
	}
	return chosen, nil
}

func scenarioNames() (names []string) {
	for _, sc := range check.Scenarios() {
		names = append(names, sc.Name)
	}
	return names
}

func minCPUs(scenario string) int {
	for _, sc := range check.Scenarios() {
		if sc.Name == scenario {
			return sc.MinCPUs()
		}
	}
	return 0
}

// completeNames has shells complete flags that take scenarios or mutations.
func completeNames(cmd *cobra.Command, flags ...string) {
	var scenarios []cobra.Completion
	for _, sc := range check.Scenarios() {
		scenarios = append(scenarios, cobra.CompletionWithDesc(sc.Name, sc.About))
	}
	mutations := []cobra.Completion{cobra.CompletionWithDesc(all, "one after the other")}
	for _, m := range check.Mutations() {
		mutations = append(mutations, cobra.CompletionWithDesc(m.Name, m.About))
	}
	names := map[string][]cobra.Completion{"scenario": scenarios, "mutation": mutations}
	for _, flag := range flags {
		// It can only fail for a flag that is not there, or twice.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(names[flag], cobra.ShellCompDirectiveNoFileComp))
	}
}

// maxNear bounds the number of suggested names.
const maxNear = 3

// pick returns the known names of a kind that match names or patterns, each once.
// A pattern that matches nothing is wrong usage.
func pick(kind string, patterns, known []string) (chosen []string, err error) {
	for _, p := range patterns {
		found := false
		for _, name := range known {
			switch match, err := path.Match(p, name); {
			case err != nil:
				return nil, usagef("%s %q: a pattern that has no end: a ] or what follows a backslash is missing", kind, p)
			case match && !slices.Contains(chosen, name):
				chosen = append(chosen, name)
				fallthrough
			case match:
				found = true
			}
		}
		if found {
			continue
		}
		if close := near.Names(p, slices.Values(known), maxNear); len(close) > 0 {
			return nil, usagef("no %s %q; is one of these meant: %s?", kind, p, strings.Join(close, ", "))
		}
		return nil, usagef("no %s %q; there are %s", kind, p, text.Families(known, nil))
	}
	return chosen, nil
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"callops/check"
	"callops/internal/text"
)

// unfit are the searches that are for another kind of kernel.
type unfit struct {
	reasons []string            // in the order in which they came up
	names   map[string][]string // of searches, by reason
}

func (u *unfit) add(j *job, err error) {
	// Errors begin with the scenario, which the reason is the same for.
	_, reason, _ := strings.Cut(err.Error(), ": ")
	reason = text.Printable(strings.TrimSuffix(reason, ": "+check.ErrUnfit.Error()))
	if u.names == nil {
		u.names = make(map[string][]string)
	}
	if !slices.Contains(u.reasons, reason) {
		u.reasons = append(u.reasons, reason)
	}
	u.names[reason] = append(u.names[reason], j.name())
}

// none is the error where no search is left.
func (u *unfit) none(of int) error {
	var each []string
	for _, reason := range u.reasons {
		if n := len(u.names[reason]); n < of {
			reason = fmt.Sprintf("%s (%d)", reason, n)
		}
		each = append(each, reason)
	}
	what := fmt.Sprintf("all %d are left out", of)
	if of == 1 {
		what = "the only one is left out"
	}
	return fmt.Errorf("%s: %s: %w", what, strings.Join(each, "; "), check.ErrUnfit)
}

// note lists which of the searches are left out, "" where that is none.
func (u *unfit) note(jobs []job) string {
	var names []string
	for i := range jobs {
		names = append(names, jobs[i].name())
	}
	n := 0
	var lines strings.Builder
	for _, reason := range u.reasons {
		left := u.names[reason]
		others := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(left, name) })
		n += len(left)
		fmt.Fprintf(&lines, "  %s: %s\n", reason, text.Families(left, others))
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("left out %d of %d, which are for another kind of kernel:\n%s", n, len(jobs), &lines)
}

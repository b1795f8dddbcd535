package check

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"callops/check/event"
)

const (
	agentColumn = 8  // where the patcher's column begins
	agentWidth  = 16 // how far the next one is from it; what is longer runs on
)

// WriteText writes the counterexample for a person: a column for the patcher
// and for each CPU, a step a line, and at the end what is broken.
func (c *Counterexample) WriteText(w io.Writer) error {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s, %d CPUs, %d steps; --replay %s\n\n", c.title(), c.CPUs, len(c.Steps), c.Token)
	head := fmt.Sprintf("%*s%-*s", agentColumn, "", agentWidth, "patcher")
	for cpu := range c.CPUs {
		head += fmt.Sprintf("%-*s", agentWidth, fmt.Sprintf("cpu%d", cpu))
	}
	sb.WriteString(strings.TrimRight(head, " ") + "\n")
	for i := range c.Steps {
		st := &c.Steps[i]
		fmt.Fprintf(&sb, "%*d  %s%s\n", agentColumn-2, i+1, strings.Repeat(" ", agentWidth*st.column()), st)
	}
	fmt.Fprintf(&sb, "\nbroken: %s: %s\n", c.Claim, c.Detail)
	_, err := io.WriteString(w, sb.String())
	return err
}

// column is 0 for the patcher, and then counts CPUs.
func (s *Step) column() int {
	if cpu, ok := s.Agent.CPU(); ok {
		return cpu + 1
	}
	return 0
}

// String is the step on one line.
func (s *Step) String() string {
	var sb strings.Builder
	if s.Agent == event.Callback {
		sb.WriteString("callback ")
	}
	if s.Where != "" {
		sb.WriteString(s.Where + ": ")
	}
	sb.WriteString(short(s.Does))
	for i, w := range s.Writes {
		was := "was " + short(w.Old)
		if w.Old == w.Value {
			was = "as before"
		}
		fmt.Fprintf(&sb, "%s%s := %s (%s)", [...]string{": ", ", "}[min(i, 1)], w.What, short(w.Value), was)
	}
	var seen []string
	if s.Newest != "" {
		seen = append(seen, stale(s.Newest))
	}
	for i := range s.Reads {
		seen = append(seen, s.Reads[i].String())
	}
	if len(seen) > 0 {
		sb.WriteString("   " + strings.Join(seen, ", "))
	}
	if s.More > 0 {
		fmt.Fprintf(&sb, "   (and %d more)", s.More)
	}
	return sb.String()
}

// String is what was found, and what else had been to find by then.
func (r *Read) String() string {
	s := r.What + " = " + short(r.Value)
	if r.Stale {
		s += " " + stale(r.Newest)
	}
	return s
}

func stale(newest string) string { return fmt.Sprintf("[STALE: now %s]", short(newest)) }

// named is an address with the name of what is there.
var named = regexp.MustCompile(`\b[0-9a-f]{5,16} <([^<>]+)>`)

// short leaves out addresses that have names: bl ftrace_caller.
func short(text string) string { return named.ReplaceAllString(text, "$1") }

package check

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

const (
	agentColumn = 8  // where the patcher's column begins
	agentWidth  = 16 // how far the next one is from it; what is longer runs on
)

// WriteText writes the counterexample for a person: a column for the patcher
// and for each CPU, a step a line, and at the end what is broken.
func (c *Counterexample) WriteText(w io.Writer) error {
	var sb strings.Builder
	what := c.Scenario
	if c.Mutation != "" {
		what += " with " + c.Mutation
	}
	if c.Kernel != "" {
		what += ", " + c.Kernel
	}
	fmt.Fprintf(&sb, "%s, %d CPUs, %d steps; --replay %s\n\n", what, c.CPUs, len(c.Steps), c.Token)
	head := fmt.Sprintf("%*s%-*s", agentColumn, "", agentWidth, "patcher")
	for cpu := range c.CPUs {
		head += fmt.Sprintf("%-*s", agentWidth, fmt.Sprintf("cpu%d", cpu))
	}
	sb.WriteString(strings.TrimRight(head, " ") + "\n")
	for i := range c.Steps {
		st := &c.Steps[i]
		fmt.Fprintf(&sb, "%*d  %s%s\n", agentColumn-2, i+1, strings.Repeat(" ", agentWidth*st.column()), st)
	}
	fmt.Fprintf(&sb, "\nbroken: %s: %s\n", c.Property, c.Detail)
	_, err := io.WriteString(w, sb.String())
	return err
}

// column is 0 for the patcher, and then counts CPUs.
func (s *Step) column() int {
	var cpu int
	if _, err := fmt.Sscanf(s.Agent, "cpu%d", &cpu); err != nil {
		return 0
	}
	return cpu + 1
}

// String is the step on one line.
func (s *Step) String() string {
	var sb strings.Builder
	if s.Agent == "callback" {
		sb.WriteString("callback ")
	}
	if s.Where != "" {
		sb.WriteString(s.Where + ": ")
	}
	sb.WriteString(short(s.Does))
	for i, w := range s.Writes {
		was := "was " + short(w.Newest)
		if w.Newest == w.Value {
			was = "as before"
		}
		fmt.Fprintf(&sb, "%s%s := %s (%s)", [...]string{": ", ", "}[min(i, 1)], w.What, short(w.Value), was)
	}
	for i := range s.Reads {
		sb.WriteString([...]string{"   ", ", "}[min(i, 1)] + s.Reads[i].read())
	}
	if s.More > 0 {
		fmt.Fprintf(&sb, "   (and %d more)", s.More)
	}
	return sb.String()
}

// read says what was found, and what else had been to find by then.
func (r *Read) read() string {
	var parts []string
	if r.What != fetched { // of an instruction, the step itself says which
		parts = append(parts, r.What+" = "+short(r.Value))
	}
	if r.Stale {
		parts = append(parts, fmt.Sprintf("[STALE: now %s]", short(r.Newest)))
	}
	return strings.Join(parts, " ")
}

// fetched is what a step reads that finds an old instruction.
const fetched = "the instruction"

// named is an address with the name of what is there.
var named = regexp.MustCompile(`\b[0-9a-f]{5,16} <([^<>]+)>`)

// short leaves out addresses that have names: bl ftrace_caller.
func short(text string) string { return named.ReplaceAllString(text, "$1") }

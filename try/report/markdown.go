package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"callops/kernelimage/textdiff"
	"callops/try"
)

// markdownLines bounds the instructions of a comment, in lines: what hosts take of one is
// limited.
const markdownLines = 400

// Markdown writes a report for a mail or a comment: the result first, what is long in
// sections that a reader opens.
func Markdown(w io.Writer, r *try.Report) error {
	m := &markdown{}
	m.line("### callops: %s", escape(summary(r)))
	m.line("")
	for _, b := range r.Worse {
		m.line("- :x: %s", escape(b))
	}
	for _, b := range r.Better {
		m.line("- :white_check_mark: %s", escape(b))
	}
	if len(r.Worse)+len(r.Better) > 0 {
		m.line("")
	}
	m.kernels(r)
	m.costs(r)
	m.core(r.Core)
	m.verdicts(r)
	m.text(r.Text)
	_, err := w.Write(m.Bytes())
	return err
}

type markdown struct{ bytes.Buffer }

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

// special are the characters that have a meaning within a line.
var special = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "<", "&lt;", ">", "&gt;", "|", "\\|", "[", "\\[", "]", "\\]", "#", "\\#")

func escape(s string) string { return special.Replace(clean(s)) }

// inCode are the characters that would end a name in a line, or a cell.
var inCode = strings.NewReplacer("`", "'", "|", "\\|")

// code is a name in a line.
func code(s string) string { return "`" + inCode.Replace(clean(s)) + "`" }

// fenced begins or ends a block; what is in it has no back-quotes.
const fenced = "```"

func (m *markdown) block(language, body string) {
	m.line("%s%s\n%s\n%s", fenced, language, strings.ReplaceAll(strings.TrimRight(body, "\n"), "`", "'"), fenced)
}

func (m *markdown) kernels(r *try.Report) {
	m.line("| | kernel | call sites | |\n|---|---|---:|---|")
	for _, k := range []struct {
		name string
		*try.Kernel
	}{{"old", &r.Old}, {"new", &r.New}} {
		m.line("| %s | %s | %d | %s |", k.name, code(k.Name), k.Sites, escape(release(k.Banner)))
	}
	m.line("")
	for _, n := range r.Notes {
		m.line("Note: %s\n", escape(n))
	}
}

func (m *markdown) costs(r *try.Report) {
	m.line("**Cost** of a traced call of %s, in instructions:\n", code(r.Costs.Tracee))
	m.line("| ops | old | new | change |\n|---|---:|---:|---:|")
	for i := range r.Costs.Rows {
		c := &r.Costs.Rows[i]
		change := costChange(c)
		if by, ok := c.Rise(); ok && by > r.Costs.Allow || c.New.Failed != "" && c.Old.Failed == "" {
			change = "**" + change + "**"
		}
		m.line("| %s | %s | %s | %s |", ops(c), costCell(&c.Old), costCell(&c.New), change)
	}
	m.line("")
}

func (m *markdown) verdicts(r *try.Report) {
	m.line("**Proof**: %s.\n", verdictSummary(r))
	if list := changed(r); len(list) > 0 {
		m.line("| scenario | old | new |\n|---|---|---|")
		for _, v := range list {
			m.line("| %s | %s | %s |", v.Name, escape(outcome(&v.Old)), escape(outcome(&v.New)))
		}
		m.line("")
	}
	if v := firstBroken(r); v != nil {
		var b bytes.Buffer
		_ = v.New.Counterexample.WriteText(&b) // a Buffer takes everything
		m.line("<details><summary>Counterexample: %s</summary>\n", v.Name)
		m.block("", b.String())
		m.line("</details>\n")
	}
	if len(r.LeftOut) > 0 {
		m.line("Left out: %s.\n", escape(leftOut(r)))
	}
}

func (m *markdown) core(c *try.Core) {
	if c == nil {
		return
	}
	m.line("**Core**: %s.\n", escape(coreSummary(c)))
	if c.Change == try.Worse && c.New.Difference != nil {
		m.block("", sequence(c.New.Difference))
		m.line("")
	}
}

func (m *markdown) text(d *textdiff.Diff) {
	m.line("**Text**: %s.\n", textSummary(d))
	left := markdownLines
	if len(d.Changes) > 0 {
		m.line("<details><summary>What changed</summary>\n")
		var b strings.Builder
		for i := range d.Changes {
			f := &d.Changes[i]
			fmt.Fprintf(&b, "@@ %s %s: %s @@\n", f.File, clean(f.Name), grown(f.State, f.OldSize, f.NewSize))
			lines := f.Lines
			if f.State != textdiff.Changed {
				lines = nil
			}
			for _, l := range lines[:min(left, len(lines))] {
				b.WriteString(instruction(&l) + "\n")
			}
			if len(lines) > left {
				fmt.Fprintf(&b, "(%d more lines)\n", len(lines)-left)
			}
			left = max(left-len(lines), 0)
		}
		m.block("diff", b.String())
		m.line("</details>\n")
	}
	if d.Untyped != "" {
		m.line("Structures were not compared: %s.\n", escape(d.Untyped))
	}
	for i := range d.Structures {
		s := &d.Structures[i]
		m.line("- %s: %s%s", code("struct "+s.Name), escape(grown(s.State, uint64(s.OldSize), uint64(s.NewSize))), escape(fieldNames(s)))
	}
}

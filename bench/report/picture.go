package report

import (
	"fmt"
	"io"

	"callops/bench"
	"callops/internal/figure"
)

// SVG draws what was measured: what a traced call costs, or, where registration was measured too,
// how long that takes.
func SVG(w io.Writer, r *bench.Result) error {
	f, err := picture(r)
	if err != nil {
		return err
	}
	return f.WriteSVG(w)
}

// PNG is SVG as PNG.
func PNG(w io.Writer, r *bench.Result) error {
	f, err := picture(r)
	if err != nil {
		return err
	}
	return f.WritePNG(w)
}

// HTML writes a page with all pictures, and the rows.
func HTML(w io.Writer, r *bench.Result) error {
	cost, err := costFigure(r)
	if err != nil {
		return err
	}
	p := &figure.Page{Title: cost.Title, Figures: []*figure.Figure{cost}}
	if len(r.Registration) > 0 {
		p.Figures = append(p.Figures, attachFigure(r))
	}
	rows := figure.Table{Caption: fmt.Sprintf("Instructions per call, %d calls", r.Calls), Rows: [][]string{{"scheme", "engine", "relevant", "irrelevant", "per call", "overhead"}}}
	for i := range r.Rows {
		row := &r.Rows[i]
		rows.Rows = append(rows.Rows, []string{
			modeName(row.Scheme), row.Engine, fmt.Sprint(row.Relevant), fmt.Sprint(row.Irrelevant), short(row.PerCall), short(row.Overhead),
		})
	}
	p.Tables = append(p.Tables, rows)
	if len(r.Registration) > 0 {
		p.Tables = append(p.Tables, attachTable(r))
	}
	return p.WriteHTML(w)
}

func picture(r *bench.Result) (*figure.Figure, error) {
	if len(r.Registration) > 0 {
		return attachFigure(r), nil
	}
	return costFigure(r)
}

// attachFigure draws how long an ops takes to register and to unregister, over the sites in
// its filter.
func attachFigure(r *bench.Result) *figure.Figure {
	f := &figure.Figure{Title: "Registration of one ops, " + coreOf(r), X: "sites in its filter", Y: "time (microseconds)"}
	engines := make(map[string]int) // marks
	for i := range r.Registration {
		reg := &r.Registration[i]
		if _, ok := engines[reg.Engine]; !ok {
			engines[reg.Engine] = 2 * len(engines)
		}
		register := figure.Line{Name: attachName(reg, "register"), Color: colorOf[reg.Scheme], Glyph: engines[reg.Engine]}
		unregister := figure.Line{Name: attachName(reg, "unregister"), Color: colorOf[reg.Scheme], Glyph: engines[reg.Engine] + 1}
		for _, a := range reg.Attach {
			register.Points = append(register.Points, figure.Point{X: float64(a.Sites), Y: float64(a.RegisterNs) / 1e3})
			unregister.Points = append(unregister.Points, figure.Point{X: float64(a.Sites), Y: float64(a.UnregisterNs) / 1e3})
		}
		f.Lines = append(f.Lines, register, unregister)
	}
	return f
}

func attachName(reg *bench.Registration, what string) string {
	return fmt.Sprintf("%s, %s (%s)", modeName(reg.Scheme), what, reg.Engine)
}

func attachTable(r *bench.Result) figure.Table {
	t := figure.Table{Caption: "Registration, in microseconds", Rows: [][]string{{"scheme", "engine", "sites", "register", "unregister"}}}
	for i := range r.Registration {
		reg := &r.Registration[i]
		for _, a := range reg.Attach {
			t.Rows = append(t.Rows, []string{
				modeName(reg.Scheme), reg.Engine, fmt.Sprint(a.Sites), fmt.Sprintf("%.0f", float64(a.RegisterNs)/1e3), fmt.Sprintf("%.0f", float64(a.UnregisterNs)/1e3),
			})
		}
	}
	return t
}

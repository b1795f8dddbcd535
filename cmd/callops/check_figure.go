package main

import (
	"fmt"
	"io"

	"callops/check"
	"callops/internal/figure"
)

// growth is how many states a search had found at each depth.
type growth []check.Progress

// add notes how far a search is. One that starts anew, or goes on to another kind of task, leaves out what was before.
func (g *growth) add(p check.Progress) {
	if n := len(*g); n > 0 && p.Depth <= (*g)[n-1].Depth {
		*g = (*g)[:0]
	}
	*g = append(*g, p)
}

// growthFigure draws how searches grew, a line each.
func growthFigure(found []outcome) *figure.Figure {
	f := &figure.Figure{Title: "States found, by depth", X: "depth (steps)", Y: "states", Linear: true}
	for i := range found {
		o := &found[i]
		line := figure.Line{Name: o.name(), Color: figure.Colors[i%len(figure.Colors)], Glyph: i / len(figure.Colors)}
		if o.broken() {
			line.Name += ", broken"
		}
		for _, p := range append(o.growth, check.Progress{States: o.result.States, Depth: o.result.Depth}) {
			line.Points = append(line.Points, figure.Point{X: float64(p.Depth), Y: float64(p.States)})
		}
		f.Lines = append(f.Lines, line)
	}
	return f
}

// drawFound writes the figure, or a page with it.
func drawFound(w io.Writer, format string, found []outcome) error {
	f := growthFigure(found)
	switch format {
	case "svg":
		return f.WriteSVG(w)
	case "png":
		return f.WritePNG(w)
	}
	t := figure.Table{Caption: "Searches", Rows: [][]string{{"scenario", "verdict", "CPUs", "states", "transitions", "depth", "seconds"}}}
	for i := range found {
		o := &found[i]
		r := o.result
		t.Rows = append(t.Rows, []string{
			o.name(), o.verdict(), fmt.Sprint(r.CPUs), fmt.Sprint(r.States), fmt.Sprint(r.Transitions), fmt.Sprint(r.Depth), fmt.Sprintf("%.2f", r.Seconds),
		})
	}
	return (&figure.Page{Title: "callops check", Figures: []*figure.Figure{f}, Tables: []figure.Table{t}}).WriteHTML(w)
}

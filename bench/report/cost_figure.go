package report

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"slices"

	"callops/bench"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/internal/figure"
)

// colorOf are the colours of schemes.
var colorOf = map[ftrace.Scheme]color.Color{
	ftrace.CallOps: figure.Colors[0],
	ftrace.Global:  figure.Colors[1],
	ftrace.Sets:    figure.Colors[2],
	ftrace.List:    figure.Colors[3],
}

// series is the line of one scheme and number of ops of the kind that is not on
// the axis. Engines that count the same share one.
type series struct {
	scheme  ftrace.Scheme
	other   int
	engines string
	glyph   int // the number of the line in its scheme and engine
	points  []figure.Point
}

// axis is the kind of ops that a plot is over: the one of which more numbers
// were measured.
type axis struct {
	kind, otherKind string
	swapped         bool // relevant ops are on it
}

func (a axis) of(r *bench.Row) (x, other int) {
	if a.swapped {
		return r.Relevant, r.Irrelevant
	}
	return r.Irrelevant, r.Relevant
}

// costFigure draws the overhead of a traced call, all rows of a result: over the number
// of irrelevant ops with a line for each number of relevant ops, or the other way
// round where more numbers of relevant ones were measured. It needs a row with a
// relevant ops.
func costFigure(r *bench.Result) (*figure.Figure, error) {
	if !slices.ContainsFunc(r.Rows, func(row bench.Row) bool { return row.Relevant > 0 }) {
		return nil, fmt.Errorf("plot: no row has a relevant ops: %w", errno.EINVAL)
	}
	over, all := lines(r)
	f := &figure.Figure{Title: fmt.Sprintf("Cost of tracing %s, %s", r.Tracee, ftraceOf(r)), X: over.kind + " ops", Y: "overhead (instructions)"}
	for _, l := range all {
		f.Lines = append(f.Lines, figure.Line{Name: l.name(over), Color: colorOf[l.scheme], Glyph: l.glyph, Points: l.points})
	}
	return f, nil
}

// lines gathers all rows.
func lines(r *bench.Result) (axis, []*series) {
	over := axis{kind: "irrelevant", otherKind: "relevant"}
	relevant, irrelevant := make(map[int]bool), make(map[int]bool)
	for _, row := range r.Rows {
		relevant[row.Relevant], irrelevant[row.Irrelevant] = true, true
	}
	if len(relevant) > len(irrelevant) {
		over = axis{kind: "relevant", otherKind: "irrelevant", swapped: true}
	}
	var all []*series
	for _, rows := range blocks(r) {
		byOther := make(map[int]*series)
		for i := range rows {
			x, other := over.of(&rows[i])
			l := byOther[other]
			if l == nil {
				l = &series{scheme: rows[i].Scheme, other: other, engines: rows[i].Engine}
				byOther[other] = l
			}
			l.points = append(l.points, figure.Point{X: float64(x), Y: rows[i].Overhead})
		}
		for n, other := range slices.Sorted(maps.Keys(byOther)) {
			l := byOther[other]
			l.glyph = n
			slices.SortStableFunc(l.points, func(a, b figure.Point) int { return cmp.Compare(a.X, b.X) })
			all = l.mergeInto(all)
		}
	}
	return over, all
}

func (l *series) mergeInto(all []*series) []*series {
	for _, have := range all {
		if have.scheme == l.scheme && have.other == l.other && slices.Equal(have.points, l.points) {
			have.engines += ", " + l.engines
			return all
		}
	}
	return append(all, l)
}

// name is the line's in the legend.
func (l *series) name(over axis) string {
	return fmt.Sprintf("%s, %d %s (%s)", modeName(l.scheme), l.other, over.otherKind, l.engines)
}

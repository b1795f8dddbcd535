package report

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"callops/bench"
	"callops/ftrace"
	"callops/internal/errno"
)

const (
	plotWidth  = 16 * vg.Centimeter // without the legend, which is as wide as it has to be
	plotHeight = 12 * vg.Centimeter
	plotFont   = "Liberation Sans"
)

// Colours that stay apart in print and for the colour-blind.
var (
	colorOf = map[ftrace.Scheme]color.Color{
		ftrace.Global:  color.RGBA{R: 0xd5, G: 0x5e, A: 0xff},
		ftrace.List:    color.RGBA{R: 0xe6, G: 0x9f, A: 0xff},
		ftrace.CallOps: color.RGBA{G: 0x72, B: 0xb2, A: 0xff},
		ftrace.Sets:    color.RGBA{G: 0x9e, B: 0x73, A: 0xff},
	}
	colorGrid = color.Gray{Y: 0xdd}
)

// glyphs tell apart the lines of one scheme.
var glyphs = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{},
	draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{},
}

// series is the line of one scheme and number of ops of the kind that is not on
// the axis. Engines that count the same share one.
type series struct {
	scheme  ftrace.Scheme
	other   int
	engines string
	glyph   int // the number of the line in its scheme and engine
	points  plotter.XYs
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

// SVG draws the overhead of a traced call, all rows of a result: over the number
// of irrelevant ops with a line for each number of relevant ops, or the other way
// round where more numbers of relevant ones were measured. It needs a row with a
// relevant ops.
func SVG(w io.Writer, r *bench.Result) error {
	if !slices.ContainsFunc(r.Rows, func(row bench.Row) bool { return row.Relevant > 0 }) {
		return fmt.Errorf("plot: no row has a relevant ops: %w", errno.EINVAL)
	}
	over, all := lines(r)
	p := plot.New()
	p.Title.Text = fmt.Sprintf("Cost of tracing %s, %s", r.Tracee, ftraceOf(r))
	p.X.Label.Text = over.kind + " ops"
	// A label longer than half the axis would shrink the plot.
	p.Y.Label.Text = "overhead (instructions)"
	p.X.Scale, p.X.Tick.Marker = logOfNext{}, decades{}
	p.Y.Scale, p.Y.Tick.Marker = logOfNext{}, decades{}
	sansSerif(p)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = colorGrid, colorGrid
	p.Add(grid)
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.Padding, legend.TextStyle = true, true, vg.Points(3), p.Legend.TextStyle
	for _, l := range all {
		if err := l.add(p, &legend, over); err != nil {
			return err
		}
	}
	p.X.Min, p.Y.Min = 0, 0
	p.X.Max = max(p.X.Max, 1)
	p.Y.Max = math.Pow(10, math.Ceil(math.Log10(max(p.Y.Max, 1)+1)))
	// Beside the plot, where it covers no point.
	beside := legend.Rectangle(draw.New(vgsvg.New(plotWidth, plotHeight))).Size().X + vg.Centimeter
	c := vgsvg.New(plotWidth+beside, plotHeight)
	page := draw.New(c)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, 0, -vg.Centimeter/2-beside, 0, -vg.Centimeter/4))
	legend.Draw(draw.Crop(page, plotWidth, 0, 0, -vg.Centimeter))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// Where the viewer lacks the font that widths were computed with, it takes
	// one that is about as wide.
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte(plotFont), []byte(plotFont+",Arial,Helvetica,sans-serif")))
	return err
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
			l.points = append(l.points, plotter.XY{X: float64(x), Y: rows[i].Overhead})
		}
		for n, other := range slices.Sorted(maps.Keys(byOther)) {
			l := byOther[other]
			l.glyph = n
			slices.SortStableFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
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

func (l *series) add(p *plot.Plot, legend *plot.Legend, over axis) error {
	line, points, err := plotter.NewLinePoints(l.points)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	line.Color = colorOf[l.scheme]
	points.Shape = glyphs[l.glyph%len(glyphs)]
	line.Width, points.Radius, points.Color = vg.Points(1.5), vg.Points(3), line.Color
	p.Add(line, points)
	legend.Add(l.name(over), line, points)
	return nil
}

func sansSerif(p *plot.Plot) {
	for _, f := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		f.Variant = "Sans"
	}
}

// logOfNext is a logarithmic scale that has a place for 0: it is that of
// log(x+1).
type logOfNext struct{}

func (logOfNext) Normalize(lo, hi, x float64) float64 {
	return (math.Log1p(x) - math.Log1p(lo)) / (math.Log1p(hi) - math.Log1p(lo))
}

// decades marks 0 and the powers of ten, and between them every unit.
type decades struct{}

func (decades) Ticks(lo, hi float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 0, Label: "0"}}
	for unit := 1.0; unit <= hi; unit *= 10 {
		ticks = append(ticks, plot.Tick{Value: unit, Label: unitName(unit)})
		for n := 2.0; n < 10 && n*unit <= hi; n++ {
			ticks = append(ticks, plot.Tick{Value: n * unit})
		}
	}
	return slices.DeleteFunc(ticks, func(t plot.Tick) bool { return t.Value < lo })
}

// unitName writes a power of ten, with the letters of thousands, so that labels
// of neighbours do not meet.
func unitName(v float64) string {
	letter := ""
	for _, next := range []string{"k", "M", "G", "T", "P"} {
		if v < 1000 {
			break
		}
		v, letter = v/1000, next
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + letter
}

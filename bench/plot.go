package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"callops/internal/errno"
)

const (
	plotWidth  = 16 * vg.Centimeter
	plotHeight = 12 * vg.Centimeter
	plotFont   = "Liberation Sans"
)

// Colours that stay apart in print and for the colour-blind.
var (
	colorOff  = color.RGBA{R: 0xd5, G: 0x5e, A: 0xff}
	colorOn   = color.RGBA{G: 0x72, B: 0xb2, A: 0xff}
	colorGrid = color.Gray{Y: 0xdd}
)

// series is the line of one mode. Engines that count the same share one.
type series struct {
	callOps bool
	engines string
	points  plotter.XYs
}

// WriteSVG draws the overhead of a traced call over the number of irrelevant
// ops, with 1 relevant ops (or the least number that was measured). It needs
// such rows.
func (r *Result) WriteSVG(w io.Writer) error {
	relevant, lines := r.lines()
	if len(lines) == 0 {
		return fmt.Errorf("plot: no row has a relevant ops: %w", errno.EINVAL)
	}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("Cost of tracing %s, %d relevant ops", r.Tracee, relevant)
	p.X.Label.Text = "irrelevant ops"
	// A label longer than half the axis would shrink the plot.
	p.Y.Label.Text = "overhead (instructions)"
	p.X.Scale, p.X.Tick.Marker = logOfNext{}, decades{}
	p.Y.Scale, p.Y.Tick.Marker = logOfNext{}, decades{}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Points(3)
	p.Legend.XOffs, p.Legend.YOffs = vg.Centimeter/2, -vg.Centimeter/4
	sansSerif(p)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = colorGrid, colorGrid
	p.Add(grid)
	for _, l := range lines {
		if err := l.add(p); err != nil {
			return err
		}
	}
	p.X.Min, p.Y.Min = 0, 0
	p.X.Max = max(p.X.Max, 1)
	p.Y.Max = math.Pow(10, math.Ceil(math.Log10(p.Y.Max+1)))
	c := vgsvg.New(plotWidth, plotHeight)
	page := draw.New(c)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, 0, -vg.Centimeter/2, 0, -vg.Centimeter/4))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// Where the viewer lacks the font that widths were computed with, it takes
	// one that is about as wide.
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte(plotFont), []byte(plotFont+",Arial,Helvetica,sans-serif")))
	return err
}

// lines gathers the rows with the least number of relevant ops but none.
func (r *Result) lines() (relevant int, lines []*series) {
	for _, row := range r.Rows {
		if row.Relevant > 0 && (relevant == 0 || row.Relevant < relevant) {
			relevant = row.Relevant
		}
	}
	for _, rows := range r.blocks() {
		l := &series{callOps: rows[0].CallOps, engines: rows[0].Engine}
		for _, row := range rows {
			if relevant > 0 && row.Relevant == relevant {
				l.points = append(l.points, plotter.XY{X: float64(row.Irrelevant), Y: row.Overhead})
			}
		}
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return int(a.X - b.X) })
		lines = l.mergeInto(lines)
	}
	return relevant, lines
}

func (l *series) mergeInto(lines []*series) []*series {
	if len(l.points) == 0 {
		return lines
	}
	for _, have := range lines {
		if have.callOps == l.callOps && slices.Equal(have.points, l.points) {
			have.engines += ", " + l.engines
			return lines
		}
	}
	return append(lines, l)
}

func (l *series) add(p *plot.Plot) error {
	line, points, err := plotter.NewLinePoints(l.points)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	line.Color, points.Shape = colorOff, draw.CircleGlyph{}
	if l.callOps {
		line.Color, points.Shape = colorOn, draw.BoxGlyph{}
	}
	line.Width, points.Radius, points.Color = vg.Points(1.5), vg.Points(3), line.Color
	p.Add(line, points)
	p.Legend.Add(modeName(l.callOps)+" ("+l.engines+")", line, points)
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
		ticks = append(ticks, plot.Tick{Value: unit, Label: strconv.FormatFloat(unit, 'f', -1, 64)})
		for n := 2.0; n < 10 && n*unit <= hi; n++ {
			ticks = append(ticks, plot.Tick{Value: n * unit})
		}
	}
	return slices.DeleteFunc(ticks, func(t plot.Tick) bool { return t.Value < lo })
}

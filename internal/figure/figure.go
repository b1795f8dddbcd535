// Package figure draws lines as pictures: SVG, PNG, and an HTML page that needs nothing
// else.
package figure

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	plotWidth  = 16 * vg.Centimeter // without the legend, which is as wide as it has to be
	plotHeight = 12 * vg.Centimeter
	plotFont   = "Liberation Sans"
	resolution = 150 // of a PNG, in dots per inch
)

// Colors stay apart in print and for the colour-blind.
var Colors = []color.Color{
	color.RGBA{G: 0x72, B: 0xb2, A: 0xff},
	color.RGBA{R: 0xd5, G: 0x5e, A: 0xff},
	color.RGBA{G: 0x9e, B: 0x73, A: 0xff},
	color.RGBA{R: 0xe6, G: 0x9f, A: 0xff},
	color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
	color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff},
	color.RGBA{A: 0xff},
}

var colorGrid = color.Gray{Y: 0xdd}

// glyphs tell apart the lines of one colour.
var glyphs = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{},
	draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{},
}

// Figure is lines over two axes, both logarithmic with a place for 0.
type Figure struct {
	Title  string
	X, Y   string // what is on the axes
	Linear bool   // the X axis is
	Lines  []Line
}

// Line is a line with a mark at each point.
type Line struct {
	Name   string
	Color  color.Color
	Glyph  int // number of the mark
	Points []Point
}

// Point is one of a line, which has them from left to right.
type Point struct{ X, Y float64 }

// ErrEmpty is a figure without a point.
var ErrEmpty = errors.New("nothing to draw")

// canvas is what a figure is drawn on.
type canvas interface {
	vg.CanvasSizer
	io.WriterTo
}

// WriteSVG writes the figure as SVG.
func (f *Figure) WriteSVG(w io.Writer) error {
	b, err := f.draw(func(width, height vg.Length) canvas { return vgsvg.New(width, height) })
	if err != nil {
		return err
	}
	// Where the viewer lacks the font that widths were computed with, it takes
	// one that is about as wide.
	_, err = w.Write(bytes.ReplaceAll(b, []byte(plotFont), []byte(plotFont+",Arial,Helvetica,sans-serif")))
	return err
}

// WritePNG writes the figure as PNG.
func (f *Figure) WritePNG(w io.Writer) error {
	b, err := f.draw(func(width, height vg.Length) canvas {
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(resolution))}
	})
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// draw returns the file.
func (f *Figure) draw(newCanvas func(width, height vg.Length) canvas) ([]byte, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = f.Title, f.X
	// A label longer than half the axis would shrink the plot.
	p.Y.Label.Text = f.Y
	if !f.Linear {
		p.X.Scale, p.X.Tick.Marker = logOfNext{}, decades{}
	}
	p.Y.Scale, p.Y.Tick.Marker = logOfNext{}, decades{}
	sansSerif(p)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = colorGrid, colorGrid
	p.Add(grid)
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.Padding, legend.TextStyle = true, true, vg.Points(3), p.Legend.TextStyle
	for i := range f.Lines {
		if err := f.Lines[i].add(p, &legend); err != nil {
			return nil, err
		}
	}
	if len(f.Lines) == 0 {
		return nil, fmt.Errorf("plot: %w", ErrEmpty)
	}
	p.X.Min, p.Y.Min = 0, 0
	p.X.Max = max(p.X.Max, 1)
	p.Y.Max = roundUp(p.Y.Max)
	// Beside the plot, where it covers no point.
	size := legend.Rectangle(draw.New(vgsvg.New(plotWidth, plotHeight))).Size()
	beside, height := size.X+vg.Centimeter, max(plotHeight, size.Y+2*vg.Centimeter)
	c := newCanvas(plotWidth+beside, height)
	page := draw.New(c)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, 0, -vg.Centimeter/2-beside, height-plotHeight, -vg.Centimeter/4))
	legend.Draw(draw.Crop(page, plotWidth, 0, 0, -vg.Centimeter))
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	return b.Bytes(), err
}

func (l *Line) add(p *plot.Plot, legend *plot.Legend) error {
	xys := make(plotter.XYs, len(l.Points))
	for i, pt := range l.Points {
		xys[i] = plotter.XY(pt)
	}
	line, points, err := plotter.NewLinePoints(xys)
	if err != nil {
		return fmt.Errorf("plot: %s: %w", l.Name, err)
	}
	line.Color = l.Color
	points.Shape = glyphs[l.Glyph%len(glyphs)]
	line.Width, points.Radius, points.Color = vg.Points(1.5), vg.Points(3), line.Color
	p.Add(line, points)
	legend.Add(l.Name, line, points)
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

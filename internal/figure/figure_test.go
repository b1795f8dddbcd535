package figure

import (
	"bytes"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var some = &Figure{Title: "A title", X: "x", Y: "y", Lines: []Line{
	{Name: "one <line>", Color: Colors[0], Points: []Point{{0, 1}, {10, 100}}},
	{Name: "another", Color: Colors[1], Glyph: 9, Points: []Point{{5, 0}}},
}}

func TestFigure_IsTheSameEachTime(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{"svg": some.WriteSVG, "png": some.WritePNG} {
		var a, b bytes.Buffer
		require.NoError(t, write(&a))
		require.NoError(t, write(&b))
		assert.Equal(t, a.Bytes(), b.Bytes(), name)
	}
}

func TestFigure_PNGHasTheLinesColours(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, some.WritePNG(&b))
	picture, err := png.Decode(&b)
	require.NoError(t, err)
	for _, want := range Colors[:2] {
		wr, wg, wb, _ := want.RGBA()
		n := 0
		for y := range picture.Bounds().Dy() {
			for x := range picture.Bounds().Dx() {
				if r, g, b, _ := picture.At(x, y).RGBA(); r == wr && g == wg && b == wb {
					n++
				}
			}
		}
		assert.Greater(t, n, 50)
	}
}

func TestFigure_IsAsTallAsItsLegend(t *testing.T) {
	heights := make(map[int]int)
	for _, lines := range []int{1, 10, 60} {
		f := &Figure{}
		for range lines {
			f.Lines = append(f.Lines, some.Lines[1])
		}
		var b bytes.Buffer
		require.NoError(t, f.WritePNG(&b))
		config, err := png.DecodeConfig(&b)
		require.NoError(t, err)
		heights[lines] = config.Height
	}
	assert.Equal(t, heights[1], heights[10])
	assert.Greater(t, heights[60], 2*heights[10])
}

func TestFigure_RefusesWhatCanNotBeDrawn(t *testing.T) {
	assert.ErrorIs(t, (&Figure{}).WriteSVG(io.Discard), ErrEmpty)
	assert.Error(t, (&Figure{Lines: []Line{{Name: "nan", Color: Colors[0], Points: []Point{{1, math.NaN()}}}}}).WritePNG(io.Discard))
}

func TestPage_HoldsFiguresAndTables(t *testing.T) {
	var b strings.Builder
	p := &Page{Title: "<Title>", Figures: []*Figure{some, some}, Tables: []Table{{Caption: "c", Rows: [][]string{{"a", "b"}, {"1", "<2>"}}}}}
	require.NoError(t, p.WriteHTML(&b))
	page := b.String()
	assert.Equal(t, 2, strings.Count(page, "<svg "))
	assert.NotContains(t, page, "<?xml")
	assert.Contains(t, page, "<h1>&lt;Title&gt;</h1>")
	assert.Contains(t, page, "<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td>&lt;2&gt;</td></tr>")
	assert.Error(t, (&Page{Figures: []*Figure{{}}}).WriteHTML(&b))
}

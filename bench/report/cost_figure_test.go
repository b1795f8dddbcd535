package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/bench"
	"callops/ftrace"
	"callops/internal/figure"
)

// drawn are how many points of a mode's rows an SVG has, and over which ops.
func drawn(r *bench.Result) (n int, kind string) {
	over, all := lines(r)
	for _, l := range all {
		n += len(l.points)
	}
	return n, over.kind
}

func TestSVG_DrawsEveryRow(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows []opsCount
		kind string
	}{
		{"the published rows", published, "irrelevant"},
		{"relevant ops alone", []opsCount{{0, 0}, {1, 0}, {2, 0}, {10, 0}}, "relevant"},
		{"each with each", []opsCount{{1, 0}, {1, 5}, {1, 7}, {2, 0}, {2, 5}, {2, 7}}, "irrelevant"},
		{"one", []opsCount{{1, 0}}, "irrelevant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &bench.Result{}
			for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps} {
				for i, n := range tt.rows {
					r.Rows = append(r.Rows, bench.Row{Engine: "interp", Scheme: scheme, Relevant: n.relevant, Irrelevant: n.irrelevant, Overhead: float64(i)})
				}
			}
			n, kind := drawn(r)
			assert.Equal(t, len(r.Rows), n)
			assert.Equal(t, tt.kind, kind)
		})
	}
}

func TestPictures_OfRegistration(t *testing.T) {
	r := sampleResult()
	r.Registration = []bench.Registration{{
		Engine: "interp", Scheme: ftrace.CallOps, Sites: 2000, Attach: []bench.Attach{{Sites: 1000, RegisterNs: 5_000_000, UnregisterNs: 4_000_000}, {Sites: 2000, RegisterNs: 9_000_000, UnregisterNs: 8_000_000}},
	}}
	f := attachFigure(r)
	require.Len(t, f.Lines, 2)
	assert.Equal(t, []figure.Point{{X: 1000, Y: 5000}, {X: 2000, Y: 9000}}, f.Lines[0].Points)
	assert.Equal(t, []figure.Point{{X: 1000, Y: 4000}, {X: 2000, Y: 8000}}, f.Lines[1].Points)
	assert.NotEqual(t, f.Lines[0].Glyph, f.Lines[1].Glyph)

	var svg, png, html bytes.Buffer
	require.NoError(t, SVG(&svg, r))
	assert.Contains(t, svgText(t, svg.String()), "sites in its filter")
	require.NoError(t, PNG(&png, r))
	assert.Equal(t, "\x89PNG", png.String()[:4])
	require.NoError(t, HTML(&html, r))
	assert.Equal(t, 2, strings.Count(html.String(), "<svg "), "what a call costs, too")
	assert.Contains(t, html.String(), "<td>2000</td><td>9000</td><td>8000</td>")
}

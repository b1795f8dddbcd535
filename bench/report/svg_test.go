package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"callops/bench"
	"callops/ftrace"
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

func TestDecades_LabelsDoNotMeet(t *testing.T) {
	style := plot.New().X.Tick.Label
	const length = 12 * vg.Centimeter // the axis, less what its labels take
	for hi := 1.0; hi < 1e10; hi *= 10 {
		end := vg.Length(math.Inf(-1))
		for _, tick := range (decades{}).Ticks(0, hi) {
			if tick.Label == "" {
				continue
			}
			at := length * vg.Length(logOfNext{}.Normalize(0, hi, tick.Value))
			require.Greater(t, at-style.Width(tick.Label)/2, end, "%s of %g", tick.Label, hi)
			end = at + style.Width(tick.Label)/2
		}
	}
}

package figure

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

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

package figure

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
)

// logOfNext is a logarithmic scale that has a place for 0: it is that of
// log(x+1).
type logOfNext struct{}

func (logOfNext) Normalize(lo, hi, x float64) float64 {
	return (math.Log1p(x) - math.Log1p(lo)) / (math.Log1p(hi) - math.Log1p(lo))
}

// roundUp is the next power of ten.
func roundUp(v float64) float64 { return math.Pow(10, math.Ceil(math.Log10(max(v, 1)+1))) }

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

package try

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/check/property"
)

func TestChange_OfVerdicts(t *testing.T) {
	holds, bounded, failed := Found{Outcome: Holds}, Found{Outcome: Bounded}, Found{Outcome: Failed}
	broken := Found{Outcome: Broken, Property: property.FuncHasItsOps}
	other := Found{Outcome: Broken, Property: property.NoUseAfterFree}
	for _, c := range []struct {
		old, now Found
		want     Change
	}{
		{holds, holds, Same},
		{broken, broken, Same},
		{failed, failed, Same},
		{holds, broken, Worse},
		{holds, failed, Worse},
		{broken, other, Worse},
		{broken, failed, Worse},
		{broken, holds, Better},
		{failed, holds, Better},
		{failed, broken, Better},
		{bounded, holds, Unknown},
		{holds, bounded, Unknown},
		{bounded, broken, Worse},
		{broken, bounded, Unknown},
	} {
		assert.Equal(t, c.want, change(&c.old, &c.now), "%v to %v", c.old, c.now)
	}
}

func TestCore_OfTwoKernelsIsWorseOnlyWhereTheOldOneWasNot(t *testing.T) {
	alike, other, failed := Agreement{Operations: 9}, Agreement{Difference: &Difference{What: "x"}}, Agreement{Failed: "no ftrace_init"}
	another := Agreement{Difference: &Difference{What: "y"}}
	for _, c := range []struct {
		old, now Agreement
		want     Change
	}{
		{alike, alike, Same}, {other, other, Same}, {alike, other, Worse}, {alike, failed, Worse}, {other, another, Worse},
		{other, alike, Better}, {failed, alike, Unknown}, {failed, failed, Unknown}, {failed, other, Unknown},
	} {
		assert.Equal(t, c.want, (&Core{Old: c.old, New: c.now}).compare(), "%v to %v", c.old, c.now)
	}
}

package check_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/trace/timeline"
)

func TestTimeline_HasEveryStepOnItsAgentsTrack(t *testing.T) {
	var list []*check.Counterexample
	for _, name := range []string{"load-literal-twice", "no-tasks-wait", "no-hash-grace"} {
		list = append(list, counterexample(t, name))
	}
	tl := check.Timeline(list)
	var roots []string
	for _, track := range tl.Tracks {
		if track.Parent < 0 {
			roots = append(roots, track.Name)
		}
	}
	require.Len(t, roots, 3)
	assert.Contains(t, roots[0], "load-literal-twice")

	steps, stale, broken := make([]int, 3), make([]int, 3), make([]int, 3)
	depth, last := make(map[int]int), make(map[int]uint64)
	rootOf := make(map[int]int)
	for e := range tl.Events {
		track := tl.Tracks[e.Track]
		require.GreaterOrEqual(t, track.Parent, 0)
		if _, ok := rootOf[track.Parent]; !ok {
			rootOf[track.Parent] = len(rootOf)
		}
		i := rootOf[track.Parent]
		assert.GreaterOrEqual(t, e.Time, last[e.Track])
		last[e.Track] = e.Time
		switch e.Phase {
		case timeline.Begin:
			depth[e.Track]++
			if len(e.Args) > 0 {
				step := list[i].Steps[steps[i]]
				assert.Equal(t, step.Agent.String(), track.Name)
				assert.Equal(t, step.Event.String(), e.Category)
				steps[i]++
			}
		case timeline.End:
			depth[e.Track]--
			assert.GreaterOrEqual(t, depth[e.Track], 0)
		case timeline.Instant:
			switch {
			case e.Category == "broken":
				broken[i]++
				assert.Equal(t, "broken: "+list[i].Claim, e.Name)
			case strings.HasPrefix(e.Name, "stale "):
				stale[i]++
			}
		}
	}
	for _, d := range depth {
		assert.Zero(t, d)
	}
	for i, c := range list {
		assert.Equal(t, len(c.Steps), steps[i])
		assert.Equal(t, 1, broken[i])
		want := 0
		for _, s := range c.Steps {
			if s.Newest != "" {
				want++
			}
			for _, r := range s.Reads {
				if r.Stale {
					want++
				}
			}
		}
		assert.Equal(t, want, stale[i])
	}
	assert.NotZero(t, stale[0]+stale[1]+stale[2])
}

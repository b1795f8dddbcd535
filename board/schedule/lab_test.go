package schedule_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board/schedule"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage"
)

var all = flag.Bool("all", false, "every workload and every fault, on each kernel with CALL_OPS")

// series are the kernels to test on.
func series() []string {
	if *all {
		return kernels.CallOps
	}
	return []string{kernels.Linux612}
}

func open(t testing.TB, series string) *kernelimage.Image {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, img.Close()) })
	return img
}

func lab(t testing.TB, img *kernelimage.Image, w *schedule.Workload, opts *schedule.Options) *schedule.Lab {
	t.Helper()
	l, err := schedule.New(t.Context(), img, w, opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

func workload(t testing.TB, name string) *schedule.Workload {
	t.Helper()
	w, err := schedule.WorkloadByName(name)
	require.NoError(t, err)
	return w
}

func TestRun_GoesBackToWhereItBegan(t *testing.T) {
	l := lab(t, open(t, kernels.Linux612), workload(t, "register"), nil)
	run := func(p schedule.Policy) *schedule.Outcome {
		t.Helper()
		o, err := l.Run(t.Context(), p)
		require.NoError(t, err)
		assert.Nil(t, o.Failure)
		return o
	}
	first := run(l.PCT(1, 3))
	other := run(schedule.NewRandom(1, 1<<16))
	assert.NotEqual(t, first.Schedule, other.Schedule)
	assert.Equal(t, first, run(l.PCT(1, 3)))
	assert.Equal(t, other, run(schedule.NewFixed(other.Schedule)), "turns that follow each other on a CPU are one")
}

func TestSearch_OfOnePreemptionEndsAndHolds(t *testing.T) {
	img := open(t, kernels.Linux612)
	// register patches text through a page that is found only then: a point at which the CPU stands still.
	for name, schedules := range map[string]int{"third-ops": 50, "register": 20} {
		l := lab(t, img, workload(t, name), nil)
		r, err := l.Search(t.Context(), &schedule.SearchOptions{Preemptions: 1})
		require.NoError(t, err)
		assert.Nil(t, r.Found, name)
		assert.True(t, r.Complete, name)
		assert.Greater(t, r.Schedules, schedules, name)
	}
	l := lab(t, img, workload(t, "register"), nil)
	_, err := l.Search(t.Context(), &schedule.SearchOptions{Schedules: -1})
	require.ErrorIs(t, err, errno.EINVAL)
}

func TestFaults_AreFoundAndReplayed(t *testing.T) {
	quick := map[string]bool{"no-wait": true, "list-order": true}
	for _, series := range series() {
		img := open(t, series)
		for _, f := range schedule.Faults {
			if !quick[f.Name] && !*all {
				continue
			}
			t.Run(series+" "+f.Name, func(t *testing.T) {
				l := lab(t, img, workload(t, f.Workload), &schedule.Options{Fault: f})
				r, err := l.Search(t.Context(), &schedule.SearchOptions{Schedules: 5000})
				require.NoError(t, err)
				require.NotNil(t, r.Found, "in %d schedules", r.Schedules)
				t.Logf("%d schedules, %d instructions: %v", r.Schedules, r.Instructions, r.Found.Failure)
				p, err := l.Replay(r.Found.Token)
				require.NoError(t, err)
				again, tracks, err := l.Record(t.Context(), p)
				require.NoError(t, err)
				assert.Equal(t, r.Found.Sum, again.Sum)
				assert.Equal(t, r.Found.Failure.Error(), again.Failure.Error())
				assert.True(t, r.Found.Token == l.Token(again.Schedule), "the schedule is the token's")
				events := 0
				for e := range tracks.Events {
					assert.Less(t, e.Track, len(tracks.Tracks))
					events++
				}
				assert.Greater(t, events, len(again.Schedule))
			})
		}
	}
}

func TestWorkloads_HoldOnTheKernelAsItIs(t *testing.T) {
	for _, series := range series() {
		img := open(t, series)
		for _, w := range schedule.Workloads {
			if w.Name != "register" && !*all {
				continue
			}
			t.Run(series+" "+w.Name, func(t *testing.T) {
				l := lab(t, img, w, nil)
				r, err := l.Search(t.Context(), &schedule.SearchOptions{Schedules: 300})
				require.NoError(t, err)
				if r.Found != nil {
					t.Fatal(r.Found)
				}
			})
		}
	}
}

func TestReplay_RefusesTokensOfOthers(t *testing.T) {
	l := lab(t, open(t, kernels.Linux612), workload(t, "register"), nil)
	for _, token := range []string{
		"", "s0/register//00000000/", "s1/register//00000000/0:1", "s1/filter//00000000/0:1", "s1/register/no-wait/00000000/0:1",
		"s1/register//00000000/9:1", "s1/register//00000000/0:-1", "s1/register//0000000/0:1", "s1/register//00000000/0",
	} {
		_, err := l.Replay(token)
		require.ErrorIs(t, err, schedule.ErrToken, token)
	}
	p, err := l.Replay(l.Token(nil))
	require.NoError(t, err)
	o, err := l.Run(t.Context(), p)
	require.NoError(t, err)
	assert.Nil(t, o.Failure)
}

func FuzzParseToken(f *testing.F) {
	f.Add("s1/register/no-wait/01234567/0:1,1:20")
	f.Add("s1/register//01234567/")
	f.Fuzz(func(t *testing.T, token string) {
		parts, err := schedule.ParseToken(token)
		if err != nil {
			require.ErrorIs(t, err, schedule.ErrToken)
			require.Nil(t, parts)
		}
	})
}

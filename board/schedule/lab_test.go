package schedule_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board/schedule"
	"callops/internal/kernels"
	"callops/kernelimage"
)

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

func TestRun_GoesBackToWhereItBegan(t *testing.T) {
	l := lab(t, open(t, kernels.Linux612), schedule.Register, nil)
	run := func(p schedule.Policy) *schedule.Outcome {
		t.Helper()
		o, err := l.Run(t.Context(), p)
		require.NoError(t, err)
		assert.Nil(t, o.Failure)
		return o
	}
	first := run(schedule.NewPCT(1, 3, 1e7))
	other := run(schedule.NewRandom(1, 1<<16))
	assert.NotEqual(t, first.Schedule, other.Schedule)
	assert.Equal(t, first, run(schedule.NewPCT(1, 3, 1e7)))
	assert.Equal(t, other, run(schedule.NewFixed(other.Schedule)))
}

func TestFaults_AreFoundAndReplayed(t *testing.T) {
	img := open(t, kernels.Linux612)
	for _, f := range schedule.Faults {
		t.Run(f.Name, func(t *testing.T) {
			l := lab(t, img, f.Workload, &schedule.Options{Fault: f})
			for seed := range uint64(200) {
				o, err := l.Run(t.Context(), schedule.NewPCT(seed, 3, 1e7))
				require.NoError(t, err)
				if o.Failure == nil {
					continue
				}
				t.Logf("seed %d: %v", seed, o.Failure)
				token := l.Token(o.Schedule)
				p, err := l.Replay(token)
				require.NoError(t, err)
				again, err := l.Run(t.Context(), p)
				require.NoError(t, err)
				assert.Equal(t, o.Sum, again.Sum)
				assert.Equal(t, o.Failure.Error(), again.Failure.Error())
				assert.Equal(t, token, l.Token(again.Schedule))
				return
			}
			t.Fatal("not found")
		})
	}
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

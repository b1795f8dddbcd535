package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/kernel"
)

func TestRegister(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets} {
			const sites = 3000
			img, err := syntheticImage(sites, hasLiterals(scheme))
			require.NoError(t, err)
			reg, err := (&Config{}).register(t.Context(), img, e, scheme)
			require.NoError(t, err)
			assert.Equal(t, e.Name, reg.Engine)
			assert.Equal(t, scheme, reg.Scheme)
			assert.Equal(t, hasLiterals(scheme), reg.CallOps)
			assert.Equal(t, sites, reg.Sites)
			assert.Positive(t, reg.RegisterNs)
			assert.Positive(t, reg.UnregisterNs)
			// A struct ftrace_func_entry each, and buckets and the hash among all.
			assert.InDelta(t, 32, reg.GuestBytes, 8)
			assert.Positive(t, reg.HostBytes)
			require.Len(t, reg.Joins, len(joined))
			for i, j := range reg.Joins {
				assert.Equal(t, joined[i], j.Ops)
				assert.Positive(t, j.RegisterNs)
				assert.Positive(t, j.UnregisterNs)
			}
		}
	})
}

func TestRegister_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	img, err := syntheticImage(10, true)
	require.NoError(t, err)
	_, err = (&Config{}).register(ctx, img, engines[0], ftrace.CallOps)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestRun_Registration(t *testing.T) {
	res := measure(t, &Config{Engines: engines[:1], Calls: 1, Relevant: []int{1}, Registration: true})
	require.Len(t, res.Registration, 3)
	for i, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets} {
		assert.Equal(t, scheme, res.Registration[i].Scheme)
	}
	assert.Equal(t, registrationSites, res.Registration[0].Sites)
}

func TestRun_RegistrationIsOnTheImagesSites(t *testing.T) {
	img := openImage(t, "workload-callops.elf")
	res := measure(t, &Config{Image: img, Engines: engines[:1], Calls: 1, Relevant: []int{1}, Schemes: []ftrace.Scheme{ftrace.CallOps}, Registration: true, Tracee: "gcd", Args: []uint64{6, 4}})
	require.Len(t, res.Registration, 1)
	assert.Equal(t, len(img.Sites()), res.Registration[0].Sites)
	assert.Equal(t, img.Name(), res.Registration[0].Image)
}

// Every function of the synthetic kernel is one that ftrace can trace.
func TestSyntheticImage(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		for _, on := range []bool{false, true} {
			img, err := syntheticImage(100, on)
			require.NoError(t, err)
			assert.Len(t, img.Sites(), 100)
			k, err := kernel.Boot(img, e.New, nil)
			require.NoError(t, err)
			defer k.Close()
			r, err := ftrace.New(k, nil)
			require.NoError(t, err)
			assert.Equal(t, on, r.CallOps())
			require.NoError(t, r.Validate())

			o, err := r.NewOps("all", r.Code().OpsFuncCount, &ftrace.OpsOptions{Extra: counterSize})
			require.NoError(t, err)
			require.NoError(t, filterAll(r, o))
			require.NoError(t, r.Register(o))
			require.NoError(t, r.Validate())
			for _, s := range img.Symbols() {
				_, err := k.CallName(t.Context(), 0, nil, s.Name)
				require.NoError(t, err)
			}
			n, err := k.Mem.Load32(o.Addr() + uint64(k.Layout.Ops.Size))
			require.NoError(t, err)
			assert.EqualValues(t, 100, n)
		}
	})
}

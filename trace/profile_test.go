package trace_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/engines"
	"callops/trace"
)

// What the profiler adds up is what function_graph's events say.
func TestProfile_AgreesWithFunctionGraph(t *testing.T) {
	for _, engine := range engines.All() {
		t.Run(engine.Name, func(t *testing.T) {
			k, r := graphed(t, engine)
			p, err := trace.NewProfile(k, r, "profile")
			require.NoError(t, err)
			g, err := trace.NewGraph(k, r, "graph", &trace.GraphOptions{Entries: 256})
			require.NoError(t, err)
			require.NoError(t, r.SetFilter(p.Ops.Ops, "fib", nil))
			require.NoError(t, r.RegisterGraph(p.Ops))
			require.NoError(t, r.RegisterGraph(g.Ops))
			call(t, k, "fib", 6)
			call(t, k, "gcd", 4, 2)
			got, err := p.Read()
			require.NoError(t, err)
			require.Len(t, got, 1, "gcd is not in its filter")
			var n, sum, squares uint64
			for _, e := range g.Read().Events {
				if e.Kind == trace.KindGraphReturn && e.IP == got[0].IP {
					d := e.Time - e.Start
					n, sum, squares = n+1, sum+d, squares+d*d
				}
			}
			assert.Equal(t, trace.Profiled{IP: got[0].IP, Hits: 25, Time: sum, Average: sum / 25, Variance: (n*squares - sum*sum) / (n * (n - 1))}, got[0])

			require.NoError(t, r.UnregisterGraph(p.Ops))
			call(t, k, "fib", 6)
			again, err := p.Read()
			require.NoError(t, err)
			assert.Equal(t, got, again, "it has left")
		})
	}
}

func TestWriteProfile(t *testing.T) {
	var out bytes.Buffer
	list := []trace.Profiled{
		{CPU: 0, IP: 1, Hits: 3, Time: 300, Average: 100, Variance: 7}, {CPU: 1, IP: 2, Hits: 1, Time: 12345678901234, Average: 12345678901234},
	}
	names := map[uint64]string{1: "short", 2: "a_name_that_is_longer_than_thirty_columns"}
	require.NoError(t, trace.WriteProfile(&out, list, &trace.Symbols{Name: func(ip uint64) string { return names[ip] }}))
	assert.Equal(t, ""+
		"# CPU 0, times in instructions\n"+
		"  Function                               Hit    Time            Avg             s^2\n"+
		"  --------                               ---    ----            ---             ---\n"+
		"  short                                    3    300             100             7\n"+
		"# CPU 1, times in instructions\n"+
		"  Function                               Hit    Time            Avg             s^2\n"+
		"  --------                               ---    ----            ---             ---\n"+
		"  a_name_that_is_longer_than_thi           1    12345678901234    12345678901234    0\n", out.String())
}

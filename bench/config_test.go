package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/ftrace"
	"callops/internal/errno"
)

func TestParseOpsFlags(t *testing.T) {
	for list, want := range map[string]ftrace.OpsFlag{
		"":                     0,
		"recursion":            ftrace.OpsRecursion,
		"rcu":                  ftrace.OpsRCU,
		"regs":                 ftrace.OpsSaveRegsIfSupported,
		"rcu, recursion,regs,": 0,
		"recursion,rcu":        ftrace.OpsRecursion | ftrace.OpsRCU,
		"save_regs":            0,
	} {
		got, err := ParseOpsFlags(list)
		if want == 0 && list != "" {
			assert.ErrorIs(t, err, errno.EINVAL, list)
		} else {
			assert.NoError(t, err, list)
		}
		assert.Equal(t, want, got, list)
	}
}

func TestScenarios(t *testing.T) {
	for name, test := range map[string]struct {
		relevant, irrelevant []int
		want                 []scenario
	}{
		"each with each, the baseline first": {[]int{2, 1}, []int{3, 0}, []scenario{{0, 0}, {2, 3}, {2, 0}, {1, 3}, {1, 0}}},
		"the baseline once":                  {[]int{0, 1}, []int{0}, []scenario{{0, 0}, {1, 0}}},
		"repeated counts once":               {[]int{1, 1}, nil, []scenario{{0, 0}, {1, 0}}},
		"irrelevant only":                    {nil, []int{5}, []scenario{{0, 0}, {0, 5}}},
		"none at all":                        {[]int{}, []int{}, []scenario{{0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Config{Relevant: test.relevant, IrrelevantCounts: test.irrelevant}).scenarios(ftrace.Global)
			assert.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

// Protection costs instructions, and rules out that a site calls its one ops
// directly; asking for registers that are not there changes nothing.
func TestRun_OpsFlags(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		overhead := make(map[string]float64)
		for _, list := range []string{"", "regs", "recursion", "rcu", "recursion,rcu"} {
			flags, err := ParseOpsFlags(list)
			assert.NoError(t, err)
			res := measure(t, &Config{
				Engines: []Engine{e}, Schemes: []ftrace.Scheme{ftrace.CallOps}, Relevant: []int{1}, Calls: 5,
				OpsFlags: flags, Tracer: TracerCount,
			})
			overhead[list] = res.Rows[1].Overhead
			assert.EqualValues(t, 5, res.Rows[1].Callbacks, list)
		}
		assert.Equal(t, overhead[""], overhead["regs"])
		assert.Greater(t, overhead["recursion"], overhead[""])
		assert.Greater(t, overhead["rcu"], overhead[""])
	})
}

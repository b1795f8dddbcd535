package board

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

var samples = flag.Bool("samples", false, "load ftrace-ops.ko, which `make samples` builds")

// quiet keeps the timer tick from CPU 1 while one task runs there (Documentation/timers/no_hz.rst): a tick takes some 3,400 instructions, and the
// loop of 100 relevant ops meets 127. RCU would ask for the tick again after 100 ms.
const quiet = "nohz_full=1 rcutree.jiffies_till_sched_qs=10000"

// attempted is the line with the figures of samples/ftrace/ftrace-ops.c.
var attempted = regexp.MustCompile(`ftrace_ops: Attempted \d+ calls to tracee_relevant \[ftrace_ops\] in (\d+)ns \((\d+)ns / call\)`)

// row is a row of the sample's figures, in instructions.
type row struct{ relevant, irrelevant, perCall int }

// readRows reads the figures of a file in testdata.
func readRows(t *testing.T, name string) (rows []row) {
	f, err := os.Open(name)
	require.NoError(t, err)
	defer func() { assert.NoError(t, f.Close()) }()
	r := csv.NewReader(f)
	r.Comment = '#'
	records, err := r.ReadAll()
	require.NoError(t, err)
	for _, rec := range records[1:] {
		var n [4]int
		for i, s := range rec {
			n[i], err = strconv.Atoi(s)
			require.NoError(t, err)
		}
		rows = append(rows, row{n[0], n[1], n[2]})
		assert.Equal(t, n[2]-rows[0].perCall, n[3], "the overhead is what is more than the loop and the tracee take")
	}
	return rows
}

func TestSample_PrintsWhatTheReferenceSays(t *testing.T) {
	if !*samples {
		t.Skip("make samples builds the module, and runs this")
	}
	for _, tt := range []struct {
		series, rows string
		calls        int
	}{
		{kernels.Linux612, "testdata/call-ops-6.12.csv", 100_000},
		{kernels.Linux61, "testdata/call-ops-6.1.csv", 200}, // which end before a tick: 6.1 does not stop it
	} {
		t.Run(tt.series, func(t *testing.T) {
			file, err := os.ReadFile(kernels.Sample(t, tt.series))
			require.NoError(t, err)
			m, err := Boot(t.Context(), open(t, tt.series), &Options{CPUs: 2, Append: quiet})
			require.NoError(t, err)
			require.NoError(t, m.Pin(t.Context(), 1))
			z, err := m.Freeze()
			require.NoError(t, err)
			require.NoError(t, m.Close())
			defer func() { assert.NoError(t, z.Close()) }()
			for _, want := range readRows(t, tt.rows) {
				t.Run(fmt.Sprintf("%d_relevant,_%d_irrelevant", want.relevant, want.irrelevant), func(t *testing.T) {
					var found []string
					m, err := z.Start(func(line string) {
						if f := attempted.FindStringSubmatch(line); f != nil {
							found = f
						}
					})
					require.NoError(t, err)
					defer func() { assert.NoError(t, m.Close()) }()
					// The sample does not stay: EINVAL is how it ends.
					require.Error(t, m.LoadModule(t.Context(), file,
						fmt.Sprintf("nr_function_calls=%d nr_ops_relevant=%d nr_ops_irrelevant=%d", tt.calls, want.relevant, want.irrelevant)))
					require.NotNil(t, found, "it printed no figures")
					t.Logf("%s ns, %s a call", found[1], found[2])
					assert.Equal(t, strconv.Itoa(want.perCall), found[2])
				})
			}
		})
	}
}

package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/bench"
	"callops/ftrace"
	"callops/internal/errno"
)

var update = flag.Bool("update", false, "write golden files")

// published are the rows of the comparison published with CALL_OPS.
var published = []opsCount{
	{0, 0}, {0, 1}, {0, 2}, {0, 10}, {0, 100},
	{1, 0}, {1, 1}, {1, 2}, {1, 10}, {1, 100},
	{2, 0}, {10, 0}, {100, 0},
}

// sampleResult has what Linux 6.12 takes, so that the table compares equal
// figures.
func sampleResult() *bench.Result {
	r := &bench.Result{
		Tracee: bench.DefaultTracee, Irrelevant: bench.DefaultIrrelevant, Calls: 1000, Tracer: bench.TracerNop,
		AsSample: true, Code: bench.CodeCallops,
	}
	for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps} {
		for _, s := range published {
			row := bench.Row{Engine: "unicorn", Scheme: scheme, CallOps: scheme != ftrace.Global, Relevant: s.relevant, Irrelevant: s.irrelevant, PerCall: 8, NsPerCall: 12.5}
			if ref, ok := row.Reference(); ok {
				row.Overhead = ref.Overhead
				row.PerCall += ref.Overhead
			}
			if s.relevant > 0 {
				row.Trampoline = 39
			}
			r.Rows = append(r.Rows, row)
		}
	}
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile("testdata/"+name, got, 0o644))
	}
	want, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestTable(t *testing.T) {
	r := sampleResult()
	t.Run("as the sample", func(t *testing.T) {
		var b bytes.Buffer
		require.NoError(t, Table(&b, r))
		golden(t, "sample.table", b.Bytes())
	})
	t.Run("other than the sample", func(t *testing.T) {
		other := *r
		other.AsSample, other.Tracer, other.Tracee = false, bench.TracerCount, "fib"
		other.Rows = r.Rows[:8]
		other.Registration = []bench.Registration{{
			Engine: "unicorn", CallOps: true, Sites: 50000, RegisterNs: 8.4e6, UnregisterNs: 7.7e6, HostBytes: 40.7, GuestBytes: 32.7,
			Joins: []bench.Join{{Ops: 2, RegisterNs: 9e6, UnregisterNs: 8e6}, {Ops: 10, RegisterNs: 4e6, UnregisterNs: 3e6}},
		}}
		var b bytes.Buffer
		require.NoError(t, Table(&b, &other))
		golden(t, "other.table", b.Bytes())
	})
}

func TestJSON_KeysOfARow(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, JSON(&b, sampleResult()))
	var got struct {
		Tracee string
		Calls  int
		Rows   []map[string]any
	}
	dec := json.NewDecoder(&b)
	require.NoError(t, dec.Decode(&got))
	assert.Equal(t, bench.DefaultTracee, got.Tracee)
	assert.Equal(t, 1000, got.Calls)
	require.Len(t, got.Rows, 2*len(published))
	var keys []string
	for key := range got.Rows[0] {
		keys = append(keys, key)
	}
	assert.ElementsMatch(t, csvColumns, keys)
}

func TestCSV(t *testing.T) {
	r := sampleResult()
	r.Rows[0].PerCall, r.Rows[0].Callbacks = 8.25, 1000
	var b bytes.Buffer
	require.NoError(t, CSV(&b, r))
	records, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+len(r.Rows))
	assert.Equal(t, csvColumns, records[0])
	assert.Equal(t, []string{"unicorn", "global", "false", "0", "0", "8.25", "0", "0", "12.5", "1000"}, records[1])
}

func TestSVG(t *testing.T) {
	t.Run("both modes", func(t *testing.T) {
		r := sampleResult()
		var b, again bytes.Buffer
		require.NoError(t, SVG(&b, r))
		require.NoError(t, SVG(&again, r))
		assert.Equal(t, b.String(), again.String())
		text := svgText(t, b.String())
		for _, want := range []string{"irrelevant ops", "overhead (instructions)", "CALL_OPS off, 1 relevant (unicorn)", "CALL_OPS on, 1 relevant (unicorn)"} {
			assert.Contains(t, text, want)
		}
	})
	t.Run("engines that count the same share a line", func(t *testing.T) {
		r := sampleResult()
		for _, row := range sampleResult().Rows {
			row.Engine = "interp"
			r.Rows = append(r.Rows, row)
		}
		var b bytes.Buffer
		require.NoError(t, SVG(&b, r))
		assert.Contains(t, svgText(t, b.String()), "CALL_OPS on, 1 relevant (unicorn, interp)")
	})
	t.Run("a single row", func(t *testing.T) {
		r := sampleResult()
		r.Rows = r.Rows[5:6]
		assert.NoError(t, SVG(io.Discard, r))
	})
	t.Run("nothing traced", func(t *testing.T) {
		r := sampleResult()
		r.Rows = r.Rows[:5]
		assert.ErrorIs(t, SVG(io.Discard, r), errno.EINVAL)
	})
}

// svgText is all text of a well-formed SVG.
func svgText(t *testing.T, svg string) []string {
	t.Helper()
	var all []string
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if data, ok := token.(xml.CharData); ok {
			all = append(all, strings.TrimSpace(string(data)))
		}
	}
}

func TestTrends(t *testing.T) {
	r := sampleResult()
	blocks := blocks(r)
	require.Len(t, blocks, 2)
	text := func(rows []bench.Row) (lines []string) {
		for _, trend := range trends(rows) {
			lines = append(lines, trend.String())
		}
		return lines
	}
	assert.Equal(t, []string{
		"irrelevant ops, with 1 relevant: 0 to 100: +42 each",
		"relevant ops, with 0 irrelevant: 1 to 100: +54 each",
	}, text(blocks[0]))
	assert.Equal(t, []string{
		"irrelevant ops, with 1 relevant: 0 to 100: +0, flat",
		"relevant ops, with 0 irrelevant: 1 to 2: +156 each; 2 to 100: +50 each",
	}, text(blocks[1]))
	assert.Empty(t, trends(blocks[0][:6]), "one traced row")
}

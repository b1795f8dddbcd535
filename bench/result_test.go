package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

// sampleResult has what Linux 6.12 takes, so that the table compares equal
// figures.
func sampleResult() *Result {
	r := &Result{Tracee: DefaultTracee, Irrelevant: DefaultIrrelevant, Calls: 1000, Tracer: TracerNop, asSample: true}
	for _, on := range []bool{false, true} {
		for _, s := range published {
			row := Row{Engine: "unicorn", CallOps: on, Relevant: s.relevant, Irrelevant: s.irrelevant, PerCall: 8, NsPerCall: 12.5}
			if ref, ok := referenceFor(&row); ok {
				row.Overhead = ref.overhead
				row.PerCall += ref.overhead
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

func TestWriteTable(t *testing.T) {
	r := sampleResult()
	t.Run("as the sample", func(t *testing.T) {
		var b bytes.Buffer
		require.NoError(t, r.WriteTable(&b))
		golden(t, "sample.table", b.Bytes())
	})
	t.Run("other than the sample", func(t *testing.T) {
		other := *r
		other.asSample, other.Tracer, other.Tracee = false, TracerCount, "fib"
		other.Rows = r.Rows[:8]
		other.Registration = []Registration{{
			Engine: "unicorn", CallOps: true, Sites: 50000, RegisterNs: 8.4e6, UnregisterNs: 7.7e6, HostBytes: 40.7, GuestBytes: 32.7,
		}}
		var b bytes.Buffer
		require.NoError(t, other.WriteTable(&b))
		golden(t, "other.table", b.Bytes())
	})
}

func TestWriteJSON_KeysOfARow(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sampleResult().WriteJSON(&b))
	var got struct {
		Tracee string
		Calls  int
		Rows   []map[string]any
	}
	dec := json.NewDecoder(&b)
	require.NoError(t, dec.Decode(&got))
	assert.Equal(t, DefaultTracee, got.Tracee)
	assert.Equal(t, 1000, got.Calls)
	require.Len(t, got.Rows, 2*len(published))
	var keys []string
	for key := range got.Rows[0] {
		keys = append(keys, key)
	}
	assert.ElementsMatch(t, csvColumns, keys)
}

func TestWriteCSV(t *testing.T) {
	r := sampleResult()
	r.Rows[0].PerCall, r.Rows[0].Callbacks = 8.25, 1000
	var b bytes.Buffer
	require.NoError(t, r.WriteCSV(&b))
	records, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 1+len(r.Rows))
	assert.Equal(t, csvColumns, records[0])
	assert.Equal(t, []string{"unicorn", "false", "0", "0", "8.25", "0", "0", "12.5", "1000"}, records[1])
}

func TestWriteSVG(t *testing.T) {
	t.Run("both modes", func(t *testing.T) {
		r := sampleResult()
		var b, again bytes.Buffer
		require.NoError(t, r.WriteSVG(&b))
		require.NoError(t, r.WriteSVG(&again))
		assert.Equal(t, b.String(), again.String())
		text := svgText(t, b.String())
		for _, want := range []string{"irrelevant ops", "overhead (instructions)", "CALL_OPS off (unicorn)", "CALL_OPS on (unicorn)"} {
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
		require.NoError(t, r.WriteSVG(&b))
		assert.Contains(t, svgText(t, b.String()), "CALL_OPS on (unicorn, interp)")
	})
	t.Run("a single row", func(t *testing.T) {
		r := sampleResult()
		r.Rows = r.Rows[5:6]
		assert.NoError(t, r.WriteSVG(io.Discard))
	})
	t.Run("nothing traced", func(t *testing.T) {
		r := sampleResult()
		r.Rows = r.Rows[:5]
		assert.ErrorIs(t, r.WriteSVG(io.Discard), errno.EINVAL)
	})
}

// svgText is all text of a well-formed SVG.
func svgText(t *testing.T, svg string) []string {
	t.Helper()
	var all []string
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if err == io.EOF {
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
	blocks := r.blocks()
	require.Len(t, blocks, 2)
	text := func(rows []Row) (lines []string) {
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

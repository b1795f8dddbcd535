package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"

	"callops/bench"
)

// JSON writes a result as one JSON object. Its form is stable.
func JSON(w io.Writer, r *bench.Result) error { return encode(w, r) }

// DirectJSON writes a comparison of direct calls as one object.
func DirectJSON(w io.Writer, r *bench.DirectResult) error { return encode(w, r) }

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// csvColumns are named as in JSON.
var csvColumns = []string{
	"engine", "scheme", "call_ops", "relevant", "irrelevant", "per_call", "overhead", "trampoline", "ns_per_call", "callbacks",
}

// CSV writes a result's rows, below a line with the columns' names.
func CSV(w io.Writer, r *bench.Result) error {
	records := [][]string{csvColumns}
	for i := range r.Rows {
		records = append(records, record(&r.Rows[i]))
	}
	return csv.NewWriter(w).WriteAll(records)
}

func record(r *bench.Row) []string {
	return []string{
		r.Engine, r.Scheme.String(), strconv.FormatBool(r.CallOps), strconv.Itoa(r.Relevant), strconv.Itoa(r.Irrelevant),
		number(r.PerCall), number(r.Overhead), strconv.Itoa(r.Trampoline), number(r.NsPerCall),
		strconv.FormatUint(r.Callbacks, 10),
	}
}

// number writes as many digits as the value has.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

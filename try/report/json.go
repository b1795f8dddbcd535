package report

import (
	"encoding/json"
	"io"

	"callops/try"
)

// JSON writes a report as one JSON object. Its form is stable.
func JSON(w io.Writer, r *try.Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

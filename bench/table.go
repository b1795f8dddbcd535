package bench

import "io"

// WriteTable writes the result for people to read.
func (r *Result) WriteTable(w io.Writer) error { return nil }

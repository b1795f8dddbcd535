package timeline

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// chromeEvent is an event of the Trace Event Format, which chrome://tracing and Perfetto
// open.
type chromeEvent struct {
	Name     string            `json:"name,omitempty"`
	Category string            `json:"cat,omitempty"`
	Phase    string            `json:"ph"`
	Time     json.Number       `json:"ts,omitempty"` // microseconds
	PID      int               `json:"pid"`
	TID      int               `json:"tid"`
	Scope    string            `json:"s,omitempty"`
	Args     map[string]string `json:"args,omitempty"`
}

// WriteChrome writes the timeline as JSON in the Trace Event Format. A track without a
// parent is a process there, and an instruction takes a nanosecond.
func (t *Timeline) WriteChrome(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, `{"displayTimeUnit":"ns","traceEvents":[`)
	sep := "\n"
	put := func(e chromeEvent) error {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		fmt.Fprint(out, sep)
		sep = ",\n"
		_, err = out.Write(b)
		return err
	}
	roots := make([]int, len(t.Tracks))
	for i, track := range t.Tracks {
		roots[i] = i
		if track.Parent >= 0 {
			roots[i] = roots[track.Parent]
		} else if err := put(chromeEvent{Name: "process_name", Phase: "M", PID: i + 1, TID: i + 1, Args: map[string]string{"name": track.Name}}); err != nil {
			return err
		}
		if err := put(chromeEvent{Name: "thread_name", Phase: "M", PID: roots[i] + 1, TID: i + 1, Args: map[string]string{"name": track.Name}}); err != nil {
			return err
		}
	}
	for e := range t.Events {
		c := chromeEvent{
			Name: e.Name, Category: e.Category, Phase: [...]string{Begin: "B", End: "E", Instant: "i"}[e.Phase],
			Time: json.Number(fmt.Sprintf("%d.%03d", e.Time/1000, e.Time%1000)), PID: roots[e.Track] + 1, TID: e.Track + 1,
		}
		if e.Phase == Instant {
			c.Scope = "t" // of the thread
		}
		for _, a := range e.Args {
			if c.Args == nil {
				c.Args = make(map[string]string, len(e.Args))
			}
			c.Args[a.Name] = a.Value
		}
		if err := put(c); err != nil {
			return err
		}
	}
	fmt.Fprint(out, "\n]}\n")
	return out.Flush()
}

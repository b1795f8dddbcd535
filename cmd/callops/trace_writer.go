package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"callops/trace"
)

// traceWriter writes a trace and the results of the calls below it: as text, or as
// one JSON object. Instructions are written as they come.
type traceWriter struct {
	trace.InsnWriter // nil before begin, and of the function tracer

	w      io.Writer
	tracer string
	json   bool
	width  int // of the terminal; 0 if there is none

	results bool // those alone: events go elsewhere

	graph   trace.GraphText
	profile []trace.Profiled // of the profile tracer
}

func newTraceWriter(w io.Writer, tracer, format string, width int) *traceWriter {
	return &traceWriter{w: w, tracer: tracer, json: format == formatJSON, width: width}
}

// begin writes what precedes the events.
func (t *traceWriter) begin() {
	if t.results {
		return
	}
	if t.json {
		fmt.Fprintf(t.w, "{\n  \"tracer\": %q,\n  \"events\": [", t.tracer)
	}
	if t.tracer != tracerInsn {
		return
	}
	if t.json {
		t.InsnWriter = trace.NewInsnJSON(t.w)
	} else {
		t.InsnWriter = trace.NewInsnText(t.w, t.width)
	}
}

// end writes the events of a tracer that records (nil for another one) and the
// results.
func (t *traceWriter) end(f *trace.Recording, s *trace.Symbols, results []callResult, tasks int) error {
	if !t.json {
		var err error
		if (f != nil || t.tracer == tracerProfile) && !t.results {
			err = t.recording(f, s)
			fmt.Fprintln(t.w)
		}
		printResults(t.w, results, tasks)
		return err
	}
	if j, ok := t.InsnWriter.(*trace.InsnJSON); ok && j.Err() != nil {
		return j.Err()
	}
	lost := uint64(0)
	events := []byte("\n  ")
	if list := t.list(f, s); list != nil {
		lost = f.Overrun()
		b, err := indented(list)
		if err != nil {
			return err
		}
		events = b[1 : len(b)-1] // what is between the brackets
	}
	if results == nil {
		results = []callResult{}
	}
	calls, err := indented(results)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.w, "%s],\n  \"lost\": %d,\n  \"calls\": %s\n}\n", events, lost, calls)
	return err
}

// list is what a tracer recorded, as encoding/json takes it; nil of a tracer that records nothing.
func (t *traceWriter) list(f *trace.Recording, s *trace.Symbols) any {
	switch {
	case t.tracer == tracerProfile:
		return trace.ProfileJSON(t.profile, s)
	case f == nil:
		return nil
	case t.tracer == tracerGraph:
		return trace.GraphJSON(f, s)
	}
	return trace.FunctionsJSON(f, s)
}

// recording writes what a tracer recorded as text.
func (t *traceWriter) recording(f *trace.Recording, s *trace.Symbols) error {
	switch t.tracer {
	case tracerProfile:
		return trace.WriteProfile(t.w, t.profile, s)
	case tracerGraph:
		return trace.WriteGraph(t.w, f, s, t.graph)
	}
	return trace.WriteFunctions(t.w, f, s)
}

// indented is v as JSON within an object.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("  ", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

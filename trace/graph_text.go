package trace

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"callops/kernelimage/ctype"
)

// Symbols is what a text needs to know of functions.
type Symbols struct {
	// Name gives an address its function's name (%ps).
	Name func(addr uint64) string

	// Prototype is what C declares the function at a call site as; nil where that is not known. A nil Prototype
	// knows none.
	Prototype func(ip uint64) *ctype.Prototype
}

func (s *Symbols) prototype(ip uint64) *ctype.Prototype {
	if s.Prototype == nil {
		return nil
	}
	return s.Prototype(ip)
}

// call is FUNC(ARG...): with the arguments where they were recorded and are known (print_function_args).
func (s *Symbols) call(e *Event) string {
	if p := s.prototype(e.IP); p != nil && e.Args != nil {
		return s.Name(e.IP) + "(" + p.FormatArgs(e.Args[:]) + ")"
	}
	return s.Name(e.IP) + "()"
}

const (
	graphIndent = 2  // TRACE_GRAPH_INDENT
	graphDepths = 50 // FTRACE_RETFUNC_DEPTH

	graphRule    = " ------------------------------------------\n"
	graphNoTime  = "              |  "
	durationCols = 12
	taskCols     = 14 // TRACE_GRAPH_PROCINFO_LENGTH
	commLength   = 7
)

// GraphText are the options of the text of function_graph; the zero value is what Linux starts with.
type GraphText struct {
	RetVal bool // funcgraph-retval
}

// WriteGraph writes what the function_graph tracer recorded, as Linux's trace file has it (print_graph_function,
// kernel/trace/trace_functions_graph.c; return values as in 6.12, arguments as in 6.15).
//
// Differs: durations are instructions of the CPU, so there is none where a task returns on another CPU, and no
// mark of overhead. Arguments and return values are read by their types: Linux prints whole registers, and a value for
// functions that return none.
func WriteGraph(w io.Writer, rec *Recording, s *Symbols, opts GraphText) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, `# tracer: function_graph
#
# DURATION is in instructions that the CPU executed
#
# CPU  DURATION                  FUNCTION CALLS
# |     |   |                     |   |   |   |
`)
	g := &graphWriter{
		out: out, rec: rec, Symbols: s, opts: opts,
		cpuCols: len(fmt.Sprint(max(rec.CPUs-1, 0))), cpus: make([]graphCPU, rec.CPUs), open: make(map[graphKey]graphCall),
	}
	g.events()
	if n := rec.Overrun(); n > 0 {
		fmt.Fprintf(out, "# %d events were lost before these\n", n)
	}
	return out.Flush()
}

// graphCPU is struct fgraph_cpu_data.
type graphCPU struct {
	pid   uint32
	seen  bool // of pid
	enter [graphDepths]uint64
}

// graphKey is a call that has not returned.
type graphKey struct {
	pid   uint32
	depth int32
}

type graphCall struct {
	ip  uint64
	cpu uint32
}

type graphWriter struct {
	*Symbols
	out     *bufio.Writer
	rec     *Recording
	opts    GraphText
	cpuCols int
	cpus    []graphCPU
	open    map[graphKey]graphCall
}

func (g *graphWriter) events() {
	events := g.rec.Events
	next := g.following()
	done := make([]bool, len(events)) // printed with its entry
	for i := range events {
		e := &events[i]
		switch {
		case done[i] || int(e.CPU) >= len(g.cpus):
		case e.Kind == KindGraphEntry:
			if n := next[i]; n >= 0 && returns(e, &events[n]) {
				g.leaf(e, &events[n])
				done[n] = true
			} else {
				g.nested(e)
			}
		case e.Kind == KindGraphReturn:
			g.returned(e)
		case e.Text != "":
			g.comment(e)
		}
	}
}

// following gives each event the next one of its CPU; -1 for none.
func (g *graphWriter) following() []int {
	next := make([]int, len(g.rec.Events))
	last := make(map[uint32]int)
	for i, e := range g.rec.Events {
		next[i] = -1
		if before, ok := last[e.CPU]; ok {
			next[before] = i
		}
		last[e.CPU] = i
	}
	return next
}

// returns reports whether ret is the return of entry, after which it comes on its CPU (get_return_for_leaf).
func returns(entry, ret *Event) bool {
	return ret.Kind == KindGraphReturn && ret.PID == entry.PID && ret.IP == entry.IP && ret.Depth == entry.Depth
}

func (g *graphWriter) leaf(e, ret *Event) {
	g.prologue(e)
	if at := g.entered(e.CPU, e.Depth); at != nil {
		*at = 0
	}
	g.duration(ret.Time - ret.Start)
	g.indent(e.Depth)
	fmt.Fprintf(g.out, "%s;", g.call(e))
	if v := g.value(ret); v != "" {
		fmt.Fprintf(g.out, " /* = %s */", v)
	}
	fmt.Fprintln(g.out)
}

func (g *graphWriter) nested(e *Event) {
	g.prologue(e)
	if at := g.entered(e.CPU, e.Depth); at != nil {
		*at = e.IP
	}
	g.open[graphKey{e.PID, e.Depth}] = graphCall{e.IP, e.CPU}
	fmt.Fprint(g.out, graphNoTime)
	g.indent(e.Depth)
	fmt.Fprintf(g.out, "%s {\n", g.call(e))
}

func (g *graphWriter) returned(e *Event) {
	g.prologue(e)
	matches := true
	if at := g.entered(e.CPU, e.Depth); at != nil {
		matches = *at == e.IP
		*at = 0
	}
	key := graphKey{e.PID, e.Depth}
	call, known := g.open[key]
	delete(g.open, key)
	if known && call.cpu != e.CPU || e.Start > e.Time {
		fmt.Fprint(g.out, graphNoTime)
	} else {
		g.duration(e.Time - e.Start)
	}
	g.indent(e.Depth)
	switch v := g.value(e); {
	case v != "":
		fmt.Fprintf(g.out, "} /* %s = %s */\n", g.Name(e.IP), v)
	case matches && !g.opts.RetVal:
		fmt.Fprintln(g.out, "}")
	default:
		fmt.Fprintf(g.out, "} /* %s */\n", g.Name(e.IP))
	}
}

func (g *graphWriter) comment(e *Event) {
	g.prologue(e)
	fmt.Fprint(g.out, graphNoTime)
	depth := int32(0)
	for key := range g.open {
		if key.pid == e.PID {
			depth = max(depth, key.depth+1)
		}
	}
	g.indent(depth)
	fmt.Fprintf(g.out, "/* %s */\n", e.Text)
}

// entered is where a CPU's call at a depth is remembered; nil where it is not.
func (g *graphWriter) entered(cpu uint32, depth int32) *uint64 {
	if depth < 0 || depth >= graphDepths {
		return nil
	}
	return &g.cpus[cpu].enter[depth]
}

// prologue begins a line, after a change of task (verif_pid, print_graph_cpu).
func (g *graphWriter) prologue(e *Event) {
	c := &g.cpus[e.CPU]
	if c.seen && c.pid != e.PID {
		fmt.Fprintf(g.out, "%s %*d) %s => %s\n%s\n", graphRule, g.cpuCols, e.CPU, g.task(c.pid), g.task(e.PID), graphRule)
	}
	c.seen, c.pid = true, e.PID
	fmt.Fprintf(g.out, " %*d) ", g.cpuCols, e.CPU)
}

// task is COMM-PID in the middle of its column (print_graph_proc).
func (g *graphWriter) task(pid uint32) string {
	comm, ok := g.rec.Tasks[pid]
	if !ok {
		comm = "<...>"
	}
	name := fmt.Sprintf("%.*s-%d", commLength, comm, pid)
	spaces := max(taskCols-len(name), 0)
	return strings.Repeat(" ", spaces/2) + name + strings.Repeat(" ", spaces-spaces/2)
}

func (g *graphWriter) duration(n uint64) {
	fmt.Fprintf(g.out, "  %-*s|  ", durationCols, fmt.Sprint(n, " insn"))
}

func (g *graphWriter) indent(depth int32) {
	fmt.Fprintf(g.out, "%*s", graphIndent*max(int(depth), 0), "")
}

// value is what a function returned, where that is asked for and it returns something.
func (g *graphWriter) value(e *Event) string {
	if !g.opts.RetVal {
		return ""
	}
	return g.returnValue(e)
}

// returnValue is print_graph_retval of a value of its type: errors in decimal, all else in hexadecimal; "" where
// nothing is returned.
func (s *Symbols) returnValue(e *Event) string {
	v := e.Value
	if p := s.prototype(e.IP); p != nil {
		if p.Result.Kind == ctype.Void {
			return ""
		}
		v = p.Result.Extend(v)
		if size := p.Result.Size; size < 8 && !isError(v) {
			v &= 1<<(8*size) - 1
		}
	} else if v>>31 == 1 { // a negative int
		if n := uint64(int32(v)); isError(n) {
			v = n
		}
	}
	if isError(v) {
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprintf("0x%x", v)
}

// isError is IS_ERR_VALUE (include/linux/err.h).
func isError(v uint64) bool { return -v-1 < 4095 }

// graphJSON is an event of function_graph. Addresses and values are hexadecimal strings in JSON, where numbers of 64 bits
// are not safe.
type graphJSON struct {
	Event    string `json:"event"`
	CPU      uint32 `json:"cpu"`
	Time     uint64 `json:"time"`
	PID      uint32 `json:"pid"`
	Task     string `json:"task"`
	Depth    int32  `json:"depth"`
	IP       string `json:"ip"`
	Function string `json:"function"`

	ParentIP string   `json:"parent_ip,omitempty"` // of an entry
	Parent   string   `json:"parent,omitempty"`
	Args     []string `json:"args,omitempty"`

	Start *uint64 `json:"start,omitempty"` // of a return
	Value string  `json:"value,omitempty"`
}

// GraphJSON is what the function_graph tracer recorded, as encoding/json takes it.
func GraphJSON(rec *Recording, s *Symbols) any {
	events := make([]graphJSON, 0, len(rec.Events))
	for i := range rec.Events {
		e := &rec.Events[i]
		j := graphJSON{CPU: e.CPU, Time: e.Time, PID: e.PID, Task: rec.Tasks[e.PID], Depth: e.Depth, IP: hex(e.IP), Function: s.Name(e.IP)}
		switch e.Kind {
		case KindGraphEntry:
			j.Event, j.ParentIP, j.Parent, j.Args = "entry", hex(e.ParentIP), s.Name(e.ParentIP), s.arguments(e)
		case KindGraphReturn:
			j.Event, j.Start, j.Value = "return", &e.Start, s.returnValue(e)
		default:
			continue
		}
		events = append(events, j)
	}
	return events
}

// arguments are the registers of the function's parameters, or all where these are not known; nil where none were
// recorded.
func (s *Symbols) arguments(e *Event) []string {
	if e.Args == nil {
		return nil
	}
	n := len(e.Args)
	if p := s.prototype(e.IP); p != nil && !p.Variadic {
		n = min(n, p.Args())
	}
	args := make([]string, n)
	for i := range args {
		args[i] = hex(e.Args[i])
	}
	return args
}

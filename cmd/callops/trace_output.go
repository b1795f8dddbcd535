package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"callops/emu"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/machine"
	"callops/sched"
	"callops/trace"
	"callops/trace/perfetto"
	"callops/trace/timeline"
	"callops/trace/tracedat"
)

// traceFormats are what --output writes, by the end of the file's name.
var traceFormats = []struct {
	suffix string
	about  string
	write  func(io.Writer, *trace.Recording, *machine.Machine) error
}{
	{".dat", "trace-cmd report, KernelShark (trace.dat, version 6)", traceDat(6)},
	{".v7.dat", "the same, compressed, for trace-cmd from 3.0 on", traceDat(7)},
	{".perfetto-trace", "ui.perfetto.dev, trace_processor_shell", writePerfetto},
	{".json", "chrome://tracing, ui.perfetto.dev (Trace Event Format)", writeChrome},
}

// traceOutput is the flag --output: the file that events go to.
type traceOutput struct {
	path  string
	write func(io.Writer, *trace.Recording, *machine.Machine) error
}

func (o *traceOutput) String() string { return o.path }
func (o *traceOutput) Type() string   { return "FILE" }

func (o *traceOutput) Set(s string) error {
	longest := 0 // one suffix ends in another
	for _, f := range traceFormats {
		if strings.HasSuffix(s, f.suffix) && s != f.suffix && len(f.suffix) > longest {
			o.path, o.write, longest = s, f.write, len(f.suffix)
		}
	}
	if longest > 0 {
		return nil
	}
	return fmt.Errorf("the name ends in none of %s", o.suffixes())
}

// suffixes are the formats, as the ends of names.
func (o *traceOutput) suffixes() string {
	var list []string
	for _, f := range traceFormats {
		list = append(list, f.suffix)
	}
	return strings.Join(list, ", ")
}

// about tells what each format is for.
func (o *traceOutput) about() string {
	var sb strings.Builder
	for _, f := range traceFormats {
		fmt.Fprintf(&sb, "  %-16s  %s\n", f.suffix, f.about)
	}
	return sb.String()
}

// recorder is what goes into the file of --output.
type recorder struct {
	*trace.Log
	file    *outputFile
	write   func(io.Writer, *trace.Recording, *machine.Machine) error
	machine *machine.Machine
	start   []uint64 // what each CPU had executed when the trace began
}

// newRecorder creates the file, and has what sets a machine up report log lines and switches of tasks. It
// returns nil where there is no --output.
func (t *tracing) newRecorder(cfg *machine.Config) (*recorder, error) {
	if t.output.path == "" {
		return nil, nil
	}
	f, err := createOutput(t.output.path)
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	cpus := int(t.cpus.value)
	r := &recorder{Log: trace.NewLog(cpus, ringEntries), file: f, write: t.output.write, start: make([]uint64, cpus)}
	show := cfg.Printk
	cfg.Printk = func(l services.Line) {
		show(l)
		r.Add(trace.Event{Kind: trace.KindPrintk, CPU: uint32(l.CPU), Time: r.since(l.CPU, l.Count), Text: l.Text})
	}
	if cpus > 1 {
		cfg.Sched = &sched.Options{Switched: r.switched}
	}
	return r, nil
}

// since is a CPU's count of instructions since the trace began; 0 before that.
func (r *recorder) since(cpu int, count uint64) uint64 {
	if r.machine == nil {
		return 0
	}
	return count - r.start[cpu]
}

func (r *recorder) switched(on emu.CPU, task uint64, state int) {
	if r.machine == nil {
		return // what sets the machine up
	}
	pid, name, err := r.machine.Kernel.TaskName(task)
	if err != nil {
		return // the task can't run either
	}
	r.Switch(uint32(on.ID()), r.since(on.ID(), on.Count()), int32(state), pid, name)
}

// begin starts the clock. No CPU may run meanwhile.
func (r *recorder) begin(m *machine.Machine) error {
	if r == nil {
		return nil
	}
	r.machine = m
	for i, cpu := range m.Kernel.CPUs {
		r.start[i] = cpu.Count()
		pid, name, err := m.Kernel.TaskName(cpu.Task)
		if err != nil {
			return err
		}
		r.Begin(i, pid, name)
	}
	return nil
}

// finish writes the file, with what tracers in machine code recorded, which may be nil. A call that
// failed is in it too; err is the run's.
func (r *recorder) finish(f *trace.Recording, err error) error {
	if r == nil {
		return err
	}
	if r.machine == nil { // nothing has run
		return r.file.finish(err)
	}
	if f == nil {
		f = &trace.Recording{}
	}
	f.Merge(r.Log)
	if written := r.file.finish(r.write(r.file, f, r.machine)); written != nil {
		err = errors.Join(err, fmt.Errorf("--output %s: %w", r.file.path, written))
	}
	return err
}

func traceDat(version int) func(io.Writer, *trace.Recording, *machine.Machine) error {
	return func(w io.Writer, r *trace.Recording, m *machine.Machine) error {
		return tracedat.Write(w, r, &tracedat.Options{Version: version, Symbols: symbols(m.Kernel), System: m.Kernel.Image.Banner()})
	}
}

func writePerfetto(w io.Writer, r *trace.Recording, m *machine.Machine) error {
	return perfetto.Write(w, newTimeline(r, m))
}

func writeChrome(w io.Writer, r *trace.Recording, m *machine.Machine) error {
	return newTimeline(r, m).WriteChrome(w)
}

func newTimeline(r *trace.Recording, m *machine.Machine) *timeline.Timeline {
	n := names{m.Kernel}
	return timeline.New(r, timeline.Names{Function: n.function, Place: n.short})
}

// symbols are those that a kernel has, and the gates.
func symbols(k *kernel.Kernel) []kernelimage.Symbol {
	list := k.Symbols.All()
	for addr, name := range k.Gates.All() {
		list = append(list, kernelimage.Symbol{Name: name, Addr: addr, Func: true})
	}
	return list
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"callops/emu"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/machine"
	"callops/sched"
	"callops/trace"
	"callops/trace/perfetto"
	"callops/trace/profile"
	"callops/trace/timeline"
	"callops/trace/tracedat"
)

// traceFormats are what --output writes, by the end of the file's name.
var traceFormats = []struct {
	suffix string
	about  string
	write  traceWrite
}{
	{".dat", "trace-cmd report, KernelShark (trace.dat, version 6)", traceDat(6)},
	{".v7.dat", "the same, compressed, for trace-cmd from 3.0 on", traceDat(7)},
	{".perfetto-trace", "ui.perfetto.dev, trace_processor_shell", forViewer(".perfetto-trace")},
	{".json", "chrome://tracing, ui.perfetto.dev (Trace Event Format)", forViewer(".json")},
	{".folded", "flamegraph.pl and its like: instructions by stack", writeFolded},
	{".pb.gz", "go tool pprof: instructions by stack, function and line", writePprof},
}

// traceWrite writes what a recorder has.
type traceWrite func(io.Writer, *recorder, *trace.Recording) error

// traceOutput is the flag --output: the file that events go to.
type traceOutput struct {
	path   string
	suffix string
	write  traceWrite
}

// isProfile reports whether the file counts instructions, and holds no events.
func (o *traceOutput) isProfile() bool { return o.suffix == ".folded" || o.suffix == ".pb.gz" }

func (o *traceOutput) String() string { return o.path }
func (o *traceOutput) Type() string   { return "FILE" }

func (o *traceOutput) Set(s string) error {
	*o = traceOutput{}
	for _, f := range traceFormats {
		if strings.HasSuffix(s, f.suffix) && s != f.suffix && len(f.suffix) > len(o.suffix) { // one ends in another
			*o = traceOutput{s, f.suffix, f.write}
		}
	}
	if o.path != "" {
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
	write   traceWrite
	machine *machine.Machine
	counter *profile.Counter // of the instructions that OnStep tells of; nil: it is told none
	start   []uint64         // what each CPU had executed when the trace began
}

// newRecorder creates the file, and has what sets a machine up report log lines and switches of tasks. It
// returns nil where there is no --output.
func (t *tracing) newRecorder(ctx context.Context, cfg *machine.Config) (*recorder, error) {
	if t.output.path == "" {
		return nil, nil
	}
	f, err := createOutput(ctx, t.output.path)
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
	if written := r.file.finish(r.write(r.file, r, f)); written != nil {
		err = errors.Join(err, fmt.Errorf("--output %s: %w", r.file.path, written))
	}
	return err
}

func traceDat(version int) traceWrite {
	return func(w io.Writer, r *recorder, f *trace.Recording) error {
		k := r.machine.Kernel
		return tracedat.Write(w, f, &tracedat.Options{Version: version, Symbols: symbols(k), System: k.Image.Banner()})
	}
}

// viewers are the formats of timelines, by the end of a file's name.
var viewers = map[string]func(io.Writer, *timeline.Timeline) error{
	".perfetto-trace": perfetto.Write,
	".json":           func(w io.Writer, t *timeline.Timeline) error { return t.WriteChrome(w) },
}

func forViewer(suffix string) traceWrite {
	return func(w io.Writer, r *recorder, f *trace.Recording) error { return viewers[suffix](w, r.timeline(f)) }
}

func (r *recorder) timeline(f *trace.Recording) *timeline.Timeline {
	n := names{r.machine.Kernel}
	return timeline.New(f, timeline.Names{Function: n.function, Place: n.short})
}

func writeFolded(w io.Writer, r *recorder, f *trace.Recording) error {
	return r.profile(f).WriteFolded(w)
}

func writePprof(w io.Writer, r *recorder, f *trace.Recording) error {
	img := r.machine.Kernel.Image
	lines, err := img.Lines()
	if err != nil {
		return err
	}
	return r.profile(f).WritePprof(w, img.Name(), lines)
}

func (r *recorder) profile(f *trace.Recording) *profile.Profile {
	if r.counter != nil {
		return r.counter.Profile()
	}
	return profile.FromGraph(f, profile.NewNames(symbols(r.machine.Kernel)))
}

// count is what OnStep calls to make a profile of instructions.
func (r *recorder) count() onStepFunc {
	k := r.machine.Kernel
	r.counter = profile.NewCounter(len(k.CPUs), profile.NewNames(symbols(k)))
	return func(cpu emu.CPU, before *emu.Regs) {
		word, err := k.Mem.Load32(before.PC)
		if err != nil {
			return // it was unmapped by what it did
		}
		r.counter.Step(cpu.ID(), before.PC, word, cpu.Regs().PC)
	}
}

// symbols are those that a kernel has, and the gates, in address order.
func symbols(k *kernel.Kernel) []kernelimage.Symbol {
	list := k.Symbols.All()
	for addr, name := range k.Gates.All() {
		list = append(list, kernelimage.Symbol{Name: name, Addr: addr, Func: true})
	}
	slices.SortStableFunc(list, func(a, b kernelimage.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	return list
}

package main

import (
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"callops/bench"
	"callops/bench/report"
	"callops/emu"
	"callops/kernel"
	"callops/machine"
)

const both = "both"

// benchFlags are the flags of `callops bench`.
type benchFlags struct {
	image        string
	engine       engineFlag
	schemes      schemesFlag
	beside       []string
	modules      []string
	tracee       string
	trampoline   choice
	core         choice
	args         numbers
	relevant     numbers
	irrelevant   numbers
	calls        number
	cpus         number
	tracer       choice
	flags        opsFlags
	direct       words
	booted       bool
	registration bool
	debugger     debugger
	oneCode      bool // a format of one table: the image's own ftrace, or callops'
	format       outputFormat
}

// newBench builds `callops bench`.
func newBench() *cobra.Command {
	b := &benchFlags{
		engine:     newEngineFlag(),
		calls:      number{value: bench.DefaultCalls, min: 1, max: math.MaxUint32},
		cpus:       number{value: 1, min: 1, max: kernel.MaxCPUs},
		args:       numbers{max: math.MaxUint64},
		relevant:   numbers{max: math.MaxInt32},
		irrelevant: numbers{max: math.MaxInt32},
		trampoline: newChoice(both, trampolineOurs, trampolineImage),
		core:       newChoice(coreOurs, coreImage, both),
		tracer:     newChoice(bench.TracerNop, bench.TracerCount, bench.TracerGraph),
		schemes:    newSchemesFlag(),
		flags:      newOpsFlags(),
		direct:     words{allowed: directNames()},
		format:     newFormat("csv", "svg", "png", "html"),
	}
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Count the instructions of a traced call, with CALL_OPS, without it and with site sets",
		Long: `bench calls a function in a loop while relevant ops trace it and irrelevant ops
trace other functions, like Linux's samples/ftrace/ftrace-ops.c, and counts
every instruction that is executed.

Each relevant count is combined with each irrelevant one; the row with 0 of both
always comes first, as the baseline of the overhead. Counts are exact. Times
are those of the emulation, not of any hardware.

` + schemesHelp,
		Example: `  callops bench
  callops bench --scheme callops,sets --relevant 1,2,10
  callops bench --scheme callops --relevant 0,1,2 --irrelevant 0,10 --format csv
  callops bench --image kernel.elf --tracee gcd --args 12,18
  callops bench --direct ops,tagged,mini,hash,jump
  callops bench --image vmlinuz-6.12 --beside vmlinuz-6.1
  callops bench --booted --image vmlinuz-7.3`,
		Args: argCount(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	f := cmd.Flags()
	f.Var((*fileName)(&b.image), "image", "`FILE` to run instead of the built-in kernel: ELF, or a kernel's Image")
	addEngineFlag(cmd, &b.engine, "one after the other")
	f.Var(&b.schemes, "scheme", "how calls find their ops, several side by side, see above (default: global, callops and sets, as far as the image has them)")
	f.StringArrayVar(&b.beside, "beside", nil, "another image, or builtin, to measure for comparison: `FILE` (repeatable)")
	addModules(cmd, &b.modules)
	f.StringVar(&b.tracee, "tracee", "", "`FUNC` to call (default tracee_relevant, or else an empty function)")
	f.Var(&b.trampoline, "trampoline", "whose ftrace to measure; both: each image's own, where it has one, and callops' on the first image")
	f.Var(&b.core, "core", "whose ftrace core registers the ops, callops' or the image's own, on the image's trampolines; both: both of them, which have to count the same")
	f.Var(&b.args, "args", "arguments of the tracee")
	f.Var(&b.relevant, "relevant", "list of numbers of ops that trace the tracee")
	f.Var(&b.irrelevant, "irrelevant", "list of numbers of ops that trace other functions (default, without either: the rows published for Linux)")
	f.Var(&b.calls, "calls", "number of calls per row")
	f.Var(&b.cpus, "cpus", "number of CPUs that make that many calls each, concurrently")
	f.Var(&b.tracer, "tracer", "tracer of the ops: returns at once, counts its calls in memory, or is told of returns too (relevant ops are then users of fgraph)")
	f.Var(&b.flags, "ops-flags", b.flags.usage("flags of the ops"))
	f.Var(&b.direct, "direct", b.direct.usage("compare designs of direct calls instead"))
	f.BoolVar(&b.booted, "booted", false, "boot --image, and measure its own ways to trace a call instead: BPF's too (takes minutes)")
	f.BoolVar(&b.registration, "registration", false, "also measure the registration of an ops on all sites of --image, or on 50,000 without it")
	f.Var(&b.format, "format", "output format")
	b.debugger.addFlag(cmd)
	return cmd
}

func (b *benchFlags) run(cmd *cobra.Command) error {
	if len(b.direct.chosen) > 0 {
		return b.runDirect(cmd)
	}
	if b.booted {
		return b.runBooted(cmd)
	}
	if len(b.modules) > 0 && (b.image == "" || len(b.beside) > 0) {
		return usagef("--module needs exactly one --image, the kernel it belongs to")
	}
	if b.format.value != formatText && !cmd.Flags().Changed("trampoline") {
		b.oneCode = true
	}
	if b.core.value != coreOurs {
		b.trampoline.value = trampolineImage
	}
	if err := schemesGoWith(b.core.value, b.schemes.value...); err != nil {
		return err
	}
	if b.registration && b.format.value == "csv" {
		return usagef("--format csv has the rows alone, and nothing of --registration")
	}
	runs, err := b.runs(cmd.Context())
	if err != nil {
		return err
	}
	defer runs.close()
	if b.debugger.listen != "" && (len(runs) > 1 || len(b.schemes.value) != 1 || len(b.engine.each()) > 1 || b.core.value == both || b.registration) {
		return usagef("--gdb goes with one machine: one --scheme, one --engine, one --trampoline, and without --beside and --registration")
	}
	if len(runs) > 1 && b.format.value != formatText {
		return usagef("--beside and --trampoline both print several tables, which needs --format text")
	}
	var results []report.Named
	for i, r := range runs {
		res, err := b.measure(cmd, r, b.registration && i == 0) // on the sites of --image
		if err != nil {
			return err
		}
		results = append(results, report.Named{Name: r.name, Result: res})
	}
	out := cmd.OutOrStdout()
	if len(results) > 1 || len(b.schemes.value) > 1 && b.format.value == formatText {
		return report.Beside(out, results)
	}
	render := map[string]func(io.Writer, *bench.Result) error{
		formatText: report.Table,
		formatJSON: report.JSON,
		"csv":      report.CSV,
		"svg":      report.SVG,
		"png":      report.PNG,
		"html":     report.HTML,
	}
	return render[b.format.value](out, results[0].Result)
}

// measure measures an image with the core that was chosen, or with each.
func (b *benchFlags) measure(cmd *cobra.Command, r benchRun, registration bool) (*bench.Result, error) {
	cfg, err := b.config(cmd, r, registration)
	if err != nil {
		return nil, err
	}
	done, finish := progress(cmd.ErrOrStderr(), "bench")
	defer finish()
	cfg.Progress = done
	if b.core.value != both {
		return bench.Run(cmd.Context(), cfg)
	}
	cfg.ImageCore = false
	ours, err := bench.Run(cmd.Context(), cfg)
	if err != nil {
		return nil, err
	}
	cfg.ImageCore = true
	own, err := bench.Run(cmd.Context(), cfg)
	if err != nil {
		return nil, err
	}
	return own, sameCounts(ours.Rows, own.Rows)
}

// sameCounts returns the first row in which two cores do not count the same, as an error.
func sameCounts(ours, image []bench.Row) error {
	counts := func(r bench.Row) bench.Row { r.NsPerCall = 0; return r }
	for i := range min(len(ours), len(image)) {
		if a, b := counts(ours[i]), counts(image[i]); a != b {
			return fmt.Errorf("the cores differ in a row:\n  ours   %+v\n  image  %+v", a, b)
		}
	}
	if len(ours) != len(image) {
		return fmt.Errorf("the cores differ: %d rows with callops', %d with the image's own", len(ours), len(image))
	}
	return nil
}

func (b *benchFlags) config(cmd *cobra.Command, r benchRun, registration bool) (*bench.Config, error) {
	if n := len(b.args.values); n > emu.MaxArgs {
		return nil, usagef("--args: %d arguments, and %d are passed in registers", n, emu.MaxArgs)
	}
	cfg := &bench.Config{
		Schemes:          b.schemes.value,
		Tracee:           b.tracee,
		Relevant:         counts(b.relevant),
		IrrelevantCounts: counts(b.irrelevant),
		Calls:            int(b.calls.value),
		CPUs:             int(b.cpus.value),
		Tracer:           b.tracer.value,
		OpsFlags:         b.flags.value,
		Args:             b.args.values,
		Registration:     registration,
		Image:            r.image,
		Modules:          b.modules,
		ImageTrampolines: r.own,
		ImageCore:        b.core.value == coreImage,
	}
	if b.debugger.listen != "" {
		cfg.Around = func(mc *machine.Config) func(*machine.Machine, func() error) error {
			return b.debugger.prepare(cmd, mc)
		}
	}
	for _, e := range b.engine.each() {
		cfg.Engines = append(cfg.Engines, bench.Engine(e))
	}
	return cfg, nil
}

// counts is nil if no list was given.
func counts(n numbers) []int {
	var c []int
	for _, v := range n.values {
		c = append(c, int(v))
	}
	return c
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/machine"
	"callops/trace"
)

// tracing holds the flags of `callops trace`, and what runs under them.
type tracing struct {
	*machineFlags
	debugger debugger

	tracer  choice
	opsFunc choice
	filter  []string
	notrace []string
	flags   opsFlags
	budget  *number
	dump    dumps
	format  outputFormat
	output  traceOutput
	graph   graphFlags
}

const (
	tracerFunction = "function"
	tracerGraph    = "function_graph"
	tracerProfile  = "profile"
	tracerInsn     = "insn"
)

func newTracing() *tracing {
	return &tracing{
		machineFlags: newMachine(),
		tracer:       newChoice(tracerFunction, tracerGraph, tracerProfile, tracerInsn),
		budget:       newBudget(),
		format:       newFormat(),
		opsFunc:      newChoice("nop", "count", tracerFunction),
		graph:        newGraphFlags(),
		flags:        newOpsFlags(),
	}
}

// addFilters adds the flags that choose what an ops traces.
func (t *tracing) addFilters(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&t.filter, "filter", nil, "trace only functions that match `GLOB` (repeatable)")
	f.StringArrayVar(&t.notrace, "notrace", nil, "do not trace functions that match `GLOB` (repeatable)")
	f.Var(&t.flags, "ops-flags", t.flags.usage("flags of the ops"))
	for _, filter := range []string{"filter", "notrace"} {
		_ = cmd.RegisterFlagCompletionFunc(filter, t.functions(true)) // the flag is there
	}
}

// newTrace builds `callops trace`.
func newTrace() *cobra.Command {
	t := newTracing()
	cmd := &cobra.Command{
		Use:   "trace [flags] FUNC [ARG]... [-- FUNC [ARG]...]...",
		Short: "Run functions and print what they call, or every instruction",
		Long: `trace runs functions of an image, one after another in the same kernel, with an
ops registered.

The function tracer prints a line for each call of a traced function: CPU,
instructions executed so far, function and caller. It is machine code that
writes to a ring, so its own instructions are part of the count.

The function_graph tracer prints calls and returns as the kernel's does, with
what each call took, in instructions. --graph-function, --graph-notrace and
--max-depth are set_graph_function, set_graph_notrace and max_graph_depth;
--filter and --notrace say which functions are traced at all.

The profile tracer prints how often each function was called, and what its calls
took, as trace_stat/function0 of the kernel's function profiler does.

The insn tracer prints a line for each instruction: CPU, number, address,
symbol+offset, word, text, and the registers that it changed. Each store to the
kernel's text, when call sites are patched, has its own line. With --filter or
--notrace an ops is registered, whose func --ops-func selects.

GLOB has the syntax of set_ftrace_filter: a name, abc*, *abc, *abc*, a pattern
with ? and [a-z], or N for the Nth function that 'callops sites' lists; a !
before it removes functions again. GLOB:mod:NAME matches functions of module NAME,
*:mod:NAME all of them, *:mod:!* those of the kernel itself. All --filter and
--notrace belong to one ops.

--output FILE writes events to a file, also what the kernel logs and which task
a CPU runs. The end of its name is the format:

` + t.output.about() + `
` + argsHelp,
		Example: `  callops trace fib 4
  callops trace --filter 'crc32*' checksum_buffer hello 5
  callops trace --tracer insn --filter gcd gcd 12 18
  callops trace --tracer function_graph --output fib.perfetto-trace fib 4
  callops trace --tracer insn --output fib.pb.gz fib 20`,
		Args: argCount(1, -1, "FUNC"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if cmd.Flags().Changed("ops-func") && (t.tracer.value != tracerInsn || len(t.filter)+len(t.notrace) == 0) {
				return usagef("--ops-func needs --tracer insn and a --filter or --notrace: it is the func of their ops")
			}
			if t.output.path != "" && (t.format.value == formatJSON || t.core.value == both) {
				return usagef("--output goes neither with --format json nor with --core both")
			}
			if t.output.path != "" && t.tracer.value == tracerProfile {
				return usagef("--output %s: --tracer %s records no events", t.output.path, tracerProfile)
			}
			if t.output.isProfile() && t.tracer.value == tracerFunction {
				return usagef("--output %s needs a tracer that knows when functions return: --tracer %s or %s", t.output.path, tracerInsn, tracerGraph)
			}
			if err := t.debugger.check(t.machineFlags); err != nil {
				return err
			}
			if err := t.graph.check(cmd, t.tracer.value, t.core.value); err != nil {
				return err
			}
			return t.eachCore(cmd, func() error { return t.run(cmd, words) })
		},
	}
	t.addImage(cmd)
	t.addModules(cmd)
	t.addScheme(cmd)
	t.addTrampoline(cmd)
	t.addCore(cmd)
	t.addEngine(cmd)
	t.addCPUs(cmd)
	t.addFailAlloc(cmd)
	f := cmd.Flags()
	f.Var(&t.tracer, "tracer", "what to print")
	f.Var(&t.opsFunc, "ops-func", "func of the ops that --tracer insn registers")
	t.addFilters(cmd)
	t.graph.add(cmd, t.functions(true))
	addBudget(cmd, t.budget)
	t.debugger.addFlag(cmd)
	f.Var(&t.dump, "dump", "save the contents of argument N (from 1) after the call to a file (repeatable)")
	f.Var(&t.format, "format", "output format")
	f.Var(&t.output, "output", "write events to `FILE` instead, as its name ends: "+t.output.suffixes())
	cmd.ValidArgsFunction = firstWord(t.functions(false))
	flagsFirst(cmd)
	return cmd
}

func (t *tracing) run(cmd *cobra.Command, words []string) (err error) {
	calls, err := parseInvocations(words, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if err := t.dump.check(calls, t.cpus.value); err != nil {
		return err
	}
	var m *machine.Machine
	defer func() { err = errors.Join(err, t.close(m)) }()
	cfg, err := t.config(cmd.Context(), t.engine.New, calls.size())
	if err != nil {
		return err
	}
	showLog(cfg, cmd.ErrOrStderr())
	rec, err := t.newRecorder(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	var recorded *trace.Recording
	defer func() { err = rec.finish(recorded, err) }()
	out := bufio.NewWriter(cmd.OutOrStdout())
	defer func() { err = errors.Join(err, out.Flush()) }()
	w := newTraceWriter(out, t.tracer.value, t.format.value, widthOf(cmd.OutOrStdout()))
	if rec != nil {
		w.InsnWriter, w.results = rec, true
	}
	w.graph.RetVal = t.graph.retval
	var insns *insnTracer
	t.ftrace(cfg, cmd.ErrOrStderr(), func(k *kernel.Kernel) ftrace.Memory {
		if t.tracer.value != tracerInsn {
			return nil
		}
		insns = newInsnTracer(w, k)
		return insns
	})
	cfg.Services.Text = func(cpu emu.CPU, w services.TextWrite, store func() error) error {
		err := store()
		if err == nil && insns != nil {
			insns.patched(cpu, w)
		}
		return err
	}
	debug := t.debugger.prepare(cmd, cfg)
	if m, err = machine.New(cmd.Context(), cfg); err != nil {
		return err
	}
	if cfg.Guest != nil && t.tracer.value == tracerInsn {
		insns = newInsnTracer(w, m.Kernel)
	}
	if err := calls.check(m.Kernel); err != nil {
		return err
	}
	calls.sayUntraceable(cmd.ErrOrStderr(), m.Kernel)
	w.begin()
	defer t.armFailAlloc(m, cmd.ErrOrStderr())()
	var results []callResult
	traced := func(onStep onStepFunc) (err error) {
		if err := rec.begin(m); err != nil {
			return err
		}
		if t.output.isProfile() && onStep != nil {
			onStep = rec.count()
		}
		return debug(m, func() (err error) {
			results, err = calls.run(cmd.Context(), m, t.dump, &emu.CallOptions{Budget: t.budget.value, OnStep: onStep})
			return err
		})
	}
	switch {
	case insns != nil:
		err = t.traceInsns(cmd, insns, m, traced)
	case t.tracer.value == tracerProfile:
		w.profile, err = t.traceProfile(cmd, m, traced)
	case t.tracer.value == tracerGraph:
		recorded, err = t.traceGraph(cmd, m, traced)
	default:
		recorded, err = t.traceFunctions(cmd, m, traced)
	}
	return errors.Join(err, w.end(recorded, names{m.Kernel}.symbols(), results, m.Callers()))
}

// onStepFunc is emu.CallOptions.OnStep.
type onStepFunc = func(cpu emu.CPU, before *emu.Regs)

// sayUntraceable names functions without a call site: they are missing from the
// trace.
func (all invocations) sayUntraceable(errw io.Writer, k *kernel.Kernel) {
	if len(k.Image.Sites()) == 0 {
		fmt.Fprintf(errw, "callops: %s has no call sites: it was not built with -fpatchable-function-entry\n", k.Image.Name())
		return
	}
	for _, inv := range all {
		fn, err := k.Func(inv.name)
		if err != nil {
			continue // the call reports it
		}
		if _, ok := k.Site(fn); !ok {
			fmt.Fprintf(errw, "callops: %s has no call site (notrace, or assembler), so only what it calls is traced\n", inv.name)
		}
	}
}

// newOps makes an ops with the filters of the command line.
func (t *tracing) newOps(cmd *cobra.Command, m *machine.Machine, name string, fn uint64, extra int) (*ftrace.Ops, error) {
	o, err := m.Ftrace.NewOps(name, fn, &ftrace.OpsOptions{Flags: t.flags.value, Extra: extra})
	if err != nil {
		return nil, err
	}
	if err := setFilters(cmd, m, o, t.filter, t.notrace); err != nil {
		return nil, err
	}
	return o, nil
}

// setFilters sets the filters of an ops, until Ctrl-C, and names those that wait
// for a module.
func setFilters(cmd *cobra.Command, m *machine.Machine, o *ftrace.Ops, filter, notrace []string) error {
	r := m.Ftrace
	for _, set := range []struct {
		patterns []string
		add      func(*ftrace.Ops, string, *ftrace.FilterOptions) error
		notrace  bool
	}{{filter, r.SetFilter, false}, {notrace, r.SetNotrace, true}} {
		for _, pat := range set.patterns {
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := set.add(o, pat, nil); err != nil {
				return meant(m.Kernel, pat, err)
			}
		}
		for _, waits := range r.Waiting(o, set.notrace) {
			fmt.Fprintf(cmd.ErrOrStderr(), "callops: %q matches no function yet: it waits for its module (--module FILE loads one)\n", waits)
		}
	}
	return nil
}

// meant adds to the error of a pattern that is a name the functions with similar
// names.
func meant(k *kernel.Kernel, pat string, err error) error {
	name := strings.TrimPrefix(pat, "!")
	if strings.ContainsAny(name, "*?[:") {
		return err
	}
	near := k.Symbols.Near(name, 3, func(s kernelimage.Symbol) bool {
		_, ok := k.Site(s.Addr)
		return s.Func && ok
	})
	if len(near) == 0 || slices.Contains(near, name) {
		return err
	}
	return fmt.Errorf("%w; is one of these meant: %s?", err, strings.Join(near, ", "))
}

// registered runs the calls with the ops registered.
func registered(r ftrace.Core, o *ftrace.Ops, run func() error) error {
	if err := r.Register(o); err != nil {
		return err
	}
	return errors.Join(run(), r.Unregister(o))
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/ftrace"
	"callops/kernel"
	"callops/machine"
)

// tracing is the flags of `callops trace`, and what runs under them.
type tracing struct {
	*machineFlags
	tracer  choice
	opsFunc choice
	filter  []string
	notrace []string
	flags   opsFlags
	budget  *number
	dump    dumps
}

const (
	tracerFunction = "function"
	tracerInsn     = "insn"
)

// newTrace builds `callops trace`.
func newTrace() *cobra.Command {
	t := &tracing{
		machineFlags: newMachine(),
		tracer:       newChoice(tracerFunction, tracerInsn),
		budget:       newBudget(),
		opsFunc:      newChoice("nop", "count", tracerFunction),
	}
	cmd := &cobra.Command{
		Use:   "trace [flags] FUNC [ARG]... [-- FUNC [ARG]...]...",
		Short: "Run one function and print what it calls, or every instruction",
		Long: `trace runs one function of an image with an ops registered.

The function tracer prints a line for each call of a traced function: CPU,
instructions executed so far, function and caller. It is machine code that
writes to a ring, so what it costs is part of the count.

The insn tracer prints a line for each instruction: CPU, number, address, where
that is, word, text, and the registers that it changed. Each store to the
kernel's text, when call sites are patched, is a line of its own. With --filter
or --notrace an ops is registered, whose tracer --ops-func chooses.

GLOB is what set_ftrace_filter takes: a name, abc*, *abc, *abc*, a pattern with
? and [a-z], or N for the Nth function that 'callops sites' lists; ! before it
takes functions out again. GLOB:mod:NAME takes those of module NAME, *:mod:NAME
all of them, *:mod:!* those of the kernel. All --filter and --notrace are of one
ops.

` + argsHelp,
		Example: `  callops trace fib 4
  callops trace --filter 'crc32*' checksum_buffer hello 5
  callops trace --tracer insn --filter gcd gcd 12 18`,
		Args: argCount(1, -1, "FUNC"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if cmd.Flags().Changed("ops-func") && (t.tracer.value != tracerInsn || len(t.filter)+len(t.notrace) == 0) {
				return usagef("--ops-func goes with --tracer insn and a --filter or --notrace, whose ops it is the tracer of")
			}
			return t.run(cmd, words)
		},
	}
	t.addImage(cmd)
	t.addModules(cmd)
	t.addCallOps(cmd)
	t.addTrampoline(cmd)
	t.addEngine(cmd)
	f := cmd.Flags()
	f.Var(&t.tracer, "tracer", "what to print")
	f.Var(&t.opsFunc, "ops-func", "tracer of the ops that --tracer insn registers")
	f.StringArrayVar(&t.filter, "filter", nil, "trace functions that match `GLOB` only (repeatable)")
	f.StringArrayVar(&t.notrace, "notrace", nil, "leave out functions that match `GLOB` (repeatable)")
	f.Var(&t.flags, "ops-flags", "flags of the ops: "+opsFlagsHelp)
	addBudget(cmd, t.budget)
	f.Var(&t.dump, "dump", "save what argument N (from 1) holds after the call to a file (repeatable)")
	flagsFirst(cmd)
	return cmd
}

func (t *tracing) run(cmd *cobra.Command, words []string) (err error) {
	calls, err := parseInvocations(words, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if err := t.dump.check(calls); err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	defer func() { err = errors.Join(err, out.Flush()) }()
	var m *machine.Machine
	defer func() { err = errors.Join(err, t.close(m)) }()
	cfg, err := t.config(cmd.Context(), t.engine.New, calls.size())
	if err != nil {
		return err
	}
	cfg.Warn = printWarning(cmd.ErrOrStderr())
	var p *insnPrinter
	cfg.Ftrace = func(k *kernel.Kernel) (*ftrace.Options, error) {
		if t.tracer.value != tracerInsn {
			return t.ftrace(nil, cmd.ErrOrStderr()), nil
		}
		p = newInsnPrinter(out, k)
		return t.ftrace(p, cmd.ErrOrStderr()), nil
	}
	if m, err = machine.New(cmd.Context(), cfg); err != nil {
		return err
	}
	k := m.Kernel
	if err := calls.check(k); err != nil {
		return err
	}
	calls.sayUntraceable(cmd.ErrOrStderr(), k)
	var results bytes.Buffer
	traced := func(onStep func(emu.CPU, *emu.Regs)) error {
		return calls.run(&results, k, t.dump, func(fn uint64, args ...uint64) (emu.Result, error) {
			return k.Call(cmd.Context(), 0, &emu.CallOptions{Budget: t.budget.value, OnStep: onStep}, fn, args...)
		})
	}
	if p != nil {
		err = t.traceInsns(cmd, p, m, traced)
	} else {
		err = t.traceFunctions(cmd, out, m, traced)
	}
	_, failed := out.Write(results.Bytes())
	return errors.Join(err, failed)
}

// sayUntraceable tells of functions without a call site: the trace does not begin
// with them.
func (all invocations) sayUntraceable(errw io.Writer, k *kernel.Kernel) {
	if len(k.Image.Sites) == 0 {
		fmt.Fprintf(errw, "callops: %s has no call sites: it was not built with -fpatchable-function-entry\n", k.Image.Name)
		return
	}
	for _, inv := range all {
		fn, err := k.Func(inv.name)
		if err != nil {
			continue // told by the call
		}
		if _, ok := k.Site(fn); !ok {
			fmt.Fprintf(errw, "callops: %s has no call site (notrace, or assembler), so only what it calls is traced\n", inv.name)
		}
	}
}

// newOps makes an ops with the filters that were asked for.
func (t *tracing) newOps(cmd *cobra.Command, r *ftrace.Registry, name string, fn uint64, extra int) (*ftrace.Ops, error) {
	o, err := r.NewOps(name, fn, &ftrace.OpsOptions{Flags: t.flags.value, Extra: extra})
	if err != nil {
		return nil, err
	}
	if err := setFilters(cmd, r, o, t.filter, t.notrace); err != nil {
		return nil, err
	}
	return o, nil
}

// setFilters gives an ops its filters, until Ctrl-C, and tells of those that wait
// for a module.
func setFilters(cmd *cobra.Command, r *ftrace.Registry, o *ftrace.Ops, filter, notrace []string) error {
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
				return err
			}
		}
		for _, waits := range r.Waiting(o, set.notrace) {
			fmt.Fprintf(cmd.ErrOrStderr(), "callops: %q matches no function: its module is not loaded (--module FILE)\n", waits)
		}
	}
	return nil
}

// registered runs the calls with the ops registered.
func registered(r *ftrace.Registry, o *ftrace.Ops, run func() error) error {
	if err := r.Register(o); err != nil {
		return err
	}
	return errors.Join(run(), r.Unregister(o))
}

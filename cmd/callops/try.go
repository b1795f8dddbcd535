package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"callops/bench"
	"callops/internal/text"
	"callops/kernelimage"
	"callops/try"
	"callops/try/report"
)

// instructions is a flag that takes a number of instructions, which may be a fraction.
type instructions struct{ value float64 }

func (n *instructions) String() string { return strconv.FormatFloat(n.value, 'g', -1, 64) }
func (n *instructions) Type() string   { return "N" }

func (n *instructions) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is not a number of instructions", s)
	}
	n.value = v
	return nil
}

// tryFlags are the flags of `callops try`.
type tryFlags struct {
	allow     instructions
	quick     bool
	scenarios []string
	ops       number
	workers   number
	memory    size
	engine    engineFlag
	format    outputFormat
}

// newTry builds `callops try`.
func newTry() *cobra.Command {
	t := &tryFlags{
		ops:     number{min: 1, max: math.MaxInt32},
		workers: number{min: 1, max: math.MaxInt16},
		memory:  size{1 << 30},
		engine:  newEngineFlag(),
		format:  newFormat("markdown"),
	}
	cmd := &cobra.Command{
		Use:   "try [flags] OLD NEW",
		Short: "Compare a kernel before and after a change to its ftrace",
		Long: `try compares two kernels, a kernel's Image each, before and after a change: which
functions and structures of ftrace changed, what a traced call costs on each, and
which properties hold on each in all interleavings. The kernels' own trampolines
and list functions run. Random operations are done on each kernel's own core and
on callops', and compared.

Linking anew is no difference: instructions are compared by what they refer to,
not by where it lies.

The exit status is 1 if a property that held breaks, if the kernel's code fails
where it did not, if its core differs from callops' where the old one did not, or
if a cost rises by more than --allow.`,
		Example: `  callops try vmlinuz.old arch/arm64/boot/Image
  callops try --quick --format markdown vmlinuz-6.12.115 vmlinuz-6.12.117
  callops try --allow 4 --scenario 'direct-*' vmlinuz.old vmlinuz`,
		Args: argCount(2, 2, "OLD or NEW"),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args[0], args[1]) },
	}
	f := cmd.Flags()
	f.Var(&t.allow, "allow", "number of instructions by which a traced call's cost may rise")
	f.BoolVar(&t.quick, "quick", false, "do fewer operations on each kernel's own core")
	f.StringArrayVar(&t.scenarios, "scenario", nil, "scenario to search: `NAME` or pattern (repeatable; default all)")
	f.Var(&t.ops, "operations", "number of random operations on each kernel's own core (default: some seconds' worth)")
	f.Var(&t.workers, "workers", "number of states to work on in parallel (default: one per core)")
	f.Var(&t.memory, "memory", "limit for the memory of the process; a search that needs more is given up")
	f.Var(&t.format, "format", "output format")
	completeNames(cmd, "scenario")
	return cmd
}

func (t *tryFlags) run(cmd *cobra.Command, before, after string) (err error) {
	for name, file := range map[string]string{"OLD": before, "NEW": after} {
		if file == "" {
			return usagef(`%s is "", which names no file`, name)
		}
	}
	scenarios, err := pick("scenario", t.scenarios, scenarioNames())
	if err != nil {
		return err
	}
	old, now, err := openBoth(cmd.Context(), before, after)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close(), now.Close()) }()
	states, release, err := boundMemory(t.memory.bytes, old, now)
	if err != nil {
		return err
	}
	defer release()
	progress, finish := status(cmd.ErrOrStderr())
	r, err := try.Run(cmd.Context(), &try.Config{
		Old: try.Build{Name: text.Printable(before), Image: old}, New: try.Build{Name: text.Printable(after), Image: now},
		Engine: bench.Engine(t.engine.Engine), Allow: t.allow.value, Quick: t.quick, Scenarios: scenarios,
		Operations: int(t.ops.value), Workers: int(t.workers.value), Memory: int(states), Progress: progress,
	})
	finish()
	if err != nil {
		return err
	}
	render := map[string]func(io.Writer, *try.Report) error{formatText: report.Text, formatJSON: report.JSON, "markdown": report.Markdown}
	if err := render[t.format.value](cmd.OutOrStdout(), r); err != nil {
		return err
	}
	if n := len(r.Worse); n > 0 {
		return fmt.Errorf("%s is worse than %s: %s", after, before, r.Worse[0])
	}
	return nil
}

// openBoth opens two kernels.
func openBoth(ctx context.Context, before, after string) (old, now *kernelimage.Image, err error) {
	if old, err = kernelimage.Open(ctx, before, nil); err != nil {
		return nil, nil, err
	}
	if now, err = kernelimage.Open(ctx, after, nil); err != nil {
		return nil, nil, errors.Join(err, old.Close())
	}
	return old, now, nil
}

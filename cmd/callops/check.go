package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"callops/check"
)

// checkFlags are the flags of `callops check`.
type checkFlags struct {
	scenarios []string
	mutation  string
	replay    string
	cpus      number
	workers   number
	memory    size
	together  bool
	noReduce  bool
	list      bool
	format    outputFormat
	core      choice
	output    checkOutput

	machine *machineFlags // which kernel to check
	opts    check.Options
}

// newCheck builds `callops check`.
func newCheck() *cobra.Command {
	c := &checkFlags{
		cpus:    number{min: 1, max: check.MaxCPUs},
		workers: number{min: 1, max: math.MaxInt16},
		memory:  size{4 << 30},
		format:  newFormat("svg", "png", "html"),
		core:    newChoice(coreOurs, coreImage),
		machine: newMachine(),
	}
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Search all interleavings of patching and execution",
		Long: `check searches everything that can happen while ops come and go and CPUs run
the functions that they trace: every order of the patcher's stores and the CPUs'
instructions, and everything that a CPU may see of them. It reports whether all
properties hold, and if not, prints a shortest counterexample.

Without flags it searches all scenarios. In some, Linux itself breaks a property;
these findings are expected. A mutation is a deliberate fault: with --mutation
all, each has to be found.

The exit status is 1 if something is broken: in a run of all scenarios, anything
but the findings; in a run of all mutations, one that is neither found nor
harmless; with named scenarios or a named mutation, or with --replay, anything. A
search that --memory ended, and that found nothing, is "bounded", and no error.`,
		Example: `  callops check
  callops check --scenario hand-over --cpus 2
  callops check --scenario 'filter-*' --memory 1G
  callops check --mutation all
  callops check --mutation load-literal-twice
  callops check --image vmlinuz-6.12 --trampoline image
  callops check --image vmlinuz-6.12 --core image
  callops check --mutation load-literal-twice --output twice.perfetto-trace
  callops check --list`,
		Args: argCount(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&c.scenarios, "scenario", nil, "scenario to search: `NAME` or pattern (repeatable; default all)")
	f.StringVar(&c.mutation, "mutation", "", "deliberate fault: `NAME` or pattern, or all, one after the other; each has its own scenario")
	f.StringVar(&c.replay, "replay", "", "replay the counterexample with this `TOKEN`")
	f.Var(&c.cpus, "cpus", "number of CPUs (default: the scenario's)")
	f.BoolVar(&c.together, "together", false, "search CPUs together even where they do not depend on one another: far larger, with the same verdict")
	f.BoolVar(&c.noReduce, "no-reduce", false, "search without reductions: far larger, with the same verdict")
	f.Var(&c.workers, "workers", "number of states to work on in parallel (default: one per core)")
	f.Var(&c.memory, "memory", "limit for the memory of the process; a search that needs more is given up")
	f.BoolVar(&c.list, "list", false, "list scenarios and mutations")
	f.Var(&c.format, "format", "output format")
	f.Var(&c.output, "output", "write counterexamples to `FILE` too, as tracks with the patcher and each CPU: "+c.output.suffixes())
	f.Var((*fileName)(&c.machine.image), "image", "kernel `FILE` to check instead of the built-in one; two of its empty functions are traced")
	c.machine.addTrampoline(cmd)
	f.Var(&c.core, "core", "whose ftrace core patches, callops' or the image's own, which has its own trampolines")
	completeNames(cmd, "scenario", "mutation")
	return cmd
}

func (c *checkFlags) run(cmd *cobra.Command) (err error) {
	if draws := c.format.value != formatText && c.format.value != formatJSON; draws && (c.list || c.replay != "") {
		return usagef("--format %s draws searches: it goes without --list and --replay", c.format.value)
	}
	if c.list {
		if c.output.path != "" {
			return usagef("--list goes without --output")
		}
		return c.alone(cmd, "list", c.printList)
	}
	if err := c.open(cmd.Context()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.machine.close(nil)) }()
	states, release, err := boundMemory(c.memory.bytes, c.opts.Image)
	if err != nil {
		return err
	}
	defer release()
	c.opts.Memory = int(states)
	if err := c.output.create(cmd.Context()); err != nil {
		return err
	}
	defer func() { err = c.output.finish(err, cmd.ErrOrStderr()) }()
	switch {
	case cmd.Flags().Changed("replay"):
		return c.alone(cmd, "replay", c.playAgain)
	case cmd.Flags().Changed("mutation") && c.mutation == "":
		return usagef("--mutation: a name is missing")
	}
	jobs, err := c.jobs()
	if err != nil {
		return err
	}
	found, err := c.search(cmd, jobs)
	if err != nil {
		return err
	}
	return c.judge(found)
}

// open opens the kernel to check.
func (c *checkFlags) open(ctx context.Context) (err error) {
	c.opts = check.Options{
		CPUs: int(c.cpus.value), Workers: int(c.workers.value), Together: c.together, NoReduce: c.noReduce,
		ImageCode: c.machine.trampoline.value == trampolineImage, ImageCore: c.core.value == coreImage,
	}
	switch {
	case c.opts.ImageCore && c.machine.image == "":
		err = usagef("--core image: the built-in kernel has none of its own, name one with --image")
	case c.opts.ImageCore && c.machine.trampoline.given && !c.opts.ImageCode:
		err = usagef("--core image goes with the image's own trampolines")
	case c.machine.image != "":
		c.opts.Image, err = c.machine.open(ctx)
	case c.opts.ImageCode:
		err = usagef("--trampoline image: the built-in kernel has none of its own, name one with --image")
	}
	return err
}

// alone runs a mode that takes no flag but --format.
func (c *checkFlags) alone(cmd *cobra.Command, flag string, do func(io.Writer) error) error {
	for _, other := range []string{"scenario", "mutation", "replay", "cpus", "together", "no-reduce", "workers", "memory", "list"} {
		if other != flag && cmd.Flags().Changed(other) {
			return usagef("--%s goes without --%s", flag, other)
		}
	}
	return do(cmd.OutOrStdout())
}

// search runs the searches, and prints each result when it is there.
func (c *checkFlags) search(cmd *cobra.Command, jobs []job) ([]outcome, error) {
	out := cmd.OutOrStdout()
	t := newCheckTable(out, jobs)
	var found []outcome
	var left unfit
	for i := range jobs {
		r, grown, err := c.searchOne(cmd.Context(), cmd.ErrOrStderr(), &jobs[i])
		if errors.Is(err, check.ErrUnfit) && !jobs[i].named {
			left.add(&jobs[i], err)
			continue
		}
		if err != nil {
			return nil, err
		}
		o := outcome{jobs[i], r, grown}
		found = append(found, o)
		c.output.add(r.Violations...)
		if c.format.value == formatText {
			t.line(&o)
		}
	}
	if len(found) == 0 {
		return nil, left.none(len(jobs))
	}
	fmt.Fprint(cmd.ErrOrStderr(), left.note(jobs))
	switch c.format.value {
	case formatJSON:
		return found, writeFound(out, found)
	case formatText:
		return found, c.explain(out, found)
	}
	return found, drawFound(out, c.format.value, found)
}

func (c *checkFlags) searchOne(ctx context.Context, errw io.Writer, j *job) (_ *check.Result, grown growth, err error) {
	report, finish := status(errw)
	defer finish()
	opts := c.opts
	opts.Progress = func(p check.Progress) {
		grown.add(p)
		if report != nil {
			report(fmt.Sprintf("%s: %d states, depth %d", j.name(), p.States, p.Depth))
		}
	}
	mutation := ""
	if j.mutation != nil {
		mutation = j.mutation.Name
	}
	r, err := check.Check(ctx, j.scenario, mutation, &opts)
	return r, grown, err
}

// explain prints counterexamples. Those of findings are printed only where their
// scenarios were named.
func (c *checkFlags) explain(w io.Writer, found []outcome) error {
	if c.mutation == all {
		return nil
	}
	before := "\n"
	for i := range found {
		o := &found[i]
		for _, v := range o.result.Violations {
			if o.finding() && len(c.scenarios) == 0 {
				fmt.Fprintf(w, "%s%s: %s; --scenario %s shows the counterexample\n", before, o.result.Finding, v.Claim, o.scenario+c.kernelFlags())
				before = ""
				continue
			}
			fmt.Fprintln(w)
			if err := v.WriteText(w); err != nil {
				return err
			}
			before = "\n"
		}
	}
	return nil
}

// kernelFlags are the flags that select the kernel, for a command line that repeats them.
func (c *checkFlags) kernelFlags() string {
	switch {
	case c.opts.Image == nil:
		return ""
	case c.opts.ImageCore:
		return " --image " + c.machine.image + " --core image"
	case c.opts.ImageCode:
		return " --image " + c.machine.image + " --trampoline image"
	}
	return " --image " + c.machine.image
}

// judge returns an error for unexpected results: with names, for anything that is
// broken; without names, for anything that differs from what is known.
func (c *checkFlags) judge(found []outcome) error {
	what, wrong := "broken", (*outcome).broken
	switch {
	case c.mutation == all:
		what, wrong = "unexpected result", (*outcome).missed
	case c.mutation == "" && len(c.scenarios) == 0:
		wrong = (*outcome).unexpected
	}
	var bad []string
	for i := range found {
		if o := &found[i]; wrong(o) {
			bad = append(bad, o.name())
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.Join(bad, ", "))
}

// playAgain prints a counterexample.
func (c *checkFlags) playAgain(w io.Writer) error {
	ce, err := check.Replay(c.replay, &c.opts)
	if errors.Is(err, check.ErrToken) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	c.output.add(ce)
	if c.format.value == formatJSON {
		err = printJSON(w, ce)
	} else {
		err = ce.WriteText(w)
	}
	if err == nil {
		err = fmt.Errorf("broken: %s", ce.Scenario)
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"callops/board/schedule"
	"callops/kernelimage"
)

// Policies of the flag --policy.
const (
	policyMixed      = "mixed"
	policyPCT        = "pct"
	policyRandom     = "random"
	policyExhaustive = "exhaustive"
)

// scheduleFlags are the flags of `callops schedule`.
type scheduleFlags struct {
	image       fileName
	workload    string
	fault       string
	policy      choice
	depth       number
	slice       number
	preemptions number
	seed        number
	schedules   number
	allSites    bool
	replay      string
	list        bool
	output      scheduleOutput
}

// newSchedule builds `callops schedule`.
func newSchedule() *cobra.Command {
	c := &scheduleFlags{
		policy: newChoice(policyMixed, policyPCT, policyRandom, policyExhaustive),
		depth:  number{value: 3, min: 1, max: 100}, slice: number{value: 1 << 14, min: 1, max: 1 << 40},
		preemptions: number{value: 1, min: 1, max: 16}, seed: number{max: math.MaxUint64}, schedules: number{min: 1, max: math.MaxInt32},
	}
	cmd := &cobra.Command{
		Use:   "schedule --image FILE [flags]",
		Short: "Search the interleavings of a booted kernel's CPUs",
		Long: `schedule boots a kernel and has threads of it register and unregister ops while
others call the functions that they trace. A schedule says which CPU executes how
many instructions, and then which. It runs many of them, each from the same state,
until one fails: by a WARN, a BUG or an oops, a call that a tracer did not see or
should not have seen, or because it does not end.

A schedule that fails is printed as a token, with as few switches as were found
to do; --replay runs it again. A fault is a deliberate one, in the kernel's machine
code: with --fault all, each has to be found.

The exit status is 1 if a schedule failed, and with a fault, also one of a token's, if none did.`,
		Example: `  callops schedule --image vmlinuz
  callops schedule --image vmlinuz --workload two-ops --schedules 5000
  callops schedule --image vmlinuz --workload register --policy exhaustive --preemptions 2
  callops schedule --image vmlinuz --fault all
  callops schedule --image vmlinuz --replay TOKEN --output race.perfetto-trace
  callops schedule --list`,
		Args: argCount(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	f := cmd.Flags()
	f.Var(&c.image, "image", "kernel `FILE` to boot, as it lies in /boot")
	f.StringVar(&c.workload, "workload", "", "what the threads do: `NAME` (default: each in turn)")
	f.StringVar(&c.fault, "fault", "", "deliberate fault: `NAME`, or all, one after the other; each has its own workload")
	f.Var(&c.policy, "policy", "how schedules are chosen")
	f.Var(&c.depth, "depth", "points at which a CPU loses its priority (--policy pct)")
	f.Var(&c.slice, "slice", "longest turn in instructions (--policy random)")
	f.Var(&c.preemptions, "preemptions", "preemptions in a schedule (--policy exhaustive)")
	f.Var(&c.seed, "seed", "seed of the first schedule")
	f.Var(&c.schedules, "schedules", "number of schedules of each workload (default 1000; all with --policy exhaustive)")
	f.BoolVar(&c.allSites, "all-sites", false, "boot the kernel with all of its call sites: some hundred times slower")
	f.StringVar(&c.replay, "replay", "", "run the schedule of this `TOKEN`")
	f.BoolVar(&c.list, "list", false, "list workloads and faults")
	f.Var(&c.output, "output", "write the schedule that failed to `FILE` too, as tracks with the CPUs and their threads: "+c.output.suffixes())
	return cmd
}

func (c *scheduleFlags) run(cmd *cobra.Command) (err error) {
	if c.list {
		return listSchedules(cmd.OutOrStdout())
	}
	if c.image == "" {
		return usagef("--image is missing")
	}
	jobs, err := c.jobs(cmd.Flags().Changed("replay"))
	if err != nil {
		return err
	}
	img, err := kernelimage.Open(cmd.Context(), string(c.image), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	if err := c.output.create(cmd.Context()); err != nil {
		return err
	}
	defer func() { err = c.output.finish(err, cmd.ErrOrStderr()) }()
	var failed, missed []string
	for _, j := range jobs {
		found, err := c.search(cmd, img, j)
		if err != nil {
			return err
		}
		switch {
		case found && j.fault == nil:
			failed = append(failed, j.name())
		case !found && j.fault != nil:
			missed = append(missed, j.name())
		}
	}
	switch {
	case len(missed) > 0:
		return fmt.Errorf("not found: %s", strings.Join(missed, ", "))
	case len(failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// scheduleJob is a workload to search, with a fault or without.
type scheduleJob struct {
	workload *schedule.Workload
	fault    *schedule.Fault
	token    string
}

func (j *scheduleJob) name() string {
	if j.fault != nil {
		return j.fault.Name
	}
	return j.workload.Name
}

func (c *scheduleFlags) jobs(replay bool) ([]scheduleJob, error) {
	faults := schedule.Faults
	workload, fault := c.workload, c.fault
	if replay {
		t, err := schedule.ParseToken(c.replay)
		if err != nil {
			return nil, &usageError{err}
		}
		if workload != "" || fault != "" {
			return nil, usagef("--replay goes without --workload and --fault: the token has them")
		}
		workload, fault = t.Workload, t.Fault
	}
	switch {
	case workload != "" && fault != "" && !replay:
		return nil, usagef("--fault has its own workload: it goes without --workload")
	case fault != "" && fault != all:
		f, err := schedule.FaultByName(fault)
		if err != nil {
			return nil, &usageError{err}
		}
		faults = []*schedule.Fault{f}
	case fault == "" && workload == "":
		var jobs []scheduleJob
		for _, w := range schedule.Workloads {
			jobs = append(jobs, scheduleJob{workload: w})
		}
		return jobs, nil
	case fault == "":
		w, err := schedule.WorkloadByName(workload)
		if err != nil {
			return nil, &usageError{err}
		}
		return []scheduleJob{{workload: w, token: c.replay}}, nil
	}
	var jobs []scheduleJob
	for _, f := range faults {
		w, err := schedule.WorkloadByName(f.Workload)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, scheduleJob{w, f, c.replay})
	}
	return jobs, nil
}

// search runs the schedules of a job, and reports whether one failed.
func (c *scheduleFlags) search(cmd *cobra.Command, img *kernelimage.Image, j scheduleJob) (found bool, err error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	l, err := schedule.New(ctx, img, j.workload, &schedule.Options{Fault: j.fault, AllSites: c.allSites})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if j.token != "" {
		return c.again(ctx, out, l, j.token)
	}
	report, finish := status(cmd.ErrOrStderr())
	opts := c.searchOptions(l)
	opts.Progress = func(n int) {
		if report != nil {
			report(fmt.Sprintf("%s: %d schedules", j.name(), n))
		}
	}
	r, err := l.Search(ctx, opts)
	finish()
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "%s: %d schedules, %d instructions", j.name(), r.Schedules, r.Instructions)
	if r.Found == nil {
		if r.Complete {
			fmt.Fprintf(out, ": all with up to %d preemptions", c.preemptions.value)
		}
		fmt.Fprintln(out, ", none failed")
		return false, nil
	}
	fmt.Fprintf(out, ", seed %d failed\n%v\n", r.Found.Seed, r.Found)
	_, err = c.again(ctx, io.Discard, l, r.Found.Token)
	return true, err
}

func (c *scheduleFlags) searchOptions(l *schedule.Lab) *schedule.SearchOptions {
	opts := &schedule.SearchOptions{Schedules: int(c.schedules.value), Seed: c.seed.value}
	switch c.policy.value {
	case policyPCT:
		opts.Policy = func(seed uint64) schedule.Policy { return l.PCT(seed, int(c.depth.value)) }
	case policyRandom:
		opts.Policy = func(seed uint64) schedule.Policy { return schedule.NewRandom(seed, c.slice.value) }
	case policyExhaustive:
		opts.Preemptions = int(c.preemptions.value)
	}
	return opts
}

// again runs the schedule of a token, and reports whether it failed.
func (c *scheduleFlags) again(ctx context.Context, w io.Writer, l *schedule.Lab, token string) (bool, error) {
	p, err := l.Replay(token)
	if err != nil {
		return false, &usageError{err}
	}
	o, t, err := l.Record(ctx, p)
	if err != nil {
		return false, err
	}
	c.output.timeline = t
	if o.Failure == nil {
		fmt.Fprintf(w, "%d instructions, %d switches, nothing failed\n", o.Count, o.Switches)
		return false, nil
	}
	fmt.Fprintf(w, "%v\n", &schedule.Found{Outcome: o, Token: token})
	return true, nil
}

func listSchedules(w io.Writer) error {
	fmt.Fprintln(w, "workloads:")
	for _, l := range schedule.Workloads {
		fmt.Fprintf(w, "  %-15s %s\n", l.Name, l.What)
	}
	fmt.Fprintln(w, "\nfaults:")
	for _, f := range schedule.Faults {
		fmt.Fprintf(w, "  %-15s %s (%s)\n", f.Name, f.What, f.Workload)
	}
	return nil
}

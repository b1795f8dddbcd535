package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/emu/engines"
	"callops/ftrace"
	"callops/gdb"
	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernel"
	"callops/machine"
)

// debugger is the flag --gdb, and what runs under a debugger.
type debugger struct {
	listen string // "": none is waited for
	others bool
}

// addFlag adds --gdb to a command.
func (d *debugger) addFlag(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var((*listenAddress)(&d.listen), "gdb", "wait at FUNC's entry for gdb, which connects to `ADDR`; another one is given as --gdb=ADDR")
	f.Lookup("gdb").NoOptDefVal = gdb.DefaultListen
}

// listenAddress is a flag that takes an address to listen on. An empty one is an error: it stands for no debugger.
type listenAddress string

func (a *listenAddress) String() string { return string(*a) }
func (a *listenAddress) Type() string   { return "ADDR" }

func (a *listenAddress) Set(s string) error {
	if s == "" {
		return errors.New("the address is empty")
	}
	*a = listenAddress(s)
	return nil
}

// newGDB builds `callops gdb`.
func newGDB() *cobra.Command {
	t := newTracing()
	d := &t.debugger
	cmd := &cobra.Command{
		Use:   "gdb [flags] FUNC [ARG]... [-- FUNC [ARG]...]...",
		Short: "Run functions under gdb, forwards and backwards",
		Long: `gdb runs functions of an image as call does, and waits at the first one's entry
for a debugger that speaks gdb's remote protocol (gdb-multiarch):

  gdb-multiarch -ex 'target remote localhost:1234'

It gets symbols by itself. Each CPU is a thread. Breakpoints change no text, and
a watchpoint on a call site's literal stops where the patcher stores to it. With
one CPU, reverse-stepi, reverse-continue and the like go back as far as FUNC's
entry. "monitor help" lists commands that register, change and unregister ops
while the guest stands still.

--filter and --notrace, which trace has too, register an ops before the first call.

` + argsHelp,
		Example: `  callops gdb gcd 12 18
  callops gdb --filter gcd gcd 12 18
  callops gdb --image vmlinuz --cpus 2 --filter 'sha256*' sha256 @README.md 1000 buf:32`,
		Args: argCount(1, -1, "FUNC"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := d.check(t.machineFlags); err != nil {
				return err
			}
			return t.eachCore(cmd, func() error { return t.debug(cmd, words) })
		},
	}
	t.addImage(cmd)
	t.addModules(cmd)
	t.addScheme(cmd)
	t.addTrampoline(cmd)
	t.addCore(cmd)
	t.addCPUs(cmd)
	t.addFailAlloc(cmd)
	t.addFilters(cmd)
	addBudget(cmd, t.budget)
	f := cmd.Flags()
	f.StringVar(&d.listen, "listen", gdb.DefaultListen, "wait for a debugger at `ADDR`")
	f.BoolVar(&d.others, "allow-remote", false, "listen at an address that other hosts reach too: whoever connects may do anything to the guest")
	cmd.ValidArgsFunction = firstWord(t.functions(false))
	flagsFirst(cmd)
	return cmd
}

// debug runs the calls under a debugger.
func (t *tracing) debug(cmd *cobra.Command, words []string) (err error) {
	calls, err := parseInvocations(words, cmd.InOrStdin())
	if err != nil {
		return err
	}
	var m *machine.Machine
	defer func() { err = errors.Join(err, t.close(m)) }()
	cfg, err := t.config(cmd.Context(), t.engine.New, calls.size())
	if err != nil {
		return err
	}
	showLog(cfg, cmd.ErrOrStderr())
	t.ftrace(cfg, cmd.ErrOrStderr(), nil)
	debug := t.debugger.prepare(cmd, cfg)
	if m, err = machine.New(cmd.Context(), cfg); err != nil {
		return err
	}
	if err := calls.check(m.Kernel); err != nil {
		return err
	}
	defer t.armFailAlloc(m, cmd.ErrOrStderr())()
	var results []callResult
	debugged := func() error {
		return debug(m, func() (err error) {
			results, err = calls.run(cmd.Context(), m, dumps{}, &emu.CallOptions{Budget: t.budget.value})
			return err
		})
	}
	if len(t.filter)+len(t.notrace) == 0 {
		err = debugged()
	} else {
		var o *ftrace.Ops
		if o, err = t.newOps(cmd, m, "trace", m.Ftrace.Code().OpsFuncNop, 0); err != nil {
			return err
		}
		err = registered(m.Ftrace, o, debugged)
	}
	printResults(cmd.OutOrStdout(), results, m.Callers())
	return err
}

// check refuses what a debugger can't stop.
func (d *debugger) check(m *machineFlags) error {
	switch {
	case d.listen == "":
		return nil
	case m.core.value == both:
		return usagef("--core both runs everything twice, and a debugger stops one machine")
	case m.engine.Name != engines.Interp:
		return usagef("--engine %s can't be stopped by a debugger, only %s", m.engine.Name, engines.Interp)
	}
	return nil
}

// prepare changes a configuration so that the machine can be debugged, and returns what runs a body
// under the debugger then. Without the flag it changes nothing, and just runs the body.
func (d *debugger) prepare(cmd *cobra.Command, cfg *machine.Config) func(m *machine.Machine, body func() error) error {
	if d.listen == "" {
		return func(_ *machine.Machine, body func() error) error { return body() }
	}
	log := func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), "callops: "+text.Printable(line)) }
	var m *machine.Machine
	stub := gdb.New(&gdb.Options{Log: log, Sites: func(w io.Writer, globs []string) error {
		list, err := siteInfos(cmd.Context(), m.Kernel, m.Ftrace, globs)
		if err != nil {
			return err
		}
		return printSites(w, list)
	}})
	cfg.Engine = stub.Engine(cfg.Engine)
	if options := cfg.Ftrace; options != nil {
		cfg.Ftrace = func(k *kernel.Kernel) (*ftrace.Options, error) {
			opts, err := options(k)
			if err == nil && len(k.CPUs) == 1 {
				opts.Grace = stub.Grace()
			}
			return opts, err
		}
	}
	return func(mc *machine.Machine, body func() error) error {
		m = mc
		return d.run(cmd.Context(), stub, m, log, body)
	}
}

// run runs a body while the stub is served.
func (d *debugger) run(ctx context.Context, stub *gdb.Stub, m *machine.Machine, log func(string), body func() error) error {
	l, err := gdb.Listen(ctx, d.listen, d.others)
	if errors.Is(err, errno.EPERM) {
		return fmt.Errorf("%w; callops gdb --allow-remote listens there all the same", err)
	}
	if err != nil {
		return err
	}
	stub.Attach(m)
	served := make(chan error, 1)
	go func() { served <- stub.Serve(l) }()
	log(fmt.Sprintf("waiting for gdb: gdb-multiarch -ex 'target remote %s'", l.Addr()))
	err = body()
	stub.Close()
	return errors.Join(err, <-served)
}

package main

import (
	"errors"
	"math"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/machine"
)

// newCall builds `callops call`.
func newCall() *cobra.Command {
	m := newMachine()
	budget := newBudget()
	var dump dumps
	d := &debugger{}
	cmd := &cobra.Command{
		Use:   "call [flags] FUNC [ARG]... [-- FUNC [ARG]...]...",
		Short: "Run functions and print their results",
		Long: `call runs functions of an image, one after another in the same kernel, with
ftrace switched off. It prints each function's result, the number of instructions
executed, and the contents of its buffers. Where the image has prototypes (BTF, or
DWARF in an ELF file), arguments are checked against them, and results are printed
by their types.

` + argsHelp,
		Example: `  callops call gcd 12 18
  callops call strlen 'hello, world'
  callops call --image kernel.elf sha256 @data 1024 buf:32
  callops call --dump 1=sorted sort_words inout:@words 100
  callops call memset buf:16 65 8 -- strlen arg:1.1`,
		Args: argCount(1, -1, "FUNC"),
		RunE: func(cmd *cobra.Command, words []string) error {
			calls, err := parseInvocations(words, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if err := dump.check(calls, m.cpus.value); err != nil {
				return err
			}
			if err := d.check(m); err != nil {
				return err
			}
			return m.eachCore(cmd, func() error {
				return runCalls(cmd, m, d, calls, dump, budget.value)
			})
		},
	}
	cmd.Flags().Var(&dump, "dump", "save the contents of argument N (from 1) after the call to a file (repeatable)")
	m.addImage(cmd)
	m.addModules(cmd)
	m.addEngine(cmd)
	m.addCore(cmd)
	m.addCPUs(cmd)
	m.addFailAlloc(cmd)
	addBudget(cmd, budget)
	d.addFlag(cmd)
	cmd.ValidArgsFunction = firstWord(m.functions(false))
	flagsFirst(cmd)
	return cmd
}

// runCalls makes the calls on a machine of their own.
func runCalls(cmd *cobra.Command, m *machineFlags, d *debugger, calls invocations, dump dumps, budget uint64) (err error) {
	var mc *machine.Machine
	defer func() { err = errors.Join(err, m.close(mc)) }()
	cfg, err := m.config(cmd.Context(), m.engine.New, calls.size())
	if err != nil {
		return err
	}
	showLog(cfg, cmd.ErrOrStderr())
	debug := d.prepare(cmd, cfg)
	if mc, err = machine.New(cmd.Context(), cfg); err != nil {
		return err
	}
	if err := calls.check(mc.Kernel); err != nil {
		return err
	}
	defer m.armFailAlloc(mc, cmd.ErrOrStderr())()
	var results []callResult
	err = debug(mc, func() (err error) {
		results, err = calls.run(cmd.Context(), mc, dump, &emu.CallOptions{Budget: budget})
		return err
	})
	printResults(cmd.OutOrStdout(), results, mc.Callers())
	return err
}

// newBudget is the flag --budget; 0 stands for emu.DefaultBudget.
func newBudget() *number { return &number{min: 1, max: math.MaxUint64} }

func addBudget(cmd *cobra.Command, budget *number) {
	cmd.Flags().Var(budget, "budget", "fail after this many instructions and calls of Go functions (default 2^32)")
}

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
	cmd := &cobra.Command{
		Use:   "call [flags] FUNC [ARG]...",
		Short: "Run one function and print its result",
		Long: `call runs one function of an image, with ftrace switched off, and prints what it
returns, how many instructions that took, and what it left in its buffers. Where
the image is a kernel's, with BTF, arguments are checked against the function's
prototype, and the result is printed as its type has it.

` + argsHelp,
		Example: `  callops call gcd 12 18
  callops call strlen 'hello, world'
  callops call --image kernel.elf sha256 @data 1024 buf:32`,
		Args: argCount(1, -1, "FUNC"),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			inv, err := parseInvocation(words, cmd.InOrStdin())
			if err != nil {
				return err
			}
			var mc *machine.Machine
			defer func() { err = errors.Join(err, m.close(mc)) }()
			cfg, err := m.config(cmd.Context(), m.engine.New, inv.size())
			if err != nil {
				return err
			}
			cfg.Warn = printWarning(cmd.ErrOrStderr())
			if mc, err = machine.New(cmd.Context(), cfg); err != nil {
				return err
			}
			k := mc.Kernel
			if err := inv.check(k); err != nil {
				return err
			}
			fn, values, err := inv.place(k)
			if err != nil {
				return err
			}
			res, err := k.Call(cmd.Context(), 0, &emu.CallOptions{Budget: budget.value}, fn, values...)
			if err != nil {
				return err
			}
			return inv.printResult(cmd.OutOrStdout(), k, res)
		},
	}
	m.addImage(cmd)
	m.addModules(cmd)
	m.addEngine(cmd)
	addBudget(cmd, budget)
	flagsFirst(cmd)
	return cmd
}

// newBudget is the flag --budget; 0 stands for emu.DefaultBudget.
func newBudget() *number { return &number{min: 1, max: math.MaxUint64} }

func addBudget(cmd *cobra.Command, budget *number) {
	cmd.Flags().Var(budget, "budget", "fail after so many instructions and calls of Go functions (default 2^32)")
}

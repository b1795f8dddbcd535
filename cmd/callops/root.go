package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot builds the command line.
func newRoot(in io.Reader, out, errw io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "callops",
		Short: "arm64 ftrace in user space: what a traced call costs, and how it works",
		Long: `callops runs arm64 ftrace in user space. It executes real arm64 code, patches
its call sites as Linux's DYNAMIC_FTRACE_WITH_CALL_OPS does, counts the
instructions of a traced call, shows every step, and searches all interleavings
of patching and execution for a race.

Without --image, commands use a small kernel that is built in; boot, mount,
schedule, shell and try need a kernel's file.`,
		Example: `  callops bench                        what a traced call costs
  callops try OLD NEW                  what a change to a kernel's ftrace does
  callops trace fib 4                  which functions fib(4) calls
  callops trace --tracer insn gcd 6 4  every instruction of gcd(6, 4)
  callops serve                        a traced call in a browser, step by step
  callops check                        whether patching races with execution
  callops gdb --filter gcd gcd 6 4     gcd(6, 4) under gdb, while it is traced
  callops boot --image vmlinuz         a kernel from its first instruction`,
		SilenceErrors: true,
		SilenceUsage:  true,

		DisableFlagsInUseLine: true,
		Version:               version(),
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(newBench(), newCall(), newTrace(), newImage(), newSites(), newCheck(), newTry(), newBoot(), newSchedule(), newMount(), newShell(), newGuard(), newServe(), newGDB())
	root.SetHelpCommand(newHelp(root))
	completeChoices(root)
	root.InitDefaultCompletionCmd()
	for _, sub := range root.Commands() {
		if sub.Name() == "completion" {
			sub.Args, sub.RunE = cobra.ArbitraryArgs, helpOrNoShell
		}
	}
	return root
}

// newHelp is cobra's help command, except that an unknown name is an error like
// any other.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return &usageError{err}
			}
			if cmd == root && len(rest) > 0 {
				return unknownCommand(root, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			cmd.InitDefaultVersionFlag()
			return cmd.Help()
		},
	}
}

// helpOrNoShell is completion without one of its own commands: with another word, for which cobra
// prints help, it is wrong usage.
func helpOrNoShell(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var shells []string
	for _, sub := range cmd.Commands() {
		shells = append(shells, sub.Name())
	}
	return usagef("no completion for %q; there are %s", args[0], strings.Join(shells, ", "))
}

func unknownCommand(root *cobra.Command, name string) error {
	msg := fmt.Sprintf("unknown command %q", name)
	if near := root.SuggestionsFor(name); len(near) > 0 {
		msg += "; is one of these meant: " + strings.Join(near, ", ") + "?"
	}
	return usagef("%s", msg)
}

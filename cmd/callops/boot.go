package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"callops/board"
	"callops/internal/text"
	"callops/kernelimage"
)

// newBoot builds `callops boot`.
func newBoot() *cobra.Command {
	var image fileName
	var args string
	cpus := &number{value: 1, min: 1, max: board.MaxCPUs}
	budget := &number{min: 1, max: math.MaxUint64}
	cmd := &cobra.Command{
		Use:   "boot --image FILE [flags]",
		Short: "Boot a kernel, up to its first process",
		Long: `boot runs an arm64 kernel's unmodified Image on a board in the process, from its
first instruction to its first process, and prints what the kernel prints on its
console. Time is instructions, 1 ns each: the same kernel with the same flags
boots in the same way in every run.

A panic, a budget that is used up or Ctrl-C ends it with exit status 1, and with
the functions that the kernel was in.`,
		Example: `  callops boot --image vmlinuz
  callops boot --image vmlinuz --cpus 2 --append 'initcall_debug'`,
		Args: argCount(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if image == "" {
				return usagef("--image is missing")
			}
			img, err := kernelimage.Open(cmd.Context(), string(image), nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, img.Close()) }()
			out := cmd.OutOrStdout()
			m, err := board.Boot(cmd.Context(), img, &board.Options{
				CPUs: int(cpus.value), Append: args, Budget: budget.value,
				Console: func(line string) { fmt.Fprintln(out, consoleLine(line)) },
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "callops: booted in %d instructions\n", m.Count())
			return m.Close()
		},
	}
	cmd.Flags().Var(&image, "image", "kernel `FILE` to boot, as it lies in /boot")
	cmd.Flags().Var(cpus, "cpus", "number of CPUs")
	cmd.Flags().StringVar(&args, "append", "", "`ARGS` to add to the kernel's command line")
	cmd.Flags().Var(budget, "budget", "fail after this many instructions (default 20 billion)")
	return cmd
}

// consoleLine is a line of the console with all but its tabs made printable.
func consoleLine(line string) string {
	parts := strings.Split(line, "\t")
	for i, p := range parts {
		parts[i] = text.Printable(p)
	}
	return strings.Join(parts, "\t")
}

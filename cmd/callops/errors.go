package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"callops/internal/text"
	"callops/kernel"

	"github.com/spf13/cobra"
)

// usageError is a command line that is wrong in itself, whatever the machine and
// the files.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// argCount refuses fewer than min and more than max arguments; a negative max is
// no limit.
func argCount(min, max int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < min {
			return usagef("%s is missing", what)
		}
		if max >= 0 && len(args) > max {
			return usagef("too many arguments: %q", args[max:])
		}
		return nil
	}
}

// reportError prints an error as one line, followed by the state of guest code that
// ended badly. It returns the exit code.
func reportError(errw io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	var exit *exitError
	if errors.As(err, &exit) && exit.err == nil {
		return exit.status
	}
	var run *kernel.RunError
	stopped := errors.As(err, &run)
	switch cancelled := errors.Is(err, context.Canceled); {
	case cancelled && stopped:
		fmt.Fprintln(errw, "callops: interrupted in "+run.PC)
	case cancelled:
		fmt.Fprintln(errw, "callops: interrupted"+interruptedAt(err))
	default:
		fmt.Fprintln(errw, "callops: "+oneLine(err))
	}
	if stopped {
		printStop(errw, run)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(errw, "Try '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	if exit != nil {
		return exit.status
	}
	return exitFailed
}

// interruptedAt is what the error tells of the work that was going on.
func interruptedAt(err error) string {
	at := strings.TrimSuffix(oneLine(err), context.Canceled.Error())
	if at = strings.TrimSuffix(at, ": "); at == "" {
		return ""
	}
	return ": " + at
}

// oneLine joins errors in one line. They contain names of files and text of guests:
// this is where control characters are escaped.
func oneLine(err error) string {
	return text.Printable(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
}

// maxCallers bounds the call chain that is printed.
const maxCallers = 16

// printStop prints where guest code stopped.
func printStop(w io.Writer, e *kernel.RunError) {
	if len(e.Backtrace) > 0 {
		fmt.Fprintf(w, "  pc %#x %s\n", e.Backtrace[0], e.PC)
	}
	if len(e.Callers) > 0 {
		fmt.Fprintln(w, "  called by:")
	}
	for i, line := range e.Callers {
		if i == maxCallers && len(e.Callers) > maxCallers+1 {
			fmt.Fprintf(w, "    and %d more\n", len(e.Callers)-i)
			break
		}
		fmt.Fprintln(w, "    "+line)
	}
	if len(e.Recent) > 0 {
		fmt.Fprintln(w, "  last instructions:")
	}
	for _, line := range e.Recent {
		fmt.Fprintln(w, "    "+line)
	}
	var branch *kernel.BranchError
	if errors.As(e, &branch) && branch.Reg >= 0 && !branch.Return && e.Freed.Name == "" {
		fmt.Fprintln(w, "  where an argument is a function, &NAME passes its address")
	}
}

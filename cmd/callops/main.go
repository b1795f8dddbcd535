// Command callops runs arm64 ftrace in user space: it calls functions of a
// kernel image under an emulator, traces them through call sites patched as
// Linux patches them, and counts what a traced call costs.
//
// Only flags and printing live here. Results go to stdout, everything else to
// stderr. It exits with 0 when done, 1 when the work failed and 2 for wrong
// usage.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is the whole program but for the process.
func run(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(in, out, errw)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(errw, cmd, err)
}

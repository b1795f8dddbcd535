// Command callops runs arm64 ftrace in user space: it calls functions of a
// kernel image under an emulator, traces them through call sites patched as
// Linux patches them, counts what a traced call costs, and searches all
// interleavings of patching and execution.
//
// Only flags and printing live here. Results go to stdout, everything else to
// stderr. It exits with 0 when done, 1 when the work failed and 2 for wrong
// usage.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is the whole program, without the process.
func run(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	results := &resultWriter{w: out}
	root := newRoot(&interruptible{ctx, in}, results, errw)
	root.SetArgs(args)
	if len(args) > 0 && args[0] == cobra.ShellCompRequestCmd {
		unquoteUsages(root)
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = results.err
	}
	return reportError(errw, cmd, err)
}

// resultWriter keeps the first error, so that a failed write of a result is
// reported.
type resultWriter struct {
	w   io.Writer
	err error
}

func (r *resultWriter) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// interruptible is a reader whose Read returns when ctx ends, even on a terminal
// or pipe without input. It can't be used afterwards.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	buf := make([]byte, min(len(p), 64<<10)) // an abandoned read keeps it
	n, err := await(i.ctx, func() (int, error) { return i.r.Read(buf) })
	return copy(p, buf[:n]), err
}

// open is os.Open that also ends with ctx: opening a FIFO blocks until it has a
// writer.
func (i *interruptible) open(name string) (*os.File, error) {
	f, err := await(i.ctx, func() (*os.File, error) { return os.Open(name) })
	if i.ctx.Err() != nil && f == nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return f, err
}

// await returns what f does, or ctx's error when that ends earlier: f may wait in
// a system call for another process. An abandoned f goes on, so it must use nothing
// that others write to.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case r := <-done:
		return r.v, r.err
	}
}

// widthOf is the number of columns of a terminal; 0 if w is not one.
func widthOf(w io.Writer) int {
	if r, ok := w.(*resultWriter); ok {
		w = r.w
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return max(width, 80)
}

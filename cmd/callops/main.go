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

	"golang.org/x/term"
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
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	results := &resultWriter{w: out}
	root := newRoot(&interruptible{ctx, in}, results, errw)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = results.err
	}
	return reportError(errw, cmd, err)
}

// resultWriter keeps the first error, so that a result that could not be
// written is not taken for one that was.
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

// interruptible is a reader that a terminal or pipe without input does not hold
// up once ctx has ended. It is of no use afterwards.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	// A read that is left behind keeps its buffer.
	buf, n, err := make([]byte, min(len(p), 64<<10)), 0, error(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = i.r.Read(buf)
	}()
	select {
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	case <-done:
		return copy(p, buf[:n]), err
	}
}

// widthOf is how many columns a terminal has; 0 where w is none.
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

// open is os.Open that ends with ctx too: a FIFO waits until it is written to.
func (i *interruptible) open(name string) (*os.File, error) {
	var f *os.File
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, err = os.Open(name)
	}()
	select {
	case <-i.ctx.Done():
		return nil, fmt.Errorf("%s: %w", name, i.ctx.Err())
	case <-done:
		return f, err
	}
}

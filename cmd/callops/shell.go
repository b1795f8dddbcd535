package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"callops/board"
	"callops/board/mount"
)

// Exit codes of a command that was not started, as a shell has them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the signal's number
)

// exitError is a command of the host that ended with a status other than 0, or was not started: callops ends with it.
type exitError struct {
	status int
	err    error // why it was not started
}

func (e *exitError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return fmt.Sprintf("exit status %d", e.status)
}

func (e *exitError) Unwrap() error { return e.err }

// newShell builds `callops shell`.
func newShell() *cobra.Command {
	var guest *guestFlags
	var load loads
	var tasks bool
	cmd := &cobra.Command{
		Use:   "shell --image FILE [flags] [CMD [ARG]...]",
		Short: "Run a command of the host on a booted kernel's tracefs",
		Long: `shell boots a kernel, or goes on from the snapshot of an earlier time, and runs a
command of the host, $SHELL without one, in a mount namespace of its own. There the guest's
tracefs lies where tools look: at /sys/kernel/tracing and /sys/kernel/debug/tracing. The rest
of what they read of a kernel is the guest's as well: /proc/kallsyms, /proc/modules,
/sys/kernel/btf, and ftrace's files in /proc/sys/kernel. Other programs of the host see
nothing of it.

Time passes in the guest while nothing is asked of it, and --load has it do something. With
--tasks the command's processes are tasks of the guest as well, with the same numbers and
names, so that they can be traced: they fork and exit there too.
Its exit status is the command's. It needs /dev/fuse, tracefs in the host's kernel, and root.`,
		Example: `  callops shell --image vmlinuz
  callops shell --image vmlinuz trace-cmd list -t
  callops shell --image vmlinuz --load 'msleep 10' trace-cmd record -p function -l 'msleep*' sleep 1
  trace-cmd report`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := guest.check(cmd); err != nil {
				return err
			}
			command, err := hostCommand(cmd, args)
			if err != nil {
				return err
			}
			return guest.start(cmd.Context(), func(m *board.Machine) error {
				if err := load.start(cmd.Context(), m, int(guest.cpus.value)); err != nil {
					return err
				}
				return runShell(cmd, m, command, tasks)
			})
		},
	}
	guest = addGuestFlags(cmd)
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().Var(&load, "load", "have a kernel thread call `'FUNC [NUMBER]...'` again and again")
	cmd.Flags().BoolVar(&tasks, "tasks", false, "have the command's processes be tasks of the guest")
	return cmd
}

// ofKeys are the signals of the terminal's keys. They come to the command without callops, which catches them, for it ends after the command.
var ofKeys = []os.Signal{syscall.SIGINT, syscall.SIGQUIT}

// runShell runs the command to its end.
func runShell(cmd *cobra.Command, m *board.Machine, command *exec.Cmd, tasks bool) error {
	signals, keys := make(chan os.Signal, 16), make(chan os.Signal, 1)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	signal.Notify(keys, ofKeys...)
	defer signal.Stop(keys)
	died := false
	err := mount.Shell(m, command, &mount.ShellOptions{Signals: signals, Tasks: tasks, Died: func(err error) {
		died = true
		reportError(cmd.ErrOrStderr(), cmd, err)
	}})
	if died {
		return &exitError{status: exitFailed}
	}
	return exitStatus(err)
}

// hostCommand finds the command, with callops' own standard files.
func hostCommand(cmd *cobra.Command, args []string) (*exec.Cmd, error) {
	if len(args) == 0 {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		args = []string{shell}
	}
	path, err := exec.LookPath(args[0])
	if errors.Is(err, fs.ErrPermission) {
		return nil, &exitError{exitNotExecutable, err}
	}
	if err != nil {
		return nil, &exitError{exitNotFound, err}
	}
	command := exec.CommandContext(context.WithoutCancel(cmd.Context()), path, args[1:]...)
	command.Args[0] = args[0]
	command.Env = append(os.Environ(), "TRACEFS_PATH=/sys/kernel/tracing") // of perf's
	command.Stdin, command.Stdout, command.Stderr = underlying(cmd.InOrStdin()), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if r, ok := command.Stdout.(*resultWriter); ok {
		command.Stdout = r.w
	}
	return command, nil
}

// underlying is the reader that a command can be given.
func underlying(r io.Reader) io.Reader {
	if i, ok := r.(*interruptible); ok {
		return i.r
	}
	return r
}

// exitStatus makes callops end as the command did.
func exitStatus(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return &exitError{status: exitSignal + int(s.Signal())}
	}
	return &exitError{status: exit.ExitCode()}
}

package gdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"callops/ftrace"
	"callops/internal/errno"
)

// monitorCommand is one that the debugger's monitor passes on.
type monitorCommand struct {
	name, args, help string
	least, most      int  // arguments
	executes         bool // the kernel's own core executes guest code for it
	run              func(s *Stub, w io.Writer, later bool, args []string) error
}

var monitorCommands = []monitorCommand{
	{"sites", "[GLOB]", "call sites, as ftrace has patched them", 0, 1, true, (*Stub).monitorSites},
	{"ops", "", "the ops that are registered", 0, 0, false, (*Stub).monitorOps},
	{"register", "NAME GLOB [&]", "register an ops that traces functions that match GLOB, whose func returns at once", 2, 2, true, (*Stub).monitorRegister},
	{"unregister", "NAME [&]", "unregister an ops", 1, 1, true, (*Stub).monitorUnregister},
	{"filter", "NAME GLOB [&]", "have an ops trace functions that match GLOB too; !GLOB: not any more", 2, 2, true, (*Stub).monitorFilter},
}

// monitor executes a monitor command; what it says goes to w, errors as well.
func (s *Stub) monitor(w io.Writer, line string) {
	words := strings.Fields(line)
	later := len(words) > 1 && words[len(words)-1] == "&"
	if later {
		words = words[:len(words)-1]
	}
	if len(words) == 0 || words[0] == "help" {
		for _, c := range monitorCommands {
			fmt.Fprintf(w, "monitor %-24s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
		}
		fmt.Fprintln(w, "With & at its end a command begins when the guest goes on, in a thread of its own.")
		return
	}
	i := slices.IndexFunc(monitorCommands, func(c monitorCommand) bool { return c.name == words[0] })
	if i < 0 {
		fmt.Fprintf(w, "no monitor command %q; monitor help lists them\n", words[0])
		return
	}
	c := monitorCommands[i]
	if n := len(words) - 1; n < c.least || n > c.most {
		fmt.Fprintf(w, "usage: monitor %s %s\n", c.name, c.args)
		return
	}
	if s.m.Ftrace == nil {
		fmt.Fprintf(w, "monitor %s: no ftrace runs on this machine\n", c.name)
		return
	}
	if c.executes && s.noCPU() {
		fmt.Fprintf(w, "monitor %s: the kernel's own core needs a CPU, and the only one is in a call\n", c.name)
		return
	}
	if s.inPast() {
		fmt.Fprintf(w, "monitor %s: the CPU is in the past, and ftrace's core in the present: continue to there\n", c.name)
		return
	}
	var out strings.Builder
	done := make(chan error, 1)
	if !s.begin(func() { done <- c.run(s, &out, later, words[1:]) }) {
		return
	}
	select {
	case err := <-done:
		_, _ = io.WriteString(w, out.String()) // the reply; a Builder
		if err != nil {
			fmt.Fprintf(w, "monitor %s: %v\n", c.name, err)
		}
	case <-time.After(5 * patience): // nobody reads what it says, if ever
		fmt.Fprintf(w, "monitor %s: somebody who stands still holds ftrace_lock\n", c.name)
	}
}

func (s *Stub) monitorSites(w io.Writer, _ bool, globs []string) error {
	if s.opts.Sites == nil {
		return s.m.Ftrace.WriteEnabled(w)
	}
	return s.opts.Sites(w, globs)
}

func (s *Stub) monitorOps(w io.Writer, _ bool, _ []string) error {
	symbols := s.m.Kernel.Symbols
	for _, o := range s.m.Ftrace.Registered() {
		fmt.Fprintf(w, "%#x %s func %s flags %#x\n", o.Addr(), o.Name, symbols.Format(o.Func()), uint64(o.Flags()))
	}
	return nil
}

// find returns the registered ops of a name.
func (s *Stub) find(name string) (*ftrace.Ops, error) {
	for _, o := range s.m.Ftrace.Registered() {
		if o.Name == name {
			return o, nil
		}
	}
	return nil, fmt.Errorf("no ops %q is registered: %w", name, errno.ENOENT)
}

func (s *Stub) monitorRegister(w io.Writer, later bool, args []string) error {
	return s.operate(w, later, "register "+args[0], func() error {
		if _, err := s.find(args[0]); err == nil {
			return fmt.Errorf("an ops %q is registered: %w", args[0], errno.EEXIST)
		}
		r := s.m.Ftrace
		o, err := r.NewOps(args[0], r.Code().OpsFuncNop, nil)
		if err != nil {
			return err
		}
		if err := r.SetFilter(o, args[1], nil); err != nil {
			return errors.Join(err, r.FreeOps(o))
		}
		return r.Register(o)
	})
}

func (s *Stub) monitorUnregister(w io.Writer, later bool, args []string) error {
	return s.operate(w, later, "unregister "+args[0], func() error {
		o, err := s.find(args[0])
		if err != nil {
			return err
		}
		return s.m.Ftrace.Unregister(o)
	})
}

func (s *Stub) monitorFilter(w io.Writer, later bool, args []string) error {
	return s.operate(w, later, "filter "+args[0], func() error {
		o, err := s.find(args[0])
		if err != nil {
			return err
		}
		return s.m.Ftrace.SetFilter(o, args[1], nil)
	})
}

// begin runs a command in a goroutine that Close waits for. It reports whether it does: not once the stub is closed.
func (s *Stub) begin(run func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.commands.Go(run)
	}
	return !s.closed
}

// noCPU reports whether there is no CPU on which the kernel's own core could execute anything.
func (s *Stub) noCPU() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guestCore && s.m.Sched == nil && s.inCall
}

// patience is how long a monitor command waits for an operation that needs a CPU to go on.
const patience = 200 * time.Millisecond

// operate has an operation of the core go on in a thread of its own, as it would on another CPU: later, when the
// debugger has the guest go on, or now. It returns when the operation has ended, has stopped, or waits for CPUs to go
// on.
func (s *Stub) operate(w io.Writer, later bool, name string, op func() error) error {
	if err := s.mayOperate(); err != nil {
		return err
	}
	t := s.addThread(name)
	t.seen.PC, t.seen.X[30] = coreGate, gates.start
	done := make(chan error, 1)
	go func() {
		s.mu.Lock()
		var err error
		if later {
			err = s.wait(context.Background(), t)
		}
		if later && err == nil && s.closed {
			err = ErrKilled // it has never been let go on
		}
		s.mu.Unlock()
		if err == nil {
			err = op()
		}
		s.mu.Lock()
		s.ended(t)
		s.mu.Unlock()
		done <- err
	}()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		waits, parked := t.waits, t.parked
		s.mu.Unlock()
		switch {
		case parked && later:
			fmt.Fprintf(w, "%s: thread %d, begins when it goes on\n", name, t.id)
		case waits != "":
			fmt.Fprintf(w, "%s: waits in %s until the CPUs have gone on\n", name, waits)
		case parked:
			fmt.Fprintf(w, "%s: stopped before a store that is watched; thread %d goes on with the guest\n", name, t.id)
		}
		if waits != "" || parked {
			s.commands.Go(func() { s.complain(name, done) })
			return nil
		}
		select {
		case err := <-done:
			if err == nil {
				fmt.Fprintf(w, "%s: done\n", name)
			}
			return err
		case <-s.operates:
		case <-timeout.C:
			fmt.Fprintf(w, "%s: goes on when the CPUs do\n", name)
			s.commands.Go(func() { s.complain(name, done) })
			return nil
		}
	}
}

// mayOperate refuses what can't be done now.
func (s *Stub) mayOperate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.patchers() > 0:
		return fmt.Errorf("another operation goes on: %w", errno.EBUSY)
	}
	return nil
}

func (s *Stub) patchers() (n int) {
	for _, t := range s.threads {
		if t.cpu == nil {
			n++
		}
	}
	return n
}

// complain logs the error of an operation whose monitor command has returned.
func (s *Stub) complain(name string, done <-chan error) {
	if err := <-done; err != nil && !errors.Is(err, ErrKilled) && !errors.Is(err, context.Canceled) {
		s.log(fmt.Sprintf("gdb: %s: %v", name, err))
	}
}

// ended removes the thread of an operation, and stops where it was to be stepped.
func (s *Stub) ended(t *thread) {
	s.threads = slices.DeleteFunc(s.threads, func(other *thread) bool { return other == t })
	if t.action == step {
		s.halt(s.threads[0], &stop{signal: sigTrap})
	}
	s.changed.Broadcast()
}

// tellMonitor wakes a monitor command that looks at its operation.
func (s *Stub) tellMonitor() {
	select {
	case s.operates <- struct{}{}:
	default:
	}
}

func (s *Stub) log(line string) {
	if s.opts.Log != nil {
		s.opts.Log(line)
	}
}

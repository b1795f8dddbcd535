package gdb

import (
	"fmt"
	"strconv"
	"strings"

	"callops/internal/errno"
)

// goOn and the like are c, C, s and S, for the thread that Hc has chosen. A signal has no
// meaning to a kernel's CPUs.
func (c *client) goOn(args string) (string, error)    { return c.continueAt(run, args) }
func (c *client) stepOne(args string) (string, error) { return c.continueAt(step, args) }

func (c *client) goOnSignal(args string) (string, error) {
	_, at, _ := strings.Cut(args, ";")
	return c.continueAt(run, at)
}

func (c *client) stepSignal(args string) (string, error) {
	_, at, _ := strings.Cut(args, ";")
	return c.continueAt(step, at)
}

// continueAt resumes, at an address where one is given.
func (c *client) continueAt(act action, at string) (string, error) {
	if at != "" {
		pc, err := number(at)
		if err != nil {
			return "", err
		}
		if _, err := c.writeRegister(fmt.Sprintf("20=%s", little(pc, 8))); err != nil { // x32, pc
			return "", err
		}
	}
	return c.resumeAll(func(t *thread) action {
		switch {
		case c.resumes <= 0 || t.id == c.resumes:
			return act
		case act == run:
			return run
		}
		return stay
	})
}

// goBack is bc and bs.
func (c *client) goBack(args string) (string, error) {
	act := map[string]action{"c": runBack, "s": stepBack}[args]
	switch {
	case act == stay:
		return "", nil
	case !c.stub.canReverse():
		return "", textErrorf("only a machine with one CPU can go back: %w", errno.EOPNOTSUPP)
	}
	if err := c.stub.mayGoBack(); err != nil {
		return "", err
	}
	return c.resumeAll(func(t *thread) action {
		if t.cpu == nil {
			return stay
		}
		return act
	})
}

// resume is vCont: actions, each for a thread or all that no action before it is for.
func (c *client) resume(args string) (string, error) {
	type one struct {
		act action
		id  int // -1: all
	}
	var list []one
	for word := range strings.SplitSeq(args, ";") {
		what, who, given := strings.Cut(word, ":")
		a := one{id: -1}
		if given && who != "-1" {
			id, err := strconv.ParseUint(who, 16, 31)
			if err != nil {
				return "", malformed("vCont")
			}
			a.id = int(id)
		}
		if what == "" {
			return "", malformed("vCont")
		}
		switch what[0] {
		case 'c', 'C':
			a.act = run
		case 's', 'S':
			a.act = step
		default:
			return "", malformed("vCont")
		}
		list = append(list, a)
	}
	return c.resumeAll(func(t *thread) action {
		for _, a := range list {
			if a.id <= 0 || a.id == t.id {
				return a.act
			}
		}
		return stay
	})
}

func (c *client) resumeAll(what func(*thread) action) (string, error) {
	if !c.stub.resume(what) {
		return "", fmt.Errorf("no thread to resume: %w", errno.ENOENT)
	}
	c.waits = true
	return "", errNoReply
}

func (c *client) detach(string) (string, error) {
	c.done = true
	return "OK", nil
}

func (c *client) kill(string) (string, error) {
	c.stub.kill()
	c.done = true
	return "OK", nil
}

// selectThread is Hg and Hc; 0 is any thread, -1 all.
func (c *client) selectThread(args string) (string, error) {
	if len(args) < 2 {
		return "", malformed("H")
	}
	id, err := strconv.ParseInt(args[1:], 16, 32)
	if err != nil {
		return "", malformed("H")
	}
	if id > 0 && !c.stub.hasThread(int(id)) {
		return "", fmt.Errorf("no thread %d: %w", id, errno.ENOENT)
	}
	switch args[0] {
	case 'g':
		if id > 0 {
			c.current = int(id)
		}
	case 'c':
		c.resumes = int(id)
	default:
		return "", nil
	}
	return "OK", nil
}

func (c *client) alive(args string) (string, error) {
	id, err := number(args)
	if err != nil || id > 1<<31 || !c.stub.hasThread(int(id)) {
		return "", fmt.Errorf("no thread %q: %w", args, errno.ENOENT)
	}
	return "OK", nil
}

// threadsAPacket is how many ids qfThreadInfo and qsThreadInfo tell of at a time.
const threadsAPacket = 256

func (c *client) firstThreads(string) (string, error) {
	c.threads = c.stub.threadIDs()
	return c.moreThreads("")
}

func (c *client) moreThreads(string) (string, error) {
	n := min(len(c.threads), threadsAPacket)
	if n == 0 {
		return "l", nil
	}
	ids := make([]string, n)
	for i, id := range c.threads[:n] {
		ids[i] = strconv.FormatInt(int64(id), 16)
	}
	c.threads = c.threads[n:]
	return "m" + strings.Join(ids, ","), nil
}

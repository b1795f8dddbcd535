package mount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"callops/board"
)

// covered are the guest's files and folders that lie over the host's in a shell. What the host or the guest has not is left out.
var covered = []string{
	"/proc/kallsyms",
	"/proc/modules",
	"/proc/sys/kernel", // whole: the host may lack some of ftrace's files in it
	"/proc/sysrq-trigger",
	"/proc/version",
	"/sys/devices/system/cpu",
	"/sys/kernel/btf",
	tracefs, // before the other: tools take the first
	"/sys/kernel/debug",
	"/sys/kernel/debug/tracing",
}

const tracefs = "/sys/kernel/tracing"

// Numbers that statfs tells of a file system (include/uapi/linux/magic.h).
const (
	debugfsMagic = 0x64626720
	tracefsMagic = 0x74726163
)

// typed are those whose type tools look for in /proc/mounts: one of the host's is mounted below.
var typed = map[string]struct {
	kind  string
	magic int64
}{
	"/sys/kernel/debug":         {"debugfs", debugfsMagic},
	"/sys/kernel/debug/tracing": {"tracefs", tracefsMagic},
	tracefs:                     {"tracefs", tracefsMagic},
}

// Shell runs a command of the host in a mount namespace of its own, in which the guest's tracefs lies where tools look, and what
// else they read of the kernel. It returns what [exec.Cmd.Wait] does. The machine belongs to the shell until then. The
// command is killed where this process ends.
func Shell(m *board.Machine, cmd *exec.Cmd, opts *ShellOptions) error {
	if opts == nil {
		opts = &ShellOptions{}
	}
	t := newTree(m)
	defer t.close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread, and with it the namespace, ends with the goroutine
		done <- t.shell(cmd, opts)
	}()
	return <-done
}

// shell is on a thread of its own.
func (t *tree) shell(cmd *exec.Cmd, opts *ShellOptions) (err error) {
	s, err := t.cover()
	if err != nil {
		select {
		case died := <-t.died:
			return died
		default:
			return err
		}
	}
	defer s.conn.close() // what the command left may hold the namespace
	if opts.Tasks {
		if err := t.mirror(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, t.endMirror()) }()
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, watching := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watching)
		t.watch(cmd.Process, opts, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-watching
	return err
}

// mirror has the processes of the host be tasks of the guest from now on.
func (t *tree) mirror() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.processes, err = newProcesses(context.Background(), t.m)
	return err
}

func (t *tree) endMirror() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.processes
	t.processes = nil
	if t.dead != nil {
		return p.close()
	}
	ctx := context.Background()
	return errors.Join(p.follow(ctx), p.first.Enter(ctx), p.close())
}

// watch passes on what happens while the command runs.
func (t *tree) watch(p *os.Process, opts *ShellOptions, ended <-chan struct{}) {
	for {
		select {
		case s := <-opts.Signals:
			_ = p.Signal(s) // it may have ended
		case err := <-t.died:
			if opts.Died != nil {
				opts.Died(err)
			}
		case <-ended:
			return
		}
	}
}

// cover gives the thread a mount namespace, and lays the guest's files over the host's in it.
func (t *tree) cover() (s *Server, err error) {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("a mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return nil, fmt.Errorf("a mount namespace: %w", err)
	}
	if err := detachOthers(); err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "callops")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(root)) }()
	if s, err = t.mount("fuse.callops", "/", root, &Options{Poll: true}); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	defer func() { err = errors.Join(err, syscall.Unmount(root, syscall.MNT_DETACH)) }()
	for _, path := range covered {
		if err := coverPath(root, path); err != nil {
			s.conn.close()
			return nil, fmt.Errorf("mount on %s: %w", path, err)
		}
	}
	return s, nil
}

// detachOthers unmounts what other tracefs there are: tools take the first in /proc/mounts.
func detachOthers() error {
	mounts, err := os.ReadFile("/proc/thread-self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line) // what is mounted, where, its type, ...
		if len(f) < 3 || strings.TrimPrefix(f[2], "fuse.") != "tracefs" {
			continue
		}
		path := unescape.Replace(f[1])
		if _, ok := typed[path]; ok {
			continue // that is covered
		}
		// In a user namespace, those from outside are locked (EINVAL): they stay.
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return nil
}

// unescape undoes mangle_path (fs/seq_file.c) with the characters that /proc/mounts escapes.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#")

// coverPath lays one of the files below root over the host's.
func coverPath(root, path string) error {
	guest := filepath.Join(root, path)
	if _, err := os.Stat(guest); err != nil {
		return unlessMissing(err)
	}
	if t, ok := typed[path]; ok {
		if err := mountType(path, t.kind, t.magic); err != nil {
			if path == tracefs {
				return err
			}
			return nil // debugfs is not needed, and not for namespaces of users
		}
	} else if _, err := os.Stat(path); err != nil {
		return unlessMissing(err)
	}
	return syscall.Mount(guest, path, "", syscall.MS_BIND, "")
}

func unlessMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// mountType mounts one of the host's file systems, where it is not yet.
func mountType(path, kind string, magic int64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err == nil && st.Type == magic {
		return nil
	}
	switch err := syscall.Mount(kind, path, kind, syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); {
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("the host's kernel has no %s, which tools look for in /proc/mounts: %w", kind, err)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s is to be mounted there by the host's root: %w", kind, err)
	default:
		return err
	}
}

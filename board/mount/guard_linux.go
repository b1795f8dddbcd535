package mount

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Guard starts this program once more, with arguments by which it calls [UnmountOrphan] with its standard input. That ends when the guard is
// closed, or with this process, however it ends.
func Guard(args ...string) (io.Closer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = filepath.Base(os.Args[0])
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's signals are not for it
	if err := errors.Join(cmd.Start(), r.Close()); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// UnmountOrphan waits for the end of r, and unmounts dir where nobody serves it any more. One that was unmounted is left alone.
func UnmountOrphan(dir string, r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	_, err := os.Lstat(filepath.Join(dir, "x"))
	if errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED) {
		return syscall.Unmount(dir, syscall.MNT_DETACH)
	}
	return nil
}

//go:build !linux

package mount

import (
	"errors"
	"io"
	"os/exec"

	"callops/board"
)

// Server is a mounted folder.
type Server struct{}

// Mount is for Linux hosts: errors.ErrUnsupported.
func Mount(*board.Machine, string, string, *Options) (*Server, error) {
	return nil, errors.ErrUnsupported
}

// Shell is for Linux hosts: errors.ErrUnsupported.
func Shell(*board.Machine, *exec.Cmd, *ShellOptions) error { return errors.ErrUnsupported }

// Guard is for Linux hosts: errors.ErrUnsupported.
func Guard(...string) (io.Closer, error) { return nil, errors.ErrUnsupported }

// UnmountOrphan is for Linux hosts: errors.ErrUnsupported.
func UnmountOrphan(string, io.Reader) error { return errors.ErrUnsupported }

// Died is a channel that gets nothing.
func (*Server) Died() <-chan error { return nil }

// Wait returns at once.
func (*Server) Wait() {}

// Unmount does nothing.
func (*Server) Unmount() error { return nil }

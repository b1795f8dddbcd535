package mount

import "os"

// Options say how a folder is mounted; the zero value is usable.
type Options struct {
	// Poll lets other processes wait for files by poll, select and epoll; without it the answer is always that they can be read and
	// written. This process must open none then: Go's runtime would wait in epoll_ctl for an answer that it gives itself.
	Poll bool
}

// ShellOptions are what [Shell] tells of and passes on; the zero value is usable.
type ShellOptions struct {
	Signals <-chan os.Signal // for the command
	Died    func(error)      // is called with what ended the guest; its files fail with EIO from then on

	// Tasks has the command's processes be tasks of the guest, with the same numbers and names: each forks, asks for what it does with the
	// guest's files, and exits in the guest too. The machine makes no snapshots from then on.
	Tasks bool
}

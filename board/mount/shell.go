package mount

import "os"

// ShellOptions are what [Shell] tells of and passes on; the zero value is usable.
type ShellOptions struct {
	Signals <-chan os.Signal // for the command
	Died    func(error)      // is called with what ended the guest; its files fail with EIO from then on
}

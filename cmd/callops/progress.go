package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows on a terminal how far a long work has come; elsewhere it shows
// nothing. finish takes the bar away.
func progress(errw io.Writer, what string) (report func(done, total int), finish func()) {
	f, ok := errw.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(f),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
	return func(done, total int) {
			bar.ChangeMax(total)
			_ = bar.Set(done) // it can only fail to draw
		}, func() {
			_ = bar.Clear()
		}
}

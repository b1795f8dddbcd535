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
	bar := newBar(errw, what, progressbar.OptionShowCount())
	if bar == nil {
		return nil, func() {}
	}
	return func(done, total int) {
			bar.ChangeMax(total)
			_ = bar.Set(done) // it can only fail to draw
		}, func() {
			_ = bar.Clear()
		}
}

// status is progress of a work whose length is not known: it shows what it is
// told.
func status(errw io.Writer) (report func(text string), finish func()) {
	bar := newBar(errw, "", progressbar.OptionSetElapsedTime(false), progressbar.OptionSpinnerType(14))
	if bar == nil {
		return nil, func() {}
	}
	return func(text string) {
			bar.Describe(text)
			_ = bar.RenderBlank()
		}, func() {
			_ = bar.Clear()
		}
}

// newBar is nil where there is no terminal.
func newBar(errw io.Writer, what string, opts ...progressbar.Option) *progressbar.ProgressBar {
	f, ok := errw.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return progressbar.NewOptions(-1, append(opts,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(f),
		progressbar.OptionClearOnFinish(),
	)...)
}

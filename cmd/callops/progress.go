package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows the progress of long work on a terminal; elsewhere it shows
// nothing. finish removes the bar.
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

// status is progress of work of unknown length: it shows the text that it is
// given.
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

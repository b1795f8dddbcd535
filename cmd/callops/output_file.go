package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// outputFile is a file that appears under its name only once it is whole: until then
// it is a temporary one beside it. What is no regular file (a pipe, a terminal) is written to as
// it is.
type outputFile struct {
	*bufio.Writer
	path string
	file *os.File
	temp string // "": file is path itself

	stop func() bool // has ctx's end no longer end writes; nil: it does not
}

// lastWords is how long a reader may take for what is written to it after an interrupt.
const lastWords = time.Second

// createOutput makes the temporary file, so that one that can't be written is known before
// the work is done.
//
// Where it is a FIFO, opening and writing it wait for a reader, but no longer than ctx.
func createOutput(ctx context.Context, path string) (*outputFile, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return nil, fmt.Errorf("open %s: %w", path, syscall.EISDIR)
		}
		f, err := await(ctx, func() (*os.File, error) { return os.OpenFile(path, os.O_WRONLY, 0) })
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Now().Add(lastWords)) }) // a device has none
		return &outputFile{Writer: bufio.NewWriterSize(f, outputBuffer), path: path, file: f, stop: stop}, nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays one
	}
	temp := fmt.Sprintf("%s.%d~", path, os.Getpid())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, underName(path, err)
	}
	return &outputFile{Writer: bufio.NewWriterSize(f, outputBuffer), path: path, file: f, temp: temp}, nil
}

const outputBuffer = 64 << 10

// finish gives the file its name where err is nil, and removes it otherwise. It returns
// err, or why the file could not be written.
func (o *outputFile) finish(err error) error {
	if err == nil {
		err = o.Flush()
	}
	if closed := o.file.Close(); err == nil {
		err = closed
	}
	if o.stop != nil {
		o.stop()
	}
	if o.temp == "" {
		return err
	}
	if err == nil {
		err = os.Rename(o.temp, o.path)
	}
	if err != nil {
		return errors.Join(underName(o.path, err), os.Remove(o.temp))
	}
	return nil
}

// underName has an error name the file, and not the temporary one.
func underName(path string, err error) error {
	if failed := (*os.PathError)(nil); errors.As(err, &failed) {
		failed.Path = path
	}
	return err
}

// discard removes the file again: there is nothing to write to it.
func (o *outputFile) discard() error {
	err := o.file.Close()
	if o.stop != nil {
		o.stop()
	}
	if o.temp != "" {
		err = errors.Join(err, os.Remove(o.temp))
	}
	return err
}

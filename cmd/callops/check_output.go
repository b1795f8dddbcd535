package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"callops/check"
	"callops/trace/timeline"
)

// checkOutput is the flag --output of check: the file that counterexamples go to.
type checkOutput struct {
	path  string
	write func(io.Writer, *timeline.Timeline) error

	file *outputFile
	list []*check.Counterexample
}

func (o *checkOutput) String() string { return o.path }
func (o *checkOutput) Type() string   { return "FILE" }

func (o *checkOutput) suffixes() string { return strings.Join(slices.Sorted(maps.Keys(viewers)), ", ") }

func (o *checkOutput) Set(s string) error {
	for suffix, write := range viewers {
		if strings.HasSuffix(s, suffix) && s != suffix {
			o.path, o.write = s, write
			return nil
		}
	}
	return fmt.Errorf("the name ends in none of %s", o.suffixes())
}

// create makes the file, before the work that may take long.
func (o *checkOutput) create(ctx context.Context) (err error) {
	if o.path == "" {
		return nil
	}
	if o.file, err = createOutput(ctx, o.path); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

func (o *checkOutput) add(list ...*check.Counterexample) { o.list = append(o.list, list...) }

// finish writes what was found; err is the search's. Where there is nothing, there is no file.
func (o *checkOutput) finish(err error, errw io.Writer) error {
	switch {
	case o.file == nil:
		return err
	case len(o.list) == 0:
		if err == nil {
			fmt.Fprintf(errw, "callops: no counterexample, so %s is not written\n", o.path)
		}
		return errors.Join(err, o.file.discard())
	}
	if written := o.file.finish(o.write(o.file, check.Timeline(o.list))); written != nil {
		return errors.Join(err, fmt.Errorf("--output %s: %w", o.path, written))
	}
	return err
}

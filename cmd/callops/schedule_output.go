package main

import (
	"errors"
	"fmt"
	"io"

	"callops/trace/timeline"
)

// scheduleOutput is the flag --output of schedule: the file that the schedule goes to that failed last.
type scheduleOutput struct {
	checkOutput
	timeline *timeline.Timeline
}

// finish writes what was found; err is the search's. Where there is nothing, there is no file.
func (o *scheduleOutput) finish(err error, errw io.Writer) error {
	switch {
	case o.file == nil:
		return err
	case o.timeline == nil:
		if err == nil {
			fmt.Fprintf(errw, "callops: no schedule failed, so %s is not written\n", o.path)
		}
		return errors.Join(err, o.file.discard())
	}
	if written := o.file.finish(o.write(o.file, o.timeline)); written != nil {
		return errors.Join(err, fmt.Errorf("--output %s: %w", o.path, written))
	}
	return err
}

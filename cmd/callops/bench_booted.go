package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"callops/bench"
	"callops/bench/report"
	"callops/kernelimage"
)

// withBooted are the flags that --booted goes with.
var withBooted = []string{"booted", "image", "format"}

// runBooted measures the ways to trace a call that the kernel itself has, booted.
func (b *benchFlags) runBooted(cmd *cobra.Command) (err error) {
	if b.format.value != formatText && b.format.value != formatJSON {
		return usagef("--booted prints text or JSON")
	}
	if err := goesWith(cmd, "--booted", withBooted); err != nil {
		return err
	}
	if b.image == "" {
		return usagef("--booted needs --image, a kernel to boot")
	}
	img, err := kernelimage.Open(cmd.Context(), b.image, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	done, finish := progress(cmd.ErrOrStderr(), "bench")
	defer finish()
	res, err := bench.RunBooted(cmd.Context(), &bench.BootedConfig{Image: img, Progress: done})
	if err != nil {
		return err
	}
	return map[string]func(io.Writer, *bench.BootedResult) error{
		formatText: report.Booted, formatJSON: report.BootedJSON,
	}[b.format.value](cmd.OutOrStdout(), res)
}

package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"callops/bench"
	"callops/bench/report"
	"callops/kernelimage"
	"callops/trampolines"
)

// directNames are the designs of direct calls.
func directNames() []string {
	var names []string
	for _, d := range trampolines.Directs() {
		names = append(names, d.String())
	}
	return names
}

// withDirect are the flags that --direct goes with.
var withDirect = []string{"direct", "image", "engine", "format"}

// runDirect compares the designs of direct calls that were chosen.
func (b *benchFlags) runDirect(cmd *cobra.Command) error {
	if b.format.value != formatText && b.format.value != formatJSON {
		return usagef("--direct prints text or JSON")
	}
	if err := goesWith(cmd, "--direct", withDirect); err != nil {
		return err
	}
	if len(b.engine.each()) > 1 {
		return usagef("--direct counts on one --engine")
	}
	var img *kernelimage.Image
	if b.image != "" {
		var err error
		if img, err = kernelimage.Open(cmd.Context(), b.image, nil); err != nil {
			return err
		}
		defer func() { _ = img.Close() }() // it was only read
	}
	cfg := &bench.DirectConfig{Image: img, Engine: bench.Engine(b.engine.each()[0])}
	for _, d := range bench.DirectDesigns(img) {
		if slices.Contains(b.direct.chosen, d.Direct.String()) {
			cfg.Designs = append(cfg.Designs, d)
		}
	}
	if len(cfg.Designs) == 0 { // hash does without literals
		return usagef("--direct %s: the call sites of %s have no literals", b.direct.String(), img.Name())
	}
	done, finish := progress(cmd.ErrOrStderr(), "bench")
	defer finish()
	cfg.Progress = done
	res, err := bench.RunDirect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	return map[string]func(io.Writer, *bench.DirectResult) error{
		formatText: report.Direct, formatJSON: report.DirectJSON,
	}[b.format.value](cmd.OutOrStdout(), res)
}

// goesWith refuses flags that one with a table of its own does not go with.
func goesWith(cmd *cobra.Command, flag string, with []string) error {
	var others []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(with, f.Name) {
			others = append(others, "--"+f.Name)
		}
	})
	if len(others) > 0 {
		return usagef("%s has a table of its own, and does not go with %s", flag, strings.Join(others, ", "))
	}
	return nil
}

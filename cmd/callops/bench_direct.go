package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"callops/bench"
	"callops/bench/report"
	"callops/kernelimage"
	"callops/trampolines"
)

// directs is a list of designs of direct calls; none where there is no list.
type directs []trampolines.Direct

func (d *directs) String() string {
	var names []string
	for _, design := range *d {
		names = append(names, design.String())
	}
	return strings.Join(names, ",")
}

func (*directs) Type() string { return "LIST" }

func (d *directs) Set(list string) error {
	var all []trampolines.Direct
	for _, name := range strings.Split(list, ",") {
		design, err := trampolines.ParseDirect(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		all = append(all, design)
	}
	*d = all
	return nil
}

// runDirect compares the designs of direct calls that were chosen.
func (b *benchFlags) runDirect(cmd *cobra.Command) error {
	if b.format.value != formatText && b.format.value != formatJSON {
		return usagef("--direct prints text or JSON")
	}
	if len(b.beside) > 0 || len(b.modules) > 0 {
		return usagef("--direct goes with one --image")
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
		if slices.Contains(b.direct, d.Direct) {
			cfg.Designs = append(cfg.Designs, d)
		}
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

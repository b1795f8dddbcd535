package try

import (
	"context"
	"fmt"

	"callops/bench"
	"callops/check"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/kernelimage/textdiff"
)

// Config is what to compare, and how.
type Config struct {
	Old, New Build

	// Engine runs what is measured.
	Engine bench.Engine

	// Allow is by how many instructions a cost may rise without being worse.
	Allow float64

	// Quick does fewer operations on each kernel's own core.
	Quick bool

	// Scenarios are searched, of those that fit; nil: all.
	Scenarios []string

	// Operations are done on each kernel's own core; 0: as many as take some seconds.
	Operations int

	Workers int // of the search, see [check.Options]
	Memory  int // bytes of its states, see [check.Options]

	// Progress is called with what is going on.
	Progress func(what string)
}

// Build is a kernel, and what to call it.
type Build struct {
	Name  string
	Image *kernelimage.Image
}

// Run compares two kernels. Images that do not belong together are an [*UnfitError].
func Run(ctx context.Context, cfg *Config) (*Report, error) {
	if cfg == nil || cfg.Old.Image == nil || cfg.New.Image == nil || cfg.Engine.New == nil || cfg.Allow < 0 || cfg.Operations < 0 {
		return nil, fmt.Errorf("try: two images and an engine are needed, and no number is below 0: %w", errno.EINVAL)
	}
	notes, err := fit(&cfg.Old, &cfg.New)
	if err != nil {
		return nil, fmt.Errorf("try: %w", err)
	}
	t := &trial{Config: *cfg, report: &Report{
		Old: kernelOf(&cfg.Old), New: kernelOf(&cfg.New), Notes: append([]string{}, notes...),
		Verdicts: []Verdict{}, LeftOut: []string{}, Worse: []string{}, Better: []string{},
	}}
	for _, step := range []func(context.Context) error{t.text, t.costs, t.core, t.verdicts} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("try: %w", err)
		}
	}
	return t.report, nil
}

// trial is a comparison under way.
type trial struct {
	Config
	report *Report
}

func kernelOf(b *Build) Kernel {
	img := b.Image
	return Kernel{
		Name: b.Name, Banner: img.Banner(), CallOps: img.CallOps(), PageSize: img.PageSize(), Sites: len(img.Sites()) - img.InitSites(),
	}
}

func (t *trial) progress(format string, args ...any) {
	if t.Progress != nil {
		t.Progress(fmt.Sprintf(format, args...))
	}
}

func (t *trial) worse(format string, args ...any) {
	t.report.Worse = append(t.report.Worse, fmt.Sprintf(format, args...))
}

func (t *trial) better(format string, args ...any) {
	t.report.Better = append(t.report.Better, fmt.Sprintf(format, args...))
}

func (t *trial) text(ctx context.Context) (err error) {
	t.progress("comparing the text")
	t.report.Text, err = textdiff.Compare(ctx, t.Old.Image, t.New.Image)
	return err
}

// each calls f for both kernels.
func (t *trial) each(f func(b *Build, isNew bool) error) error {
	if err := f(&t.Old, false); err != nil {
		return err
	}
	return f(&t.New, true)
}

// checkOptions are those of a search on a kernel.
func (t *trial) checkOptions(b *Build, name string) *check.Options {
	opts := &check.Options{
		Image: b.Image, ImageCode: true, ImageCore: t.report.Patcher == PatcherImage, Workers: t.Workers, Memory: t.Memory,
	}
	if t.Progress != nil {
		opts.Progress = func(p check.Progress) { t.progress("%s, %s: %d states, depth %d", b.Name, name, p.States, p.Depth) }
	}
	return opts
}

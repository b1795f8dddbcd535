package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/spf13/cobra"

	"callops/emu"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
	"callops/machine"
)

// machineFlags select what to run, and on which engine.
type machineFlags struct {
	image   string
	profile choice
	bti     bool
	scheme  schemeFlag
	engine  engineFlag
	modules []string

	cpus       number
	failAlloc  number
	keepInit   bool
	trampoline choice
	core       choice

	opened []*kernelimage.Image
	errw   func() io.Writer // for notes about an image; nil discards them
}

func newMachine() *machineFlags {
	return &machineFlags{
		profile: newChoice(string(kernelimage.Profile612), string(kernelimage.Profile73), string(kernelimage.ProfileV3), string(kernelimage.Profile61)),
		scheme:  newSchemeFlag(),
		engine:  newEngineFlag(),
		cpus:    number{value: 1, min: 1, max: kernel.MaxCPUs},

		failAlloc: number{min: 1, max: math.MaxInt32},

		trampoline: newTrampoline(),
		core:       newChoice(coreOurs, coreImage, both),
	}
}

// Whose trampolines, list function and ops are used.
const (
	trampolineOurs  = "ours"
	trampolineImage = "image"
)

func newTrampoline() choice { return newChoice(trampolineOurs, trampolineImage) }

// addTrampoline adds the flag that chooses whose ftrace runs.
func (m *machineFlags) addTrampoline(cmd *cobra.Command) {
	cmd.Flags().Var(&m.trampoline, "trampoline", "whose ftrace to use, callops' or the image's")
}

// addImage adds the flags that choose an image.
func (m *machineFlags) addImage(cmd *cobra.Command) {
	cmd.Flags().Var((*fileName)(&m.image), "image", "`FILE` to run instead of the built-in kernel: ELF, or a kernel's Image")
	cmd.Flags().BoolVar(&m.keepInit, "keep-init", false, "keep the init text of a kernel's Image, which is freed by default as after boot")
	m.addVariant(cmd)
}

// addVariant adds the flags that select how an image is read.
func (m *machineFlags) addVariant(cmd *cobra.Command) {
	cmd.Flags().Var(&m.profile, "profile", "Linux version whose ftrace layout the image has; v3 is the January 2023 patch")
	cmd.Flags().BoolVar(&m.bti, "bti", false, "build the built-in kernel with BTI")
	m.errw = cmd.ErrOrStderr
}

func (m *machineFlags) addModules(cmd *cobra.Command) { addModules(cmd, &m.modules) }

// addModules adds the flag that loads kernel modules.
func addModules(cmd *cobra.Command, modules *[]string) {
	cmd.Flags().StringArrayVar(modules, "module", nil, "kernel module `FILE` to load, .ko or compressed (repeatable, in this order)")
}

func (m *machineFlags) addScheme(cmd *cobra.Command) {
	cmd.Flags().Var(&m.scheme, "scheme", "how calls find their ops, see bench --help (default: callops where the image has literals, else global)")
}

// wantsLiterals reports whether a scheme was given that needs literals.
func (m *machineFlags) wantsLiterals() bool {
	return m.scheme.given && m.scheme.scheme() != ftrace.Global
}

func (m *machineFlags) addEngine(cmd *cobra.Command) {
	addEngineFlag(cmd, &m.engine, "in lockstep, up to the first difference")
}

// addCPUs adds the flag for several CPUs.
func (m *machineFlags) addCPUs(cmd *cobra.Command) {
	cmd.Flags().Var(&m.cpus, "cpus", "number of CPUs; FUNC runs on all of them concurrently")
}

// addFailAlloc adds the flag that has an allocation fail.
func (m *machineFlags) addFailAlloc(cmd *cobra.Command) {
	cmd.Flags().Var(&m.failAlloc, "fail-alloc", "have the Nth allocation of a kernel's code fail, from its first FUNC on")
}

// armFailAlloc has the allocation fail that the flag asks for, and returns what
// afterwards tells errw where there was none.
func (m *machineFlags) armFailAlloc(mc *machine.Machine, errw io.Writer) (tell func()) {
	n := m.failAlloc.value
	if n == 0 {
		return func() {}
	}
	before := mc.Services.Allocations()
	mc.Services.FailAlloc(int(n))
	return func() {
		if count := mc.Services.Allocations() - before; count < n {
			fmt.Fprintf(errw, "callops: --fail-alloc %d: there were %d allocations\n", n, count)
		}
	}
}

// open reads or assembles the image.
func (m *machineFlags) open(ctx context.Context) (*kernelimage.Image, error) {
	profile := kernelimage.Profile(m.profile.value)
	if m.image == "" {
		if m.wantsLiterals() && profile == kernelimage.Profile61 {
			return nil, usagef("--scheme %s: profile %s has no CALL_OPS", m.scheme.value, profile)
		}
		return kernelimage.Builtin(&kernelimage.BuiltinOptions{Profile: profile, NoCallOps: m.scheme.scheme() == ftrace.Global, BTI: m.bti})
	}
	if m.bti {
		return nil, usagef("--bti chooses a variant of the built-in kernel, and does not go with --image")
	}
	if !m.profile.given {
		profile = "" // a kernel's raw Image has its own
	}
	img, err := kernelimage.Open(ctx, m.image, &kernelimage.OpenOptions{Profile: profile})
	if err != nil {
		return nil, err
	}
	m.opened = append(m.opened, img)
	if l := img.Linux(); l != nil && l.BTF == 0 && m.errw != nil {
		fmt.Fprintf(m.errw(), "callops: %s has no BTF (CONFIG_DEBUG_INFO_BTF): arguments and results have no types, and its own ftrace can't be run (--trampoline image)\n", img.Name())
	}
	if m.wantsLiterals() && !img.CallOps() {
		err = fmt.Errorf("%s: --scheme %s: its call sites have no literals: %w", img.Name(), m.scheme.value, errno.EINVAL)
	}
	return img, err
}

// close closes the images that were opened, after the machine that runs the last
// one; mc may be nil.
func (m *machineFlags) close(mc *machine.Machine) error {
	var errs []error
	if mc != nil {
		errs = append(errs, mc.Close())
	}
	for _, img := range m.opened {
		errs = append(errs, img.Close())
	}
	m.opened = nil
	return errors.Join(errs...)
}

// config returns the configuration of the machine, with room for data on its
// heap. Call close afterwards, also after an error.
func (m *machineFlags) config(ctx context.Context, engine emu.NewEngine, data uint64) (*machine.Config, error) {
	if err := schemesGoWith(m.core.value, m.scheme.scheme()); err != nil {
		return nil, err
	}
	img, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	cfg := &machine.Config{Image: img, Engine: engine, Heap: heapSize + data, CPUs: int(m.cpus.value), KeepInit: m.keepInit, Modules: m.modules}
	if m.core.value == coreImage {
		cfg.Guest = &guestcore.Options{}
	}
	return cfg, nil
}

// showLog has a machine print what its kernel logs, its WARN()s, and the allocation that
// was made to fail, on whichever CPU.
func showLog(cfg *machine.Config, errw io.Writer) {
	var mu sync.Mutex
	line := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(errw, text.Printable(s))
	}
	cfg.Warn = func(b *kernel.Bug) { line(b.String()) }
	cfg.Printk = func(l services.Line) { line(l.Text) }
	cfg.Services = &services.Options{AllocFailed: func(f services.FailedAlloc) { line("callops: " + f.String()) }}
}

// heapSize leaves room for ops and hashes.
const heapSize = 64 << 20

// ftrace configures callops' ftrace as the flags select it, unless the image's own core runs.
// The kernel's log goes to errw; memory, which may be nil, makes what stands in for the
// kernel's.
func (m *machineFlags) ftrace(cfg *machine.Config, errw io.Writer, memory func(*kernel.Kernel) ftrace.Memory) {
	if cfg.Guest != nil {
		return
	}
	cfg.Ftrace = func(k *kernel.Kernel) (*ftrace.Options, error) {
		opts := m.ftraceOptions(errw)
		if memory != nil {
			opts.Memory = memory(k)
		}
		return opts, nil
	}
}

func (m *machineFlags) ftraceOptions(errw io.Writer) *ftrace.Options {
	return &ftrace.Options{
		Scheme:    m.scheme.scheme(),
		ImageCode: m.trampoline.value == trampolineImage,
		Printk:    func(line string) { fmt.Fprintln(errw, text.Printable(line)) },
	}
}

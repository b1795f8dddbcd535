package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"callops/board"
	"callops/kernelimage"
)

// guestFlags are those of commands that show a booted kernel's files on the host.
type guestFlags struct {
	image        fileName
	cpus, budget *number
}

func addGuestFlags(cmd *cobra.Command) *guestFlags {
	g := &guestFlags{cpus: &number{value: 1, min: 1, max: board.MaxCPUs}, budget: &number{min: 1, max: math.MaxUint64}}
	cmd.Flags().Var(&g.image, "image", "kernel `FILE` to boot, as it lies in /boot")
	cmd.Flags().Var(g.cpus, "cpus", "number of CPUs")
	cmd.Flags().Var(g.budget, "budget", "fail after this many instructions of the boot (default 20 billion)")
	return g
}

// check refuses what can be refused before the kernel boots.
func (g *guestFlags) check(cmd *cobra.Command) error {
	if g.image == "" {
		return usagef("--image is missing")
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("mounting takes root; `unshare -Urm callops %s ...` has it in a namespace of its own: %w", cmd.Name(), os.ErrPermission)
	}
	return nil
}

// start starts the kernel, from a snapshot after the first time, and has use use it.
func (g *guestFlags) start(ctx context.Context, use func(*board.Machine) error) (err error) {
	img, err := kernelimage.Open(ctx, string(g.image), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	m, err := board.Start(ctx, img, &board.Options{CPUs: int(g.cpus.value), Budget: g.budget.value})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return use(m)
}

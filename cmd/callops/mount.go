package main

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"callops/board"
	"callops/board/mount"
	"callops/kernelimage"
)

// newMount builds `callops mount`.
func newMount() *cobra.Command {
	var image fileName
	budget := &number{min: 1, max: math.MaxUint64}
	cmd := &cobra.Command{
		Use:   "mount --image FILE [flags] DIR",
		Short: "Mount a booted kernel's tracefs",
		Long: `mount boots a kernel, or goes on from the snapshot of an earlier time, and shows its
/sys/kernel/tracing at DIR until it is interrupted or DIR is unmounted: what is read and
written there, the kernel's own code does. It needs /dev/fuse, and root.`,
		Example: `  callops mount --image vmlinuz /mnt &
  echo function > /mnt/current_tracer
  cat /mnt/trace`,
		Args: argCount(1, 1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if image == "" {
				return usagef("--image is missing")
			}
			if _, err := os.ReadDir(args[0]); err != nil { // before the kernel boots
				return err
			}
			ctx := cmd.Context()
			img, err := kernelimage.Open(ctx, string(image), nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, img.Close()) }()
			m, err := board.Start(ctx, img, &board.Options{Budget: budget.value})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, m.Close()) }()
			server, err := mount.Mount(m, "/sys/kernel/tracing", args[0], &mount.Options{Poll: true})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "callops: mounted on %s\n", args[0])
			unmounted := make(chan struct{})
			go func() {
				server.Wait()
				close(unmounted)
			}()
			select {
			case <-unmounted:
				return nil
			case err := <-server.Died():
				return errors.Join(err, server.Unmount())
			case <-ctx.Done():
				return server.Unmount()
			}
		},
	}
	cmd.Flags().Var(&image, "image", "kernel `FILE` to boot, as it lies in /boot")
	cmd.Flags().Var(budget, "budget", "fail after this many instructions of the boot (default 20 billion)")
	return cmd
}

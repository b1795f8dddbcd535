package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"callops/board"
	"callops/board/mount"
)

// newMount builds `callops mount`.
func newMount() *cobra.Command {
	var guest *guestFlags
	cmd := &cobra.Command{
		Use:   "mount --image FILE [flags] DIR",
		Short: "Mount a booted kernel's tracefs",
		Long: `mount boots a kernel, or goes on from the snapshot of an earlier time, and shows its
/sys/kernel/tracing at DIR until it is interrupted or DIR is unmounted: what is read and
written there, the kernel's own code does. It needs /dev/fuse, and root.`,
		Example: `  callops mount --image vmlinuz /mnt & until mountpoint -q /mnt; do sleep .1; done
  echo function > /mnt/current_tracer
  cat /mnt/trace`,
		Args: argCount(1, 1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := guest.check(cmd); err != nil {
				return err
			}
			if _, err := os.ReadDir(args[0]); err != nil { // before the kernel boots
				return err
			}
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return guest.start(cmd.Context(), func(m *board.Machine) error {
				return serveMount(cmd, m, dir, args[0])
			})
		},
	}
	guest = addGuestFlags(cmd)
	return cmd
}

// serveMount shows the kernel's tracefs at dir until it is unmounted, or the command is to end.
func serveMount(cmd *cobra.Command, m *board.Machine, dir, name string) error {
	server, err := mount.Mount(m, "/sys/kernel/tracing", dir, &mount.Options{Poll: true})
	if err != nil {
		return err
	}
	guard, err := mount.Guard(guardCommand, dir)
	if err != nil {
		return errors.Join(err, server.Unmount())
	}
	defer guard.Close()
	fmt.Fprintf(cmd.ErrOrStderr(), "callops: mounted on %s\n", name)
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
	case <-cmd.Context().Done():
		return server.Unmount()
	}
}

// guardCommand is the command that [mount.Guard] starts.
const guardCommand = "unmount"

// newGuard builds it.
func newGuard() *cobra.Command {
	return &cobra.Command{
		Use:    guardCommand + " DIR",
		Short:  "Unmount DIR when standard input ends, should the one who served it have been killed",
		Hidden: true,
		Args:   argCount(1, 1, "DIR"),
		RunE:   func(cmd *cobra.Command, args []string) error { return mount.UnmountOrphan(args[0], cmd.InOrStdin()) },
	}
}

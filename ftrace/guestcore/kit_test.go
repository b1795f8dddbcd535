package guestcore_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernel/services"
	"callops/kernelimage"
)

// traced are functions that the tests trace; the first three only compute, and are called.
var traced = []string{
	"gcd", "lcm", "int_sqrt",
	"vfs_read", "vfs_write", "vfs_open", "vfs_fsync", "vfs_statfs", "vfs_rename", "generic_permission", "notify_change", "set_nlink",
}

// sitesOf are the call sites of the traced functions, and some more.
func sitesOf(t *testing.T, img *kernelimage.Image) (ips []uint64) {
	t.Helper()
	for i, s := range img.Sites() {
		if i%1024 == 0 && !s.Init {
			ips = append(ips, s.IP)
		}
	}
	return append(ips, sitesNamed(t, img, traced...)...)
}

// sitesNamed are the call sites of functions.
func sitesNamed(t *testing.T, img *kernelimage.Image, names ...string) (ips []uint64) {
	t.Helper()
	sites := make(map[uint64]uint64)
	for _, s := range img.Sites() {
		sites[s.Func()] = s.IP
	}
	for _, s := range img.Symbols() {
		if ip := sites[s.Addr]; ip != 0 && slices.Contains(names, s.Name) {
			ips = append(ips, ip)
		}
	}
	require.Len(t, ips, len(names))
	return ips
}

// guest is a kernel whose own core runs.
type guest struct {
	Kernel *kernel.Kernel
	Ftrace *guestcore.Core
}

// bootWith boots a kernel with services, before init text is freed.
func bootWith(tb testing.TB, img *kernelimage.Image, boot *kernel.BootOptions, surround *services.Options) (*kernel.Kernel, *services.Services) {
	tb.Helper()
	opts := kernel.BootOptions{}
	if boot != nil {
		opts = *boot
	}
	opts.WritableRodata = true
	k, err := kernel.Boot(img, interp.New, &opts)
	require.NoError(tb, err)
	s, err := services.Install(k, surround)
	require.NoError(tb, err)
	return k, s
}

// boot boots a kernel whose WARN()s nobody reads.
func boot(t *testing.T, img *kernelimage.Image) *kernel.Kernel {
	t.Helper()
	k, _ := bootWith(t, img, &kernel.BootOptions{Warn: func(*kernel.Bug) {}}, nil)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

// start starts a kernel's own core on some of its call sites.
func start(t *testing.T, series string, before func(k *kernel.Kernel) error) guest {
	t.Helper()
	img := kept.Image(t, series)
	k := boot(t, img)
	c, err := guestcore.New(k, &guestcore.Options{Sites: sitesOf(t, img), Before: before, Budget: 1 << 28})
	require.NoError(t, err)
	require.NoError(t, k.FreeInitMem())
	return guest{k, c}
}

func eachSeries(t *testing.T, test func(t *testing.T, series string)) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) { test(t, series) })
	}
}

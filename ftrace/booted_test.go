package ftrace

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

// booted are SHA-256 sums of available_filter_functions as kernels printed it
// after boot:
//
//	qemu-system-aarch64 -M virt -cpu max,pauth=off -kernel vmlinuz-... -append nokaslr ...
//	cat /sys/kernel/tracing/available_filter_functions | sha256sum
var booted = map[string]string{
	"6.12.117+deb12-cloud-arm64": "8297dc351d779c33ee6856bf9b8040af6a2d51cc67af8790f0749656b31c9810",
}

func TestWriteAvailable_IsWhatLinuxPrintsAfterBoot(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
			require.NoError(t, err)
			defer img.Close()
			k, err := kernel.Boot(img, newIdle, nil)
			require.NoError(t, err)
			defer k.Close()
			require.NoError(t, k.FreeInitMem())
			r, err := New(k, nil)
			require.NoError(t, err)

			var b strings.Builder
			require.NoError(t, r.WriteAvailable(&b, false))
			assert.Equal(t, len(img.Sites())-img.InitSites(), strings.Count(b.String(), "\n"))
			assert.True(t, strings.HasPrefix(b.String(), "gic_handle_irq\ngic_handle_irq\n"), "two functions of one name, in address order")

			release := strings.Fields(img.Banner())[2]
			want, ok := booted[release]
			if !ok {
				t.Logf("%s has not been booted for this; known are %v", release, booted)
				return
			}
			assert.Equal(t, want, fmt.Sprintf("%x", sha256.Sum256([]byte(b.String()))))
		})
	}
}

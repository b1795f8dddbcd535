package kernels

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPath_IsOfTheNewestByVersionNotByLetters(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, file := range []string{
		"linux-image-6.12.9+deb13-cloud-arm64-unsigned/boot/vmlinuz-6.12.9+deb13-cloud-arm64",
		"linux-image-6.12.107+deb13-cloud-arm64-unsigned/boot/vmlinuz-6.12.107+deb13-cloud-arm64",
		"linux-image-6.12.107+deb13-cloud-arm64-unsigned/lib/modules/6.12.107+deb13-cloud-arm64/kernel/lib/math/cordic.ko.xz",
		"linux-image-6.12.63+deb13-cloud-arm64-unsigned/boot/vmlinuz-6.12.63+deb13-cloud-arm64",
		"linux-binary-unsigned-7.10.1+deb14-cloud-arm64/usr/lib/modules/7.10.1+deb14-cloud-arm64/vmlinuz.unsigned",
		"linux-binary-unsigned-7.3.4+deb13-cloud-arm64/usr/lib/modules/7.3.4+deb13-cloud-arm64/vmlinuz.unsigned",
		"linux-binary-unsigned-7.3.4+deb13-arm64-16k/usr/lib/modules/7.3.4+deb13-arm64-16k/vmlinuz.unsigned",
	} {
		path := filepath.Join(cache, "callops/kernels", file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o644))
	}
	assert.Equal(t, "vmlinuz-6.12.107+deb13-cloud-arm64", filepath.Base(Path(t, Linux612)))
	assert.Equal(t, "6.12.107+deb13-cloud-arm64", Version(t, Linux612))
	assert.Equal(t, filepath.Join(Modules(t, Linux612), "kernel/lib/math/cordic.ko.xz"), Module(t, Linux612, "cordic"))
	assert.Contains(t, Path(t, Linux7), "/7.10.1+deb14-cloud-arm64/vmlinuz.unsigned")
	assert.Contains(t, Path(t, Linux716K), "/7.3.4+deb13-arm64-16k/vmlinuz.unsigned")
}

func TestCompareVersions(t *testing.T) {
	for _, ascending := range [][]string{
		{"6.1.0-9", "6.1.0-56", "6.12.9", "6.12.107", "7.2.13", "7.3", "7.3.4", "7.10"},
		{"linux-7.3-rc7", "linux-7.3-rc10"},
		{"", "6", "6.", "a"},
	} {
		for i := range ascending {
			for j := range ascending {
				assert.Equal(t, i < j, compareVersions(ascending[i], ascending[j]) < 0, "%q, %q", ascending[i], ascending[j])
			}
		}
	}
}

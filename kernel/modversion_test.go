package kernel

import (
	"io"
	"strings"

	"github.com/ulikunitz/xz"

	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage/module"
)

// versioned changes a module's record of a symbol's version.
func versioned(t *testing.T, ko []byte, symbol string, edit func(entry []byte)) []byte {
	t.Helper()
	ko = bytes.Clone(ko)
	i := bytes.Index(ko, append([]byte("\x00\x00\x00\x00"+symbol), 0))
	require.Positive(t, i, symbol)
	edit(ko[i-4 : i+60])
	return ko
}

func TestLoadModule_ComparesVersionsOfSymbols(t *testing.T) {
	for _, series := range []string{kernels.Linux612, kernels.Linux61} {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			k := bootStill(t, img, nil)
			ko := unpackedModule(t, modulesOf(t, series)["lz4_compress"])
			for name, test := range map[string]struct {
				ko   []byte
				want string
				is   error
			}{
				"a_symbols": {versioned(t, ko, "memcpy", func(e []byte) { e[0]++ }), "disagrees about version of symbol memcpy", errno.EINVAL},
				"none":      {versioned(t, ko, "memcpy", func(e []byte) { e[8]++ }), "has no version for symbol memcpy", errno.EINVAL},
				"layout": {
					versioned(t, ko, "module_layout", func(e []byte) { e[0]++ }),
					"disagrees about version of symbol module_layout: the module's version magic is", errno.ENOEXEC,
				},
				"flags": {
					bytes.ReplaceAll(ko, []byte(" mod_unload modversions"), []byte(" mod_unlaod modversions")),
					"mod_unlaod", errno.ENOEXEC,
				},
				"bad_magic": {bytes.ReplaceAll(ko, []byte("vermagic="), []byte("vermogic=")), `the module is for the kernel "", this one is`, errno.ENOEXEC},
			} {
				t.Run(name, func(t *testing.T) {
					_, err := k.LoadModule(t.Context(), test.ko, "lz4_compress.ko", nil)
					require.ErrorContains(t, err, test.want)
					assert.ErrorIs(t, err, test.is)
				})
			}
			other := bytes.ReplaceAll(ko, []byte("vermagic="+release(img)[:4]), []byte("vermagic=9.99"))
			_, err := k.LoadModule(t.Context(), other, "lz4_compress.ko", nil)
			assert.NoError(t, err, "where versions agree the release does not count")
		})
	}
}

// Debian's 7.x is built without CONFIG_MODVERSIONS.
func TestLoadModule_WhereThereAreNoVersionsTheReleaseCounts(t *testing.T) {
	img, _ := linux(t, kernels.Linux7)
	k := bootStill(t, img, nil)
	ko := unpackedModule(t, modulesOf(t, kernels.Linux7)["crc_itu_t"])
	_, err := k.LoadModule(t.Context(), ko, "crc-itu-t.ko", nil)
	require.NoError(t, err)
	other := bytes.ReplaceAll(ko, []byte("vermagic="+release(img)[:3]), []byte("vermagic=9.9"))
	_, err = k.LoadModule(t.Context(), other, "crc-itu-t.ko", nil)
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.Regexp(t, `the module is for the kernel "9\.9.*", this one is "7\.`, err.Error())
}

func unpackedModule(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	if strings.HasSuffix(path, ".xz") {
		r, err := xz.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		b, err = io.ReadAll(r)
		require.NoError(t, err)
	}
	return b
}

func TestLoadModule_OfAnotherKernelIsRefused(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	k := bootStill(t, img, nil)
	_, err := k.LoadModuleFile(t.Context(), modulesOf(t, kernels.Linux61)["lz4_compress"], nil)
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.Regexp(t, `disagrees about version of symbol module_layout: the module is for the kernel "6\.1\..*", this one is "6\.12\.`, err.Error())
}

func TestLoadModule_ANamespaceMustBeImported(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			k := bootStill(t, img, nil)
			ko := unpackedModule(t, modulesOf(t, series)["ccm"])
			without := bytes.ReplaceAll(ko, []byte("\x00import_ns=CRYPTO_INTERNAL\x00"), []byte("\x00import_ns=CRYPTO_EXTERNAL\x00"))
			_, err := k.LoadModule(t.Context(), without, "ccm.ko", nil)
			require.ErrorIs(t, err, errno.EINVAL)
			assert.ErrorContains(t, err, "does not import namespace CRYPTO_INTERNAL of crypto_")
			_, err = k.LoadModule(t.Context(), ko, "ccm.ko", nil)
			require.NoError(t, err)
		})
	}
}

func TestLoadModule_UsesWhatModulesExportByVersionAndNamespace(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	ko, err := k.LoadModule(t.Context(), fixtureModule(t), "fixture.ko", nil)
	require.NoError(t, err)
	require.NoError(t, k.Unload(ko))
	gcd := k.loaded.exports["gcd"]
	for name, test := range map[string]struct {
		e    module.Export
		want string
	}{
		"namespace": {module.Export{Addr: gcd.Addr, Namespace: "PRIVATE"}, "does not import namespace PRIVATE of gcd"},
		"other":     {module.Export{Addr: gcd.Addr, Namespace: "module:other"}, "does not import namespace module:other of gcd"},
		"itself":    {module.Export{Addr: gcd.Addr, Namespace: "module:fixture"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k.loaded.exports["gcd"] = test.e
			m, err := k.LoadModule(t.Context(), fixtureModule(t), "fixture.ko", nil)
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				assert.ErrorIs(t, err, errno.EINVAL)
				return
			}
			require.NoError(t, err)
			require.NoError(t, k.Unload(m))
		})
	}
}

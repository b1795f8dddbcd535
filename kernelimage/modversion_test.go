package kernelimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"callops/internal/kernels"
)

func TestMayUse_NamespacesThatAreImportedOrNameTheModule(t *testing.T) {
	info := &moduleInfo{imports: []string{"CXL"}}
	for namespace, want := range map[string]bool{
		"": true, "CXL": true, "CX": false, "DMA_BUF": false,
		"module:kvm": true, "module:kv": false, "module:kvm_intel,kvm": true, "module:k*": true, "module:other,kv*": true,
		"module:": false, "module:other": false, "kvm": false,
	} {
		assert.Equal(t, want, info.mayUse(namespace, "kvm"), namespace)
	}
}

func TestReadVersions_OfANameThatIsThereTwiceTheFirstCounts(t *testing.T) {
	entry := func(crc uint32, name string) []byte {
		b := make([]byte, 64)
		binary.LittleEndian.PutUint32(b, crc)
		copy(b[8:], name)
		return b
	}
	long := string(bytes.Repeat([]byte("n"), 56)) // fills its place, without a NUL
	var info moduleInfo
	info.readVersions(bytes.Join([][]byte{entry(1, "one"), entry(2, "two"), entry(3, "one"), entry(4, long), entry(5, "short")[:63]}, nil))
	assert.Equal(t, map[string]uint64{"one": 1, "two": 2, long: 4}, info.versions)
}

func TestDisagrees_AsCheckVersion(t *testing.T) {
	info := &moduleInfo{versions: map[string]uint64{"memcpy": 1}}
	assert.Empty(t, info.disagrees("memcpy", export{crc: 1, versioned: true}))
	assert.Empty(t, info.disagrees("memcpy", export{crc: 2}), "the other side has none")
	assert.Equal(t, "disagrees about version of symbol", info.disagrees("memcpy", export{crc: 2, versioned: true}))
	assert.Equal(t, "has no version for symbol", info.disagrees("memset", export{crc: 2, versioned: true}))
	assert.Empty(t, (&moduleInfo{}).disagrees("memcpy", export{crc: 1, versioned: true}), "as with modprobe --force")
}

func TestSameMagic(t *testing.T) {
	for _, c := range []struct {
		module, kernel string
		versions, want bool
	}{
		{"6.12 SMP aarch64", "6.12 SMP aarch64", false, true},
		{"6.11 SMP aarch64", "6.12 SMP aarch64", false, false},
		{"6.11 SMP aarch64", "6.12 SMP aarch64", true, true},
		{"6.12 aarch64", "6.12 SMP aarch64", true, false},
		{"6.12 SMP aarch64", "6.12", true, true},
		{"6.11 SMP aarch64", "6.12", true, false},
		{"", "6.12 SMP aarch64", true, false},
		{"", "6.12", false, false},
	} {
		assert.Equal(t, c.want, sameMagic(c.module, c.kernel, c.versions), "%+v", c)
	}
}

// versioned changes a module's record of a symbol's version.
func versioned(t *testing.T, ko []byte, symbol string, edit func(entry []byte)) []byte {
	t.Helper()
	ko = bytes.Clone(ko)
	i := bytes.Index(ko, append([]byte("\x00\x00\x00\x00"+symbol), 0))
	require.Positive(t, i, symbol)
	edit(ko[i-4 : i+60])
	return ko
}

func TestLoadKo_ComparesVersionsOfSymbols(t *testing.T) {
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
				"a_symbols": {versioned(t, ko, "memcpy", func(e []byte) { e[0]++ }), "disagrees about version of symbol memcpy", unix.EINVAL},
				"none":      {versioned(t, ko, "memcpy", func(e []byte) { e[8]++ }), "has no version for symbol memcpy", unix.EINVAL},
				"layout": {
					versioned(t, ko, moduleLayout, func(e []byte) { e[0]++ }),
					"disagrees about version of symbol module_layout: the module's version magic is", unix.ENOEXEC,
				},
				"flags": {
					bytes.ReplaceAll(ko, []byte(" mod_unload modversions"), []byte(" mod_unlaod modversions")),
					"mod_unlaod", unix.ENOEXEC,
				},
				"bad_magic": {bytes.ReplaceAll(ko, []byte("vermagic="), []byte("vermogic=")), `the module is for the kernel "", this one is`, unix.ENOEXEC},
			} {
				t.Run(name, func(t *testing.T) {
					_, err := k.LoadKo(test.ko, "lz4_compress.ko", nil)
					require.ErrorContains(t, err, test.want)
					assert.ErrorIs(t, err, test.is)
				})
			}
			other := bytes.ReplaceAll(ko, []byte("vermagic="+k.release()[:4]), []byte("vermagic=9.99"))
			_, err := k.LoadKo(other, "lz4_compress.ko", nil)
			assert.NoError(t, err, "where versions agree the release does not count")
		})
	}
}

func unpackedModule(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	if p := packingOf(b); p != nil {
		b, err = p.unpack(bytes.NewReader(b), int64(len(b)), path)
		require.NoError(t, err)
	}
	return b
}

func TestLoadKo_OfAnotherKernelIsRefused(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	k := bootStill(t, img, nil)
	_, err := k.LoadKoFile(modulesOf(t, kernels.Linux61)["lz4_compress"], nil)
	require.ErrorIs(t, err, unix.ENOEXEC)
	assert.Regexp(t, `disagrees about version of symbol module_layout: the module is for the kernel "6\.1\..*", this one is "6\.12\.`, err.Error())
}

func TestLoadKo_ANamespaceMustBeImported(t *testing.T) {
	for _, series := range []string{kernels.Linux612, kernels.Linux61} {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			k := bootStill(t, img, nil)
			ko := unpackedModule(t, modulesOf(t, series)["pcbc"])
			without := bytes.ReplaceAll(ko, []byte("\x00import_ns=CRYPTO_INTERNAL\x00"), []byte("\x00import_ns=CRYPTO_EXTERNAL\x00"))
			_, err := k.LoadKo(without, "pcbc.ko", nil)
			require.ErrorIs(t, err, unix.EINVAL)
			assert.ErrorContains(t, err, "does not import namespace CRYPTO_INTERNAL of crypto_")
			_, err = k.LoadKo(ko, "pcbc.ko", nil)
			require.NoError(t, err)
		})
	}
}

func TestLoadKo_UsesWhatModulesExportByVersionAndNamespace(t *testing.T) {
	k := bootStill(t, standard(t), nil)
	k.exports()
	gcd := k.loaded.exports["gcd"]
	for name, test := range map[string]struct {
		e    export
		want string
	}{
		"namespace": {export{addr: gcd.addr, namespace: "PRIVATE"}, "does not import namespace PRIVATE of gcd"},
		"other":     {export{addr: gcd.addr, namespace: "module:other"}, "does not import namespace module:other of gcd"},
		"itself":    {export{addr: gcd.addr, namespace: "module:fixture"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k.loaded.exports["gcd"] = test.e
			m, err := k.LoadKo(fixtureModule(t), "fixture.ko", nil)
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				assert.ErrorIs(t, err, unix.EINVAL)
				return
			}
			require.NoError(t, err)
			require.NoError(t, k.Unload(m))
		})
	}
}

func TestUnusable_IsOneErrorOfBoundedLength(t *testing.T) {
	l := &koLoad{elfFile: &elfFile{name: "m.ko"}, k: &Kernel{Symbols: NewSymbols()}, info: moduleInfo{depends: []string{"lz4_compress"}}}
	problems := map[string][]string{"disagrees about version of symbol": {"b", "a"}}
	for i := range 1000 {
		problems[notExported] = append(problems[notExported], fmt.Sprintf("symbol_%03d", i))
	}
	err := l.unusable(problems)
	assert.ErrorIs(t, err, unix.ENOENT)
	assert.ErrorContains(t, err, "disagrees about version of symbol a, b; neither the kernel nor a module loaded exports symbol_000, symbol_001, ")
	assert.ErrorContains(t, err, "symbol_015 and 984 more; it depends on lz4_compress: load that first")
	assert.Less(t, len(err.Error()), 500)
}

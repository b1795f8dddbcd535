package module

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/internal/errno"
	"callops/kernelimage/internal/elffile"
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
	assert.Empty(t, info.disagrees("memcpy", Export{CRC: 1, Versioned: true}))
	assert.Empty(t, info.disagrees("memcpy", Export{CRC: 2}), "the other side has none")
	assert.Equal(t, "disagrees about version of symbol", info.disagrees("memcpy", Export{CRC: 2, Versioned: true}))
	assert.Equal(t, "has no version for symbol", info.disagrees("memset", Export{CRC: 2, Versioned: true}))
	assert.Empty(t, (&moduleInfo{}).disagrees("memcpy", Export{CRC: 1, Versioned: true}), "as with modprobe --force")
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

func TestUnusable_IsOneErrorOfBoundedLength(t *testing.T) {
	l := &loading{File: &elffile.File{Name: "m.ko"}, host: &Host{Loaded: func(string) bool { return false }}, info: moduleInfo{depends: []string{"lz4_compress"}}}
	problems := map[string][]string{"disagrees about version of symbol": {"b", "a"}}
	for i := range 1000 {
		problems[notExported] = append(problems[notExported], fmt.Sprintf("symbol_%03d", i))
	}
	err := l.unusable(problems)
	assert.ErrorIs(t, err, errno.ENOENT)
	assert.ErrorContains(t, err, "disagrees about version of symbol a, b; neither the kernel nor a module loaded exports symbol_000, symbol_001, ")
	assert.ErrorContains(t, err, "symbol_015 and 984 more; it depends on lz4_compress: load that first")
	assert.Less(t, len(err.Error()), 500)
}

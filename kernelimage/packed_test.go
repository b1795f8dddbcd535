package kernelimage

import (
	"bytes"
	"encoding/binary"
	"testing"

	"callops/internal/errno"
	"callops/kernelimage/internal/imageheader"
	"callops/kernelimage/internal/packing/packtest"

	"github.com/stretchr/testify/assert"
)

// zboot puts a compressed kernel into an EFI program. After it lies what the
// program itself consists of.
func zboot(payload []byte) []byte {
	b := make([]byte, 0x200)
	copy(b, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(payload)))
	copy(b[imageheader.MagicAt:], "\xcd\x23\x82\x81") // another magic than a raw Image's
	return append(append(b, payload...), "more of the program"...)
}

func TestParse_CompressedKernels(t *testing.T) {
	want := buildRaw(t, rawSpec{callOps: true})
	for name, b := range packtest.All(t, want.b) {
		t.Run(name, func(t *testing.T) {
			img := parsed(t, append(b, "\xd0\x0d\xfe\xed, a device tree"...))
			checkRaw(t, want, img, rawSpec{callOps: true})
			assert.Equal(t, []string{name}, img.linux.Packed)
			img = parsed(t, zboot(b))
			checkRaw(t, want, img, rawSpec{callOps: true})
			assert.Equal(t, []string{"EFI zboot", name}, img.linux.Packed)
		})
	}
	img := parsed(t, zboot(want.b))
	assert.Equal(t, []string{"EFI zboot"}, img.linux.Packed)
	assert.Nil(t, workload(t, "workload-callops.elf").linux)
}

func TestParse_RefusesWhatIsPackedTooOften(t *testing.T) {
	nested := buildRaw(t, rawSpec{}).b
	for range maxPackings + 1 {
		nested = packtest.All(t, nested)["gzip"]
	}
	_, err := parse(nested)
	assert.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "unknown format")
	assert.ErrorContains(t, err, "inside gzip, gzip, gzip it starts with")
}

func TestParse_NamesTheArchitectureOfAnotherKernel(t *testing.T) {
	x86 := append(make([]byte, 0x202), "HdrS"...)
	riscv := append(make([]byte, 0x38), "RSC\x05...."...)
	for arch, b := range map[string][]byte{"x86": x86, "riscv": riscv} {
		_, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "vmlinuz", nil)
		assert.EqualError(t, err, "vmlinuz: is a kernel for "+arch+", not for arm64")
		assert.ErrorIs(t, err, errno.ENOEXEC)
	}
}

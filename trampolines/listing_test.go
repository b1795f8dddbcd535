package trampolines

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/kernelimage"
)

var update = flag.Bool("update", false, "rewrite the listings in testdata")

// assemble builds the program without a kernel, at fixed addresses.
func assemble(t *testing.T, profile kernelimage.Profile, callOps, bti bool, direct Direct) *asm.Program {
	t.Helper()
	img, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{Profile: profile, NoCallOps: !callOps})
	require.NoError(t, err)
	const data = 0xffff_8000_c000_0000
	c := &code{
		Builder: asm.NewBuilder(), l: direct.layout(img.Layout()), callOps: callOps, bti: bti, direct: direct,
		data: &Code{
			ListEnd: data, OpsList: data + 0x200, FunctionTraceOp: data + 0x240, ListOps: data + 0x300,
			GraphArray: data + 0x400, GraphBitmask: data + 0x480, GraphStub: data + 0x4c0,
			PreemptSchedule: 0xffff_a000_0000_0010,
		},
		warn: 0xffff_a000_0000_0020,
	}
	c.emit()
	p, err := c.Assemble(0xffff_8000_8000_0000)
	require.NoError(t, err)
	return p
}

func TestListings(t *testing.T) {
	for _, v := range []struct {
		name    string
		profile kernelimage.Profile
		callOps bool
		bti     bool
		direct  Direct
	}{
		{"callops", kernelimage.Profile612, true, false, DirectOps},
		{"callops_bti", kernelimage.Profile612, true, true, DirectOps},
		{"callops_v3", kernelimage.ProfileV3, true, false, DirectOps},
		{"global", kernelimage.Profile612, false, false, DirectOps},
		{"tagged", kernelimage.Profile612, true, false, DirectTagged},
		{"mini", kernelimage.Profile612, true, false, DirectMini},
		{"hash", kernelimage.Profile612, true, false, DirectHash},
		{"jump", kernelimage.Profile612, true, false, DirectJump},
		{"hash_global", kernelimage.Profile612, false, false, DirectHash},
		{"global_6.1", kernelimage.Profile61, false, false, DirectOps},
	} {
		t.Run(v.name, func(t *testing.T) {
			got := assemble(t, v.profile, v.callOps, v.bti, v.direct).Listing()
			file := filepath.Join("testdata", v.name+".lst")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o666))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
}

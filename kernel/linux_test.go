package kernel

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/kernels"
)

func TestLinux_ItsFunctionsRun(t *testing.T) {
	for series, sha256Of1MiB := range map[string]float64{kernels.Linux7: 30.7e6, kernels.Linux716K: 30.7e6, kernels.Linux612: 33.8e6, kernels.Linux61: 33.8e6} { // instructions
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			eachEngine(t, func(t *testing.T, boot bootFunc) {
				m := boot(t, img)
				data := make([]byte, 1<<20)
				random := rand.New(rand.NewPCG(1, 2))
				for i := range data {
					data[i] = byte(random.Uint32())
				}
				in, out := m.bytes(data), m.bytes(make([]byte, 32))

				opts := &emu.CallOptions{Budget: 50_000_000}
				res, err := m.CallName(context.Background(), 0, opts, "sha256", in, uint64(len(data)), out)
				require.NoError(t, err)
				digest := make([]byte, 32)
				require.NoError(t, m.Mem.Read(out, digest))
				want := sha256.Sum256(data)
				assert.Equal(t, want[:], digest)
				assert.InDelta(t, sha256Of1MiB, res.Count, 0.3e6)

				assert.Equal(t, uint64(^crc32.ChecksumIEEE(data[:1000])), m.call("crc32_le", 0xffff_ffff, in, 1000))
				assert.EqualValues(t, 11, m.call("strlen", m.string("hello world")))
				assert.Zero(t, m.call("memcmp", m.string("same"), m.string("same"), 4))
				assert.NotZero(t, m.call("memcmp", m.string("same"), m.string("some"), 4))
				assert.EqualValues(t, 1000, m.call("int_sqrt", 1_000_000))
				text := m.bytes(make([]byte, 64))
				assert.EqualValues(t, 11, m.call("snprintf", text, 64, m.string("%s %#x"), m.string("value"), 0xabc))
				got, err := m.Mem.ReadString(text, 64)
				require.NoError(t, err)
				assert.Equal(t, "value 0xabc", got)
			})
		})
	}
}

func TestLinux_AFunctionThatReachesForWhatIsNotThereIsReported(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			eachEngine(t, func(t *testing.T, boot bootFunc) {
				m := boot(t, img)
				_, err := m.try("vfs_read", 0, 0, 0, 0)
				var run *RunError
				require.ErrorAs(t, err, &run)
				assert.Contains(t, run.PC, "vfs_read+")
				assert.Contains(t, err.Error(), "unmapped")
				assert.EqualValues(t, 2, m.call("strlen", m.string("ok")), "and the CPU stays usable")
			})
		})
	}
}

// Functions that set up SVE, which this CPU does not have, and hardware breakpoints. Either would end
// the process were libunicorn to execute it.
func TestLinux_AFunctionThatReachesForStateOfTheCPUIsRefused(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			eachEngine(t, func(t *testing.T, boot bootFunc) {
				m := boot(t, img)
				_, err := m.try("write_wb_reg", 16, 1, 0x1ff1)
				var u *emu.UnsupportedError
				require.ErrorAs(t, err, &u)
				assert.Contains(t, u.Text, "msr s2_0_c0_c1_5")
				assert.ErrorIs(t, err, errors.ErrUnsupported)
				assert.EqualValues(t, 2, m.call("strlen", m.string("ok")), "and the CPU stays usable")

				_, err = m.try("cpu_enable_sve", 0)
				var exit *emu.ExitError
				require.ErrorAs(t, err, &exit)
				assert.Equal(t, emu.ExitUndefined, exit.Exit.Reason)
				assert.EqualValues(t, 2, m.call("strlen", m.string("ok")), "and the CPU stays usable")
			})
		})
	}
}

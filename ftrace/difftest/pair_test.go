package difftest_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"callops/ftrace/difftest"
	"callops/internal/kernels"
	"callops/kernelimage"
)

var operations = flag.Int("operations", 3000, "how many operations TestPair applies on each kernel")

var seed = flag.Uint64("seed", 1, "of the operations")

// traced are functions that compute, and need nothing else.
var traced = []difftest.Callee{
	{Name: "int_sqrt", Args: []uint64{1 << 20}},
	{Name: "gcd", Args: []uint64{84, 36}},
	{Name: "lcm", Args: []uint64{84, 36}},
	{Name: "hex_to_bin", Args: []uint64{'c'}},
}

func open(t *testing.T, series string) *kernelimage.Image {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, img.Close()) })
	return img
}

// someSites are the call sites of the functions, and every nth other one.
func someSites(t *testing.T, img *kernelimage.Image, n int) (all, wanted []uint64) {
	byName := map[string]uint64{}
	for _, s := range img.Symbols() {
		if site, ok := img.Site(s.Addr); ok && site.Func() == s.Addr {
			byName[s.Name] = site.IP
		}
	}
	for _, c := range traced {
		if ip := byName[c.Name]; ip != 0 {
			wanted = append(wanted, ip)
		}
	}
	all = append(all, wanted...)
	for i, s := range img.Sites() {
		if i%n == 0 && !s.Init {
			all = append(all, s.IP)
		}
	}
	wanted = append(wanted, all[len(wanted):len(wanted)+6]...)
	return all, wanted
}

func TestPair_TheCoresAgree(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			img := open(t, series)
			all, wanted := someSites(t, img, 200)
			p, err := difftest.NewPair(t.Context(), difftest.Config{Image: img, Sites: all, Calls: traced, Mutate: hack})
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close()) }()
			r := &difftest.Random{Rand: rand.New(rand.NewPCG(*seed, 0)), Sites: wanted, Patterns: []string{"int_sqrt", "gcd", "*", "nothing*", "!gcd", "i*"}, Calls: len(traced)}
			start := time.Now()
			err = p.Run(t.Context(), r, *operations, 16)
			var d *difftest.Difference
			if errors.As(err, &d) {
				t.Log(d.What, "| ours:", d.Ours, "| image:", d.Image, "|", d.Steps[len(d.Steps)-1])
				t.Logf("%s", strings.Join(strings.Split(d.Ours+"\n--\n"+d.Image, "\n"), "\n   "))
				place := d.Steps[len(d.Steps)-1].Ops
				for i, s := range d.Steps {
					if s.Ops == place {
						t.Log(i+1, s)
					}
				}
				t.Fatal(len(d.Steps))
			}
			require.NoError(t, err)
			t.Log(float64(*operations)/time.Since(start).Seconds(), "operations a second")
		})
	}
}

package guestcore_test

import (
	"flag"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
)

var corruptions = flag.Int("corruptions", 4, "how many kernels TestCore_CorruptMemoryIsAResult corrupts, of each series")

// Whatever lies in the structures that the core keeps, each operation returns.
func TestCore_CorruptMemoryIsAResult(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			for seed := range *corruptions {
				corrupt(t, series, uint64(seed))
			}
		})
	}
}

// wordsOf are the addresses of words of the ops, of what they point to, and of what that points to; of
// ftrace_pages_start, where it has a symbol, and the list.
func wordsOf(t *testing.T, k *kernel.Kernel, ops []*ftrace.Ops) (words []uint64) {
	t.Helper()
	const around = 256
	from := make([]uint64, 0, len(ops))
	for _, o := range ops {
		from = append(from, o.Addr())
	}
	for _, name := range []string{"ftrace_pages_start", "ftrace_ops_list", "direct_functions", "ftrace_list_end"} {
		if sym, err := k.Symbols.Lookup(name); err == nil {
			from = append(from, sym.Addr)
		}
	}
	seen := make(map[uint64]bool)
	for range 4 {
		var next []uint64
		for _, at := range from {
			for w := at &^ 7; w < at&^7+around && !seen[w]; w += 8 {
				v, err := k.Mem.Load64(w)
				if err != nil {
					break
				}
				seen[w] = true
				words = append(words, w)
				if region := k.Mem.Region(v); region != nil && region.Perm&emu.Exec == 0 {
					next = append(next, v)
				}
			}
		}
		from = next
	}
	return words
}

// corrupt overwrites words of what the core keeps, and asks it for everything.
func corrupt(t *testing.T, series string, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	img := kept.Image(t, series)
	k := boot(t, img)
	c, err := guestcore.New(k, &guestcore.Options{Sites: sitesOf(t, img), Budget: 1 << 22})
	require.NoError(t, err)
	require.NoError(t, k.FreeInitMem())
	var ops []*ftrace.Ops
	for _, pattern := range []string{"gcd", "vfs_*", "*"} {
		o, err := c.NewOps(pattern, c.Code().OpsFuncNop, &ftrace.OpsOptions{})
		require.NoError(t, err)
		require.NoError(t, c.SetFilter(o, pattern, nil))
		require.NoError(t, c.Register(o))
		ops = append(ops, o)
	}
	words := wordsOf(t, k, ops)
	for range 1 + r.IntN(6) {
		at := words[r.IntN(len(words))]
		v := []uint64{0, 1, ^uint64(0), 1 << 63, r.Uint64(), words[r.IntN(len(words))], words[r.IntN(len(words))] + r.Uint64N(64)}[r.IntN(7)]
		_ = k.Mem.Store64(at, v) // as far as it is mapped
	}
	_ = c.Validate()
	for _, step := range r.Perm(14) {
		o := ops[r.IntN(len(ops))]
		switch step {
		case 0:
			_ = c.WriteEnabled(io.Discard)
		case 1:
			_ = c.WriteAvailable(io.Discard, false)
		case 2:
			_ = c.WriteTouched(io.Discard)
		case 3:
			_, _ = c.Match("vfs_*")
		case 4:
			_ = c.SetFilter(o, "!*d", nil)
		case 5:
			_ = c.SetNotrace(o, "lcm", nil)
		case 6:
			_ = c.Unregister(o)
		case 7:
			_ = c.Register(o)
		case 8:
			_ = c.FreeFilter(o)
		case 9:
			c.Records()
			c.Registered()
			c.Variables()
		case 10:
			_, _ = c.SetEnabled(0), c.SetEnabled(1)
		case 11:
			_, _ = k.CallName(t.Context(), 0, nil, "gcd", 84, 36)
		case 12:
			c.Direct(words[0])
			c.Location(words[0])
			c.Matches(o, words[0])
			c.Waiting(o, true)
		case 13:
			o.Flags()
			o.Func()
		}
	}
	c.Kill()
	c.Dead()
	_ = c.Validate()
	_ = c.Close()
}

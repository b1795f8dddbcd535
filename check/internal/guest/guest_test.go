package guest_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/check/internal/guest"
	"callops/check/internal/weak"
	"callops/check/property"
	"callops/kernelimage"
)

// Merged or not, a task sees the same, and could be preempted in between where
// it could.
func TestMachine_MergingLosesNoBehaviour(t *testing.T) {
	const programs = 150
	most := 0
	for seed := range uint64(programs) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		r := newRig(t)
		r.store(t, 0, 1)
		r.store(t, 1, 1)
		r.event(t, weak.Event{Kind: weak.Order})
		r.store(t, 2, 1)
		fn := r.code(t, func(b *asm.Builder) { randomCode(r, rnd, b) })
		merged := behaviours(t, r, r.machine(t, fn.Start, nil))
		each := behaviours(t, r, r.another(t, fn.Start, func(c *guest.Config) { c.EachInstruction = true }))
		require.Equal(t, each, merged, "seed %d", seed)
		most = max(most, len(each))
	}
	assert.Greater(t, most, 50, "the programs are dull")
}

// randomCode loads, spills, branches on what it loaded, and disables and
// enables preemption.
func randomCode(r *rig, rnd *rand.Rand, b *asm.Builder) {
	const frame = 32
	r.loadBase(b)
	b.Emit(asm.SubImm(asm.SP, asm.SP, frame))
	for i := asm.X0; i <= asm.X3; i++ {
		b.Emit(asm.Movz(i, 0, 0), asm.Str(i, asm.Off(asm.SP, 8*int64(i-asm.X0))))
	}
	reg := func() asm.Reg { return asm.X0 + asm.Reg(rnd.IntN(4)) }
	slot := func() asm.Mem { return asm.Off(asm.SP, 8*rnd.Int64N(4)) }
	loads := 0
	for range 16 {
		skip := b.Label("skip")
		skips := rnd.IntN(4) == 0
		if skips {
			b.Emit(asm.Cbz(reg(), skip))
		}
		switch rnd.IntN(9) {
		case 0, 1:
			if loads++; loads <= 6 {
				b.Emit(asm.Ldr(reg(), asm.Off(asm.X9, 8*rnd.Int64N(3))))
			}
		case 2:
			if loads++; loads <= 6 {
				x := reg()
				b.Emit(asm.Eor(asm.X12, x, x), asm.Add(asm.X12, asm.X12, asm.X9), asm.Ldr(reg(), asm.Off(asm.X12, 8*rnd.Int64N(3))))
			}
		case 3:
			b.Emit(asm.Str(reg(), slot()))
		case 4:
			b.Emit(asm.Ldr(reg(), slot()))
		case 5:
			b.Emit(asm.Stp(reg(), reg(), asm.Pre(asm.SP, -16)), asm.Ldp(asm.X4, asm.X5, asm.Post(asm.SP, 16)))
		case 6:
			r.preempt(b, true)
		case 7:
			r.preempt(b, false)
		case 8:
			b.Emit(asm.Add(reg(), reg(), reg()))
		}
		if skips {
			b.Bind(skip)
		}
	}
	b.Emit(asm.AddImm(asm.SP, asm.SP, frame), asm.Ret())
}

// A task may be preempted after it has loaded something and before it disables
// preemption, though no instruction is between that others could notice.
func TestMachine_StopsBeforePreemptionIsDisabled(t *testing.T) {
	r := newRig(t)
	r.store(t, 0, 1)
	fn := r.code(t, func(b *asm.Builder) {
		r.loadBase(b)
		b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X9, 0)))
		r.preempt(b, true)
		b.Emit(asm.Ldr(asm.X1, asm.Off(asm.X9, 0)))
		r.preempt(b, false)
		b.Emit(asm.Ret())
	})
	m := r.machine(t, fn.Start, nil)
	between := map[uint64]bool{}
	for _, n := range nodes(t, r, m) {
		if n.Kind == guest.Run && len(n.Loads) == 0 && n.Preemptible {
			between[n.PC] = true
		}
	}
	const ret, enable, load = 4, 12, 4
	assert.Equal(t, map[uint64]bool{fn.End - ret: true, fn.End - ret - enable - load - 4: true}, between,
		"before the count goes up, and when it is down again")
}

// What an address depends on orders loads; through a register, through the
// stack, and not beyond.
func TestMachine_Dependencies(t *testing.T) {
	ldr := func(rt asm.Reg, word int64) asm.Inst { return asm.Ldr(rt, asm.Off(asm.X9, 8*word)) }
	index := func(from asm.Reg) []asm.Inst { // x12 = x9, which depends on from
		return []asm.Inst{asm.Eor(asm.X12, from, from), asm.Add(asm.X12, asm.X12, asm.X9)}
	}
	last := asm.Ldr(asm.X2, asm.Off(asm.X12, 8))
	sp := func(off int64) asm.Mem { return asm.Off(asm.SP, off) }
	for _, tt := range []struct {
		name    string
		code    []asm.Inst
		depends bool
	}{
		{"none", slices.Concat([]asm.Inst{ldr(asm.X0, 0), asm.Mov(asm.X12, asm.X9)}, []asm.Inst{last}), false},
		{"register", slices.Concat([]asm.Inst{ldr(asm.X0, 0)}, index(asm.X0), []asm.Inst{last}), true},
		{
			"register that was overwritten",
			slices.Concat([]asm.Inst{ldr(asm.X0, 0), asm.Movz(asm.X0, 1, 0)}, index(asm.X0), []asm.Inst{last}), false,
		},
		{
			"stack",
			slices.Concat([]asm.Inst{ldr(asm.X0, 0), asm.Str(asm.X0, sp(8)), asm.Ldr(asm.X1, sp(8))}, index(asm.X1), []asm.Inst{last}), true,
		},
		{
			"pair on the stack",
			slices.Concat([]asm.Inst{
				ldr(asm.X0, 0), asm.Movz(asm.X1, 0, 0),
				asm.Stp(asm.X1, asm.X0, asm.Pre(asm.SP, -16)), asm.Ldp(asm.X3, asm.X4, asm.Post(asm.SP, 16)),
			}, index(asm.X4), []asm.Inst{last}), true,
		},
		{
			"the pair's other half",
			slices.Concat([]asm.Inst{
				ldr(asm.X0, 0), asm.Movz(asm.X1, 0, 0),
				asm.Stp(asm.X1, asm.X0, asm.Pre(asm.SP, -16)), asm.Ldp(asm.X3, asm.X4, asm.Post(asm.SP, 16)),
			}, index(asm.X3), []asm.Inst{last}), false,
		},
		{
			"half of a word of the stack, the other loaded",
			slices.Concat([]asm.Inst{
				ldr(asm.X0, 0), asm.Str(asm.XZR, sp(8)), asm.Str(asm.W0, sp(8)), asm.Ldr(asm.W1, sp(12)),
			}, index(asm.X1), []asm.Inst{last}), false,
		},
		{
			"a base that is written back where something was stored",
			slices.Concat([]asm.Inst{
				ldr(asm.X0, 0), asm.Mov(asm.X3, asm.SP), asm.Str(asm.X0, asm.Post(asm.X3, 8)),
			}, index(asm.X3), []asm.Inst{last}), false,
		},
		{
			"pointer to pointer",
			slices.Concat([]asm.Inst{ldr(asm.X0, 0)}, index(asm.X0), []asm.Inst{asm.Ldr(asm.X1, asm.Off(asm.X12, 24))},
				index(asm.X1), []asm.Inst{last}), true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.store(t, 1, 1)
			ordered := r.event(t, weak.Event{Kind: weak.Order})
			r.store(t, 0, 1)
			fn := r.code(t, func(b *asm.Builder) {
				r.loadBase(b)
				b.Emit(asm.SubImm(asm.SP, asm.SP, 32))
				b.Emit(tt.code...)
				b.Emit(asm.AddImm(asm.SP, asm.SP, 32), asm.Ret())
			})
			m := r.machine(t, fn.Start, nil)
			loc, ok := r.h.At(r.word(1))
			require.True(t, ok)
			latest := weak.Time(0)
			for _, n := range nodes(t, r, m) {
				for _, l := range n.Loads {
					if l.Loc == loc {
						latest = max(latest, l.After)
					}
				}
			}
			want := weak.Time(0)
			if tt.depends {
				want = ordered
			}
			assert.Equal(t, want, latest)
		})
	}
}

// A call leaves a return address that depends on nothing, whatever decided where
// the call goes.
func TestMachine_ReturnAddressDependsOnNothing(t *testing.T) {
	r := newRig(t)
	callee := r.code(t, func(b *asm.Builder) {
		b.Emit(
			asm.Eor(asm.X12, asm.LR, asm.LR), asm.Add(asm.X12, asm.X12, asm.X9),
			asm.Ldr(asm.X0, asm.Off(asm.X12, 8)), asm.Ret(),
		)
	})
	r.store(t, 1, 1)
	r.event(t, weak.Event{Kind: weak.Order})
	r.store(t, 0, callee.Start)
	require.NoError(t, r.k.Mem.Store64(r.word(0), callee.Start))
	fn := r.code(t, func(b *asm.Builder) {
		b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)))
		r.loadBase(b)
		b.Emit(asm.Ldr(asm.X1, asm.Off(asm.X9, 0)), asm.Blr(asm.X1), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)), asm.Ret())
	})
	m := r.machine(t, fn.Start, nil)
	found := 0
	for _, n := range nodes(t, r, m) {
		if callee.Contains(n.PC) && len(n.Loads) > 0 {
			assert.Zero(t, n.Loads[0].After)
			found++
		}
	}
	assert.Positive(t, found)
}

func TestMachine_CallsWithItsArgument(t *testing.T) {
	r := newRig(t)
	fn := r.code(t, func(b *asm.Builder) { b.Emit(asm.Ret()) }).Start
	for want, args := range map[uint64]map[uint64]uint64{
		guest.Entry(0): {fn + 4: 1}, // another function's
		0:              {fn: 0},
		7:              {fn: 7},
	} {
		var got []uint64
		m := r.another(t, fn, func(cfg *guest.Config) {
			cfg.Args = args
			cfg.Ended = func(v *guest.Visit) *property.Broken {
				assert.Equal(t, guest.Entry(1), v.X(1))
				got = append(got, v.X(0))
				return nil
			}
		})
		nodes(t, r, m)
		assert.Contains(t, got, want)
		assert.Len(t, slices.Compact(got), 1)
	}
}

// Each thing that a task must not do is reported as what it is.
func TestMachine_Broken(t *testing.T) {
	for _, tt := range []struct {
		name string
		code func(r *rig, b *asm.Builder)
		want []property.Property
	}{
		{
			"nothing",
			func(_ *rig, b *asm.Builder) {
				b.Emit(asm.Stp(asm.X0, asm.X1, asm.Pre(asm.SP, -16)), asm.Ldp(asm.X0, asm.X1, asm.Post(asm.SP, 16)))
			},
			nil,
		},
		{
			"a store to what others read",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.Str(asm.X0, asm.Off(asm.X9, 16))) },
			[]property.Property{property.WritesItsOwn},
		},
		{
			"a loop without an end",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.B(b.Here("loop"))) },
			[]property.Property{property.CallsEnd},
		},
		{
			"a load from below sp",
			func(_ *rig, b *asm.Builder) {
				b.Emit(asm.Str(asm.X0, asm.Pre(asm.SP, -16)), asm.AddImm(asm.SP, asm.SP, 16), asm.Ldr(asm.X0, asm.Off(asm.SP, -16)))
			},
			[]property.Property{property.StackAboveSP},
		},
		{
			"a store below sp",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.Stur(asm.X0, asm.Off(asm.SP, -8))) },
			[]property.Property{property.StackAboveSP},
		},
		{
			"more taken from the stack than was put there",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.AddImm(asm.SP, asm.SP, 16)) },
			[]property.Property{property.SPInStack},
		},
		{
			"preemption left disabled",
			func(r *rig, b *asm.Builder) { r.preempt(b, true) },
			[]property.Property{property.TaskKept},
		},
		{
			"a branch to nowhere",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.Movz(asm.X1, 0, 0), asm.Br(asm.X1)) },
			[]property.Property{property.CodeMapped},
		},
		{
			"a load from nowhere",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.Movz(asm.X1, 0, 0), asm.Ldr(asm.X1, asm.Off(asm.X1, 0))) },
			[]property.Property{property.NoFault},
		},
		{
			"a value stored in halves",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.Ldr(asm.X1, asm.Off(asm.X9, 8))) },
			[]property.Property{property.ReadWhole},
		},
		{
			"a half of it",
			func(_ *rig, b *asm.Builder) { b.Emit(asm.Ldr(asm.W1, asm.Off(asm.X9, 8))) },
			nil,
		},
		{
			"instructions read as data",
			func(_ *rig, b *asm.Builder) {
				here := b.Here("here")
				b.Emit(asm.Adr(asm.X1, here), asm.Ldr(asm.W1, asm.Off(asm.X1, -4)))
			},
			nil, // this one does not change
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.store(t, 0, 1)
			for i := range uint64(2) {
				r.event(t, weak.Event{Kind: weak.Store, Addr: r.word(1) + 4*i, Size: 4, Value: 5, Whole: 1})
			}
			fn := r.code(t, func(b *asm.Builder) {
				r.loadBase(b)
				tt.code(r, b)
				b.Emit(asm.Ret())
			})
			assert.Equal(t, tt.want, broken(t, r, r.machine(t, fn.Start, nil)))
		})
	}
}

// An instruction that changes is fetched as the search chooses; it is not data.
func TestMachine_FetchesWhatTheSearchSays(t *testing.T) {
	r := newRig(t)
	var read, changes uint64
	fn := r.code(t, func(b *asm.Builder) {
		b.Emit(asm.Movz(asm.X0, 0, 0), asm.Nop(), asm.Ret())
	})
	changes = fn.Start + 4
	load := r.code(t, func(b *asm.Builder) {
		b.Emit(asm.MovImm(asm.X1, changes)...)
		b.Emit(asm.Ldr(asm.W1, asm.Off(asm.X1, 0)), asm.Ret())
	})
	read = load.Start
	const brk = 0xd4200000
	r.event(t, weak.Event{Kind: weak.Store, Addr: changes, Size: 4, Value: brk})
	assert.Equal(t, []property.Property{property.NoFault}, broken(t, r, r.machine(t, fn.Start, nil)))
	m := r.another(t, fn.Start, nil)
	for _, n := range nodes(t, r, m) {
		if n.Fetch < 0 {
			continue
		}
		old, err := m.Next(0, n, guest.Input(0).With(0, 0))
		require.NoError(t, err)
		assert.Equal(t, guest.End, old.Kind)
		fresh, err := m.Next(0, n, guest.Input(0).With(0, 1))
		require.NoError(t, err)
		assert.Equal(t, guest.Bad, fresh.Kind)
	}
	assert.Equal(t, []property.Property{property.TextNotRead}, broken(t, r, r.another(t, read, nil)))
}

// The last instruction that needs code to be there is the one that is looked
// at, and every one that reads from an object.
func TestMachine_UsesWhatIsFreed(t *testing.T) {
	r := newRig(t)
	fn := r.code(t, func(b *asm.Builder) {
		r.loadBase(b)
		b.Emit(asm.Ldr(asm.X0, asm.Off(asm.X9, 8)), asm.Movz(asm.X1, 1, 0), asm.Movz(asm.X2, 1, 0), asm.Ret())
	})
	r.store(t, 5, 1)
	objects := []kernelimage.Range{fn, {Start: r.data, End: r.word(2)}}
	m := r.machine(t, fn.Start, func(c *guest.Config) { c.Objects = objects })
	var got [][]int
	var last uint64
	for _, n := range nodes(t, r, m) {
		if n.Kind == guest.Run {
			got, last = append(got, n.Uses), n.PC
		}
	}
	assert.Equal(t, [][]int{{0, 1}, {0}}, got)
	assert.Equal(t, fn.End-4, last, "the return")
	for _, n := range nodes(t, r, r.another(t, fn.Start, func(c *guest.Config) { c.Objects, c.EachInstruction = objects, true })) {
		if n.Kind == guest.Run {
			assert.Contains(t, n.Uses, 0)
		}
	}
}

// What may still be read is known of every node, however it was reached.
func TestMachine_MayReadIsWhatIsReadFromThere(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		r := newRig(t)
		r.store(t, 0, 1)
		r.store(t, 1, 1)
		r.store(t, 2, 1)
		fn := r.code(t, func(b *asm.Builder) { randomCode(r, rnd, b) })
		m := r.machine(t, fn.Start, nil)
		all := nodes(t, r, m)
		news := m.News()
		for _, n := range all {
			reads := map[int]bool{}
			seen := map[*guest.Node]bool{}
			var walk func(*guest.Node)
			walk = func(n *guest.Node) {
				if seen[n] {
					return
				}
				seen[n] = true
				for _, l := range n.Loads {
					reads[l.Loc] = true
				}
				if n.Kind == guest.Bad || n.Kind == guest.Done {
					return
				}
				for _, in := range inputs(r, n) {
					to, err := m.Next(0, n, in)
					require.NoError(t, err)
					walk(to)
				}
			}
			walk(n)
			for loc := range r.h.Locations() {
				assert.Equal(t, reads[loc], n.MayRead(loc), "seed %d, node %d", seed, n.ID)
			}
		}
		assert.Equal(t, news, m.News(), "nothing was left to learn")
	}
}

func TestCounts_StayAtFifteen(t *testing.T) {
	var c guest.Counts
	for range 20 {
		c = c.Plus(3)
	}
	assert.Equal(t, 15, c.Of(3))
	assert.Zero(t, c.Of(2))
	assert.Zero(t, c.Of(4))
}

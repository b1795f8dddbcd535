package weak_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check/internal/weak"
)

// Where the tests' variables are: data, and one instruction.
const (
	x    = 0x1000
	y    = 0x1008
	z    = 0x1010
	insn = 0x2000
	more = 0x2004 // and another one
)

func isText(addr uint64) bool { return addr >= insn }

// What the writer does.

func store(addr, v uint64) weak.Event {
	return weak.Event{Kind: weak.Store, Addr: addr, Size: 8, Value: v}
}

func release(addr, v uint64) weak.Event {
	return weak.Event{Kind: weak.Release, Addr: addr, Size: 8, Value: v}
}

func half(addr, v uint64, whole int) weak.Event {
	return weak.Event{Kind: weak.Store, Addr: addr, Size: 4, Value: v, Whole: whole}
}

func patch(v uint64) weak.Event { return patchAt(insn, v) }

func patchAt(addr, v uint64) weak.Event {
	return weak.Event{Kind: weak.Store, Addr: addr, Size: 4, Value: v}
}

var (
	wmb   = weak.Event{Kind: weak.Order}
	dsb   = weak.Event{Kind: weak.Complete}
	clean = weak.Event{Kind: weak.Clean, Addr: insn, Size: 4}
)

// op is what the reader does: it loads, or fetches, or synchronises.
type op struct {
	addr  uint64 // 0: a context switch
	fetch bool
	dep   int // the address comes from what this earlier op read, if > 0, counted from 1
}

func load(addr uint64) op               { return op{addr: addr} }
func loadAfter(addr uint64, op1 int) op { return op{addr: addr, dep: op1} }
func fetch() op                         { return fetchAt(insn) }
func fetchAt(addr uint64) op            { return op{addr: addr, fetch: true} }
func sync() op                          { return op{} }

// reader goes through its ops in every way that a history allows.
type reader struct {
	h     *weak.History
	ops   []op
	last  weak.Time // the writer's last
	found map[string]bool
}

// view is what the reader has seen.
type view struct {
	low, text weak.Time
	read      map[int]weak.Version
	brings    []weak.Time // by op
	got       []string
}

func (r *reader) step(i int, from weak.Time, v view) {
	if i == len(r.ops) {
		r.found[strings.Join(v.got, " ")] = true
		return
	}
	for now := from; now <= r.last; now++ {
		r.do(i, now, v)
	}
}

func (r *reader) do(i int, now weak.Time, v view) {
	o := r.ops[i]
	if o.addr == 0 {
		v.low, v.text = max(v.low, r.h.Completed(now)), now
		v.brings = append(slices.Clone(v.brings), 0)
		r.step(i+1, now, v)
		return
	}
	loc, ok := r.h.At(o.addr)
	if !ok {
		panic("nothing stores there")
	}
	l := r.h.Location(loc)
	base := weak.Time(0)
	if o.dep > 0 {
		base = v.brings[o.dep-1]
	}
	oldest := r.h.Oldest(l, max(v.low, base), v.read[loc])
	if o.fetch {
		oldest = l.Cleaned(v.text)
	}
	r.h.Range(l, now, oldest, func(ver weak.Version) {
		next := view{low: v.low, text: v.text, read: map[int]weak.Version{}}
		for k, old := range v.read {
			next.read[k] = old
		}
		brings := max(base, l.Brings(ver))
		if next.read[loc] = max(ver, v.read[loc]); o.fetch {
			low, text := r.h.Fetched(l, ver)
			next.low, next.text, brings = max(v.low, low), max(v.text, text), 0
		}
		next.brings = append(slices.Clone(v.brings), brings)
		next.got = append(slices.Clone(v.got), fmt.Sprint(l.Value(ver)))
		r.step(i+1, now, next)
	})
}

func history(t *testing.T, events []weak.Event) (h *weak.History, last weak.Time) {
	t.Helper()
	h = weak.New()
	for _, e := range events {
		var err error
		last, err = h.Append(last, e)
		require.NoError(t, err)
	}
	require.NoError(t, h.Freeze(func(uint64, uint64) (uint64, error) { return 0, nil }, isText))
	return h, last
}

// Each row is a litmus test of one writer and one reader: all that the reader
// may get, in the order of its loads. Memory holds zeros before. Sections are
// those of the Arm ARM, DDI 0487.
func TestLitmus(t *testing.T) {
	for _, tt := range []struct {
		name    string
		section string
		writer  []weak.Event
		reader  []op
		want    string // outcomes, sorted
	}{
		{
			"MP", "B2.3.7: nothing orders either side",
			[]weak.Event{store(x, 1), store(y, 1)},
			[]op{load(y), load(x)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"MP+wmb+po", "B2.3.7: the loads may be reordered",
			[]weak.Event{store(x, 1), wmb, store(y, 1)},
			[]op{load(y), load(x)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"MP+wmb+ctrl", "B2.3.7: a control dependency orders no loads; a reader's branch is no op here",
			[]weak.Event{store(x, 1), wmb, store(y, 1)},
			[]op{load(y), load(x)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"MP+po+addr", "B2.3.7: the stores may be reordered",
			[]weak.Event{store(x, 1), store(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"MP+wmb+addr", "B2.3.7: dependency-ordered-before and barrier-ordered-before forbid 1 0",
			[]weak.Event{store(x, 1), wmb, store(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 1",
		},
		{
			"MP+rel+addr", "B2.3.7: barrier-ordered-before of a store-release",
			[]weak.Event{store(x, 1), release(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 1",
		},
		{
			"MP+dsb+addr", "B2.3.7: a DSB is a DMB too",
			[]weak.Event{store(x, 1), dsb, store(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 1",
		},
		{
			"MP+wmb+addr-addr", "B2.3.7: dependencies chain",
			[]weak.Event{store(x, 1), store(z, 1), wmb, store(y, 1)},
			[]op{load(y), loadAfter(z, 1), loadAfter(x, 2)},
			"0 0 0, 0 0 1, 0 1 0, 0 1 1, 1 1 1",
		},
		{
			"MP+rel-po+addr", "B2.3.7: a plain store may pass a store-release before it",
			[]weak.Event{store(x, 1), release(z, 1), store(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"S-after-wmb-only", "B2.3.7: what comes before the barrier is ordered, not what comes after",
			[]weak.Event{wmb, store(x, 1), store(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"CoRR", "B2.3.7, internal visibility: new then old is forbidden",
			[]weak.Event{store(x, 1), store(x, 2)},
			[]op{load(x), load(x)},
			"0 0, 0 1, 0 2, 1 1, 1 2, 2 2",
		},
		{
			"CoRR+sync", "B2.3.7: stores that no barrier completed may still be on their way",
			[]weak.Event{store(x, 1), store(x, 2)},
			[]op{load(x), sync(), load(x)},
			"0 0, 0 1, 0 2, 1 1, 1 2, 2 2",
		},
		{
			"2loc+dsb+sync", "B2.3.7: completed before the reader's barrier; the later store may come late",
			[]weak.Event{store(x, 1), dsb, store(y, 1)},
			[]op{load(y), sync(), load(x)},
			"0 0, 0 1, 1 1",
		},
		{
			"late store after sync", "B2.3.7: a barrier of the reader brings nothing that the writer has not completed",
			[]weak.Event{store(x, 1), wmb, store(y, 1)},
			[]op{load(y), sync(), load(y)},
			"0 0, 0 1, 1 1",
		},
		{
			"whole", "B2.2.1: an aligned doubleword is single-copy atomic",
			[]weak.Event{store(x, 1<<32|1)},
			[]op{load(x)},
			"0, 4294967297",
		},
		{
			"halves", "B2.2.1: what is stored in two parts is seen in parts",
			[]weak.Event{half(x, 1, 1), half(x+4, 1, 1)},
			[]op{load(x + 4), load(x)},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"halves+wmb+addr", "B2.2.1, B2.3.7: ordered halves are still two stores",
			[]weak.Event{half(x, 1, 1), wmb, half(x+4, 1, 1)},
			[]op{load(x + 4), loadAfter(x, 1)},
			"0 0, 0 1, 1 1",
		},
		{
			"fetch", "B2.2.5: old or new, in any order, before a context synchronization event",
			[]weak.Event{patch(1)},
			[]op{fetch(), fetch(), fetch()},
			"0 0 0, 0 0 1, 0 1 0, 0 1 1, 1 0 0, 1 0 1, 1 1 0, 1 1 1",
		},
		{
			"fetch+clean+CSE", "B2.7.4.2: cleaned first, then synchronised: only new",
			[]weak.Event{patch(1), clean, store(x, 1)},
			[]op{load(x), sync(), fetch()},
			"0 0, 0 1, 1 1",
		},
		{
			"fetch+clean", "B2.7.4.2: without a context synchronization event the old word may go on",
			[]weak.Event{patch(1), clean, store(x, 1)},
			[]op{load(x), fetch(), fetch()},
			"0 0 0, 0 0 1, 0 1 0, 0 1 1, 1 0 0, 1 0 1, 1 1 0, 1 1 1",
		},
		{
			"fetch+CSE", "B2.7.4.2: without cleaning the event brings nothing",
			[]weak.Event{patch(1), dsb, store(x, 1)},
			[]op{load(x), sync(), fetch(), fetch()},
			"0 0 0, 0 0 1, 0 1 0, 0 1 1, 1 0 0, 1 0 1, 1 1 0, 1 1 1",
		},
		{
			"fetch of what came after the clean", "B2.7.4.2: not the oldest, but either of the others",
			[]weak.Event{patch(1), clean, patch(2), store(x, 1)},
			[]op{load(x), sync(), fetch()},
			"0 0, 0 1, 0 2, 1 1, 1 2",
		},
		{
			"clean of another instruction", "B2.7.4.2: by address",
			[]weak.Event{patch(1), {Kind: weak.Clean, Addr: insn + 4, Size: 4}, store(x, 1)},
			[]op{load(x), sync(), fetch()},
			"0 0, 0 1, 1 0, 1 1",
		},
		{
			"clean orders data", "B2.7.4.2: the sequence has a DSB",
			[]weak.Event{store(x, 1), clean, store(y, 1)},
			[]op{load(y), loadAfter(x, 1)},
			"0 0, 0 1, 1 1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, last := history(t, tt.writer)
			r := &reader{h: h, ops: tt.reader, last: last, found: map[string]bool{}}
			r.step(0, 0, view{read: map[int]weak.Version{}})
			var got []string
			for outcome := range r.found {
				got = append(got, outcome)
			}
			slices.Sort(got)
			assert.Equal(t, tt.want, strings.Join(got, ", "), tt.section)
		})
	}
}

// The tests that Simner et al., ARMv8-A System Semantics: Instruction Fetch in Relaxed Architectures (ESOP 2020), give
// the architectural intent for, in table order, as far as they are of one writer and of readers that only read. A DC
// or an IC alone is nothing here: an instruction is cleaned by both, with the barriers after each. Not
// expressed are those in which a CPU cleans or invalidates what another one wrote: ISA2.F+dc+ic+ctrl-isb, SM.F+ic,
// MP.R.RF+addr-cachesync+dmb+ctrl-isb and MP.RF+dmb+addr-cachesync.
func TestLitmus_InstructionFetch(t *testing.T) {
	dmb, cachesync := wmb, clean
	for _, tt := range []struct {
		name   string
		writer []weak.Event
		reader []op
		same   bool   // the reader is the writer, after what it wrote
		final  string // what is asked of it
		allow  bool
	}{
		{"CoFF", []weak.Event{patch(1)}, []op{fetch(), fetch()}, false, "1 0", true},
		{"CoFR", []weak.Event{patch(1)}, []op{fetch(), load(insn)}, false, "1 0", false},
		{"CoRF+ctrl-isb", []weak.Event{patch(1)}, []op{load(insn), sync(), fetch()}, false, "1 0", true},
		{"SM", []weak.Event{patch(1)}, []op{fetch()}, true, "0", true},
		{"SM+cachesync-isb", []weak.Event{patch(1), cachesync}, []op{sync(), fetch()}, true, "0", false},
		{"MP.RF+dmb+ctrl-isb", []weak.Event{patch(1), dmb, store(x, 1)}, []op{load(x), sync(), fetch()}, false, "1 0", true},
		{"MP.RF+cachesync+ctrl-isb", []weak.Event{patch(1), cachesync, store(x, 1)}, []op{load(x), sync(), fetch()}, false, "1 0", false},
		{"MP.FR+dmb+fpo-fe", []weak.Event{store(x, 1), dmb, patch(1)}, []op{fetch(), load(x)}, false, "1 0", false},
		{"MP.FF+dmb+fpo", []weak.Event{patch(1), dmb, patchAt(more, 1)}, []op{fetchAt(more), fetch()}, false, "1 0", true},
		{"MP.FF+cachesync+fpo", []weak.Event{patch(1), cachesync, patchAt(more, 1)}, []op{fetchAt(more), fetch()}, false, "1 0", false},
		{"FOW, one reader", []weak.Event{patch(1), patch(2), dsb, store(x, 1)}, []op{load(x), sync(), fetch()}, false, "1 1", true},
		{"FOW, the other", []weak.Event{patch(1), patch(2), dsb, store(x, 1)}, []op{load(x), sync(), fetch()}, false, "1 0", true},
		{
			"MP.RF+dc+ctrl-isb-isb", []weak.Event{patch(1), patch(2), dsb, store(x, 1)},
			[]op{load(x), sync(), fetch(), sync(), fetch(), sync(), fetch()}, false, "1 2 1 0", true,
		},

		// Variants of them without one of the parts that the ones above need.
		{"MP.FR+po+fpo-fe", []weak.Event{store(x, 1), patch(1)}, []op{fetch(), load(x)}, false, "1 0", true},
		{"SM+cachesync", []weak.Event{patch(1), cachesync}, []op{fetch()}, true, "0", true},
		{"SM+dsb-isb", []weak.Event{patch(1), dsb}, []op{sync(), fetch()}, true, "0", true},
	} {
		h, last := history(t, tt.writer)
		r := &reader{h: h, ops: tt.reader, last: last, found: map[string]bool{}}
		from := weak.Time(0)
		if tt.same {
			from = last
		}
		r.step(0, from, view{read: map[int]weak.Version{}})
		assert.Equal(t, tt.allow, r.found[tt.final], "%s: %s", tt.name, tt.final)
		assert.NotEmpty(t, r.found, tt.name)
	}
}

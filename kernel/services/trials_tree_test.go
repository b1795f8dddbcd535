package services

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/stretchr/testify/require"
)

// Offsets in struct rb_node (include/linux/rbtree_types.h), and its colour.
const (
	rbRight = 8
	rbLeft  = 16
	rbSize  = 24
	rbBlack = 1
)

// rbtree is a red-black tree of nodes that a key follows.
type rbtree struct {
	*guest
	root  uint64
	nodes map[uint64]uint64 // by key
}

// rbtree makes one of n keys. Inserting a node is half the caller's work.
func (g *guest) rbtree(n int) *rbtree {
	t := &rbtree{guest: g, root: g.words([]uint64{0, 0}), nodes: make(map[uint64]uint64)}
	r := rand.New(rand.NewPCG(7, 8))
	for len(t.nodes) < n {
		key := r.Uint64() % 10000
		if t.nodes[key] == 0 {
			t.insert(key)
			t.check()
		}
	}
	return t
}

func (t *rbtree) key(node uint64) uint64 { return t.u64(node + rbSize) }

func (t *rbtree) insert(key uint64) {
	parent, link := uint64(0), t.root
	for at := t.u64(link); at != 0; at = t.u64(link) {
		parent, link = at, at+rbRight
		if key < t.key(at) {
			link = at + rbLeft
		}
	}
	t.nodes[key] = t.words([]uint64{parent, 0, 0, key}) // rb_link_node
	require.NoError(t.t, t.Mem.Store64(link, t.nodes[key]))
	t.of("rb_insert_color", t.nodes[key], t.root)
}

func (t *rbtree) sorted() (nodes []uint64) {
	for _, key := range sortedKeys(t.nodes) {
		nodes = append(nodes, t.nodes[key])
	}
	return nodes
}

// check looks at what makes it a red-black tree, and that the nodes are in their order.
func (t *rbtree) check() {
	t.t.Helper()
	var inOrder []uint64
	var walk func(node, parent uint64) (black int)
	walk = func(node, parent uint64) (black int) {
		if node == 0 {
			return 1
		}
		colour := t.u64(node)
		t.equal(parent, colour&^3, "the parent")
		if colour&rbBlack == 0 {
			t.equal(true, parent != 0 && t.u64(parent)&rbBlack != 0, "a red node below a black one")
		}
		left := walk(t.u64(node+rbLeft), node)
		inOrder = append(inOrder, node)
		t.equal(left, walk(t.u64(node+rbRight), node), "as many black nodes on all ways")
		return left + int(colour&rbBlack)
	}
	walk(t.u64(t.root), 0)
	t.equal(t.sorted(), inOrder)
}

func rbInserts(g *guest) { g.rbtree(120) }

func rbErases(g *guest) {
	t := g.rbtree(120)
	for i, key := range sortedKeys(t.nodes) {
		if i%3 != 0 {
			g.of("rb_erase", t.nodes[key], t.root)
			delete(t.nodes, key)
			t.check()
		}
	}
}

// rbWalks compares a walk of a tree with its nodes.
func rbWalks(first, next string, backwards bool) func(g *guest) {
	return func(g *guest) {
		t := g.rbtree(50)
		want := t.sorted()
		if backwards {
			slices.Reverse(want)
		}
		var got []uint64
		for n := g.of(first, t.root); n != 0; n = g.of(next, n) {
			got = append(got, n)
		}
		g.equal(want, got)
	}
}

// rbPostorder: each node comes after those below it.
func rbPostorder(g *guest) {
	t := g.rbtree(50)
	seen := map[uint64]bool{0: true}
	for n := g.of("rb_first_postorder", t.root); n != 0; n = g.of("rb_next_postorder", n) {
		g.equal(true, seen[g.u64(n+rbLeft)] && seen[g.u64(n+rbRight)] && !seen[n])
		seen[n] = true
	}
	g.equal(51, len(seen))
}

// intervals are what an interval tree holds: first, last, and the node's address.
type intervals [][3]uint64

// intervals inserts n intervals (include/linux/interval_tree.h).
func (g *guest) intervals(n int) (root uint64, list intervals) {
	root = g.words([]uint64{0, 0})
	r := rand.New(rand.NewPCG(9, 10))
	for range n {
		first := r.Uint64() % 1000
		last := first + r.Uint64()%50
		node := g.words([]uint64{0, 0, 0, first, last, 0})
		g.of("interval_tree_insert", node, root)
		list = append(list, [3]uint64{first, last, node})
	}
	return root, list
}

// overlapping are the nodes that overlap, by Go, in the order of their address.
func (l intervals) overlapping(first, last uint64) (nodes []uint64) {
	for _, i := range l {
		if i[0] <= last && first <= i[1] {
			nodes = append(nodes, i[2])
		}
	}
	slices.Sort(nodes)
	return nodes
}

func (g *guest) intervalsFound(root uint64, list intervals) {
	for first := uint64(0); first < 1050; first += 37 {
		var got []uint64
		for n := g.of("interval_tree_iter_first", root, first, first+20); n != 0; n = g.of("interval_tree_iter_next", n, first, first+20) {
			got = append(got, n)
		}
		slices.Sort(got)
		g.equal(list.overlapping(first, first+20), got)
	}
}

func intervalTree(g *guest) {
	root, list := g.intervals(80)
	g.intervalsFound(root, list)
	for _, i := range list[:40] {
		g.of("interval_tree_remove", i[2], root)
	}
	g.intervalsFound(root, list[40:])
}

func timerQueue(g *guest) {
	head, expires := g.words([]uint64{0, 0}), make(map[uint64]uint64)
	r := rand.New(rand.NewPCG(11, 12))
	for range 60 {
		at := r.Uint64() % 1_000_000
		node := g.words([]uint64{0, 0, 0, at})
		require.NoError(g.t, g.Mem.Store64(node, node)) // RB_CLEAR_NODE
		soonest := len(expires) == 0 || at < sortedKeys(expires)[0]
		g.equal(soonest, g.of("timerqueue_add", head, node)&1 != 0)
		expires[at] = node
	}
	for len(expires) > 0 {
		var want, got []uint64
		for _, at := range sortedKeys(expires) {
			want = append(want, expires[at])
		}
		for n := g.u64(head + 8); n != 0; n = g.of("timerqueue_iterate_next", n) { // rb_leftmost
			got = append(got, n)
		}
		g.equal(want, got)
		for _, at := range sortedKeys(expires)[:10] {
			more := g.of("timerqueue_del", head, expires[at])&1 != 0
			delete(expires, at)
			g.equal(len(expires) > 0, more)
		}
	}
}

// list makes an empty struct list_head.
func (g *guest) list() uint64 {
	head := g.buf(16)
	g.selfLinked(head)
	return head
}

func (g *guest) selfLinked(at uint64) {
	require.NoError(g.t, g.Mem.Store64(at, at))
	require.NoError(g.t, g.Mem.Store64(at+8, at))
}

// linked are the list_heads on a list, which is walked both ways.
func (g *guest) linked(head uint64) (nodes []uint64) {
	for n := g.u64(head); n != head; n = g.u64(n) {
		nodes = append(nodes, n)
		require.LessOrEqual(g.t, len(nodes), 1000)
	}
	back := slices.Clone(nodes)
	slices.Reverse(back)
	for n := g.u64(head + 8); n != head; n = g.u64(n + 8) {
		g.equal(back[0], n)
		back = back[1:]
	}
	return nodes
}

// Offsets in struct plist_node (include/linux/plist.h).
const plistPrios, plistNodes = 8, 24

func plists(g *guest) {
	head := g.list()
	type item struct{ prio, node uint64 }
	var want []item
	r := rand.New(rand.NewPCG(13, 14))
	insert := func(i item) { // after those of the same priority
		at := slices.IndexFunc(want, func(w item) bool { return w.prio > i.prio })
		if at < 0 {
			at = len(want)
		}
		want = slices.Insert(want, at, i)
	}
	same := func() {
		var got []uint64
		for _, n := range g.linked(head) {
			got = append(got, n-plistNodes)
		}
		var nodes []uint64
		for _, i := range want {
			nodes = append(nodes, i.node)
		}
		g.equal(nodes, got)
	}
	for range 40 {
		i := item{r.Uint64() % 8, g.buf(40)}
		require.NoError(g.t, g.Mem.Store64(i.node, i.prio))
		g.selfLinked(i.node + plistPrios)
		g.selfLinked(i.node + plistNodes)
		g.of("plist_add", i.node, head)
		insert(i)
		same()
	}
	for range 10 {
		i := want[r.IntN(len(want))]
		g.of("plist_requeue", i.node, head)
		want = slices.DeleteFunc(want, func(w item) bool { return w == i })
		insert(i)
		same()
	}
	for len(want) > 0 {
		at := r.IntN(len(want))
		g.of("plist_del", want[at].node, head)
		want = slices.Delete(want, at, at+1)
		same()
	}
}

func lockless(g *guest) {
	head := g.words([]uint64{0})
	var want []uint64
	for i := range 20 {
		last := g.words([]uint64{0})
		first := g.words([]uint64{last})
		g.equal(i == 0, g.of("llist_add_batch", first, last, head)&1 != 0, "it was empty")
		want = append([]uint64{first, last}, want...)
	}
	g.equal(want[0], g.of("llist_del_first", head))
	want = want[1:]
	slices.Reverse(want)
	var got []uint64
	for n := g.of("llist_reverse_order", g.u64(head)); n != 0; n = g.u64(n) {
		got = append(got, n)
	}
	g.equal(want, got)
}

var trees = []trial{
	{"rb_insert_color", "120 nodes", "what makes a red-black tree", rbInserts},
	{"rb_erase", "80 of 120 nodes", "what makes a red-black tree", rbErases},
	{"rb_first", "50 nodes", "slices.Sort", rbWalks("rb_first", "rb_next", false)},
	{"rb_next", "50 nodes", "slices.Sort", rbWalks("rb_first", "rb_next", false)},
	{"rb_last", "50 nodes", "slices.Sort", rbWalks("rb_last", "rb_prev", true)},
	{"rb_prev", "50 nodes", "slices.Sort", rbWalks("rb_last", "rb_prev", true)},
	{"rb_first_postorder", "50 nodes", "those below came before", rbPostorder},
	{"rb_next_postorder", "50 nodes", "those below came before", rbPostorder},
	{"rb_replace_node", "50 nodes", "what makes a red-black tree", func(g *guest) {
		t := g.rbtree(50)
		for _, key := range sortedKeys(t.nodes) {
			other := g.words([]uint64{1, 2, 3, key})
			g.do(t.nodes[key], other, t.root)
			t.nodes[key] = other
		}
		t.check()
	}},
	{"interval_tree_insert", "80 intervals", "each by itself", intervalTree},
	{"interval_tree_iter_first", "29 queries", "each by itself", intervalTree},
	{"interval_tree_iter_next", "29 queries", "each by itself", intervalTree},
	{"interval_tree_remove", "40 of 80 intervals", "each by itself", intervalTree},
	{"timerqueue_add", "60 timers", "slices.Sort", timerQueue},
	{"timerqueue_iterate_next", "60 timers", "slices.Sort", timerQueue},
	{"timerqueue_del", "60 timers", "slices.Sort", timerQueue},
	{"plist_add", "40 nodes of 8 priorities", "slices.Insert", plists},
	{"plist_requeue", "10 of 40 nodes", "slices.Insert", plists},
	{"plist_del", "40 nodes", "slices.Delete", plists},
	{"llist_add_batch", "20 pairs", "a Go slice", lockless},
	{"llist_del_first", "20 pairs", "a Go slice", lockless},
	{"llist_reverse_order", "39 nodes", "slices.Reverse", lockless},
	{"list_sort", "300 nodes, compared by Go", "slices.SortStableFunc", func(g *guest) {
		head := g.list()
		var nodes []uint64
		keys := make(map[uint64]uint64)
		r := rand.New(rand.NewPCG(15, 16))
		for range 300 {
			last := g.u64(head + 8)
			n := g.words([]uint64{head, last})
			require.NoError(g.t, g.Mem.Store64(last, n))
			require.NoError(g.t, g.Mem.Store64(head+8, n))
			nodes, keys[n] = append(nodes, n), r.Uint64()%100
		}
		compare := g.gate(func(args [8]uint64) uint64 {
			g.equal(uint64(77), args[0])
			return uint64(cmp.Compare(keys[args[1]], keys[args[2]]))
		})
		g.do(77, head, compare)
		slices.SortStableFunc(nodes, func(a, b uint64) int { return cmp.Compare(keys[a], keys[b]) })
		g.equal(nodes, g.linked(head))
	}},
}

package ftrace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"callops/internal/errno"
	"callops/kernel"
	"callops/trampolines"
)

// graph is fgraph (kernel/trace/fgraph.c): the users of graph_ops, and the tasks' return stacks.
type graph struct {
	ops     *Ops // graph_ops, the manager; nil before the first user
	layout  trampolines.GraphOpsLayout
	users   [trampolines.MaxGraphUsers]*GraphOps
	indexes []int // that are free, the one that became so first in front (fgraph_lru_table)
	subops  []*Ops

	stacks returnStacks
}

// returnStacks are those of all tasks. A task is made and ends while an operation of the Registry waits, so
// they have a lock of their own.
type returnStacks struct {
	mu     sync.Mutex
	watch  bool              // the kernel tells of tasks
	active int               // ftrace_graph_active
	byTask map[uint64]uint64 // address of the stack
}

// GraphOps is struct fgraph_ops: a user of fgraph. It is told of calls, and of their returns where it asks for
// them.
type GraphOps struct {
	// Ops has the user's filters, which SetFilter and SetNotrace change. It is never registered itself.
	Ops *Ops

	addr    uint64
	private uint64
	idx     int
}

// Addr is the address of the struct.
func (g *GraphOps) Addr() uint64 { return g.addr }

// Index is the user's place in fgraph_array, which is its bit in a frame's bitmap; only of a registered one.
func (g *GraphOps) Index() int { return g.idx }

func (g *GraphOps) String() string { return g.Ops.Name }

// GraphHandlers are the functions of a graph user, by their addresses in the kernel: entryfunc and retfunc of
// struct fgraph_ops. Private is passed to neither: it is for them to find in the struct.
type GraphHandlers struct{ Entry, Return, Private uint64 }

// NewGraphOps makes a graph user. entryfunc is called as entryfunc(trace, gops, fregs), and wants the return
// where it does not return 0; retfunc as retfunc(trace, gops, fregs); GoGraphTracer gives both. EINVAL
// where one is 0, EOPNOTSUPP where the kernel's tasks have no return stack, ENOMEM where the heap has no room.
func (r *Registry) NewGraphOps(name string, h GraphHandlers) (*GraphOps, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.code.GraphFunc == 0:
		return nil, fmt.Errorf("graph ops %s: tasks have no return stack: %w", name, errno.EOPNOTSUPP)
	case h.Entry == 0 || h.Return == 0:
		return nil, fmt.Errorf("graph ops %s: entryfunc %#x, retfunc %#x: %w", name, h.Entry, h.Return, errno.EINVAL)
	}
	l := trampolines.GraphOpsOf(r.layout)
	addr, err := r.mem.Alloc("graph ops "+name, uint64(l.Size))
	if err != nil {
		return nil, err
	}
	g := &GraphOps{Ops: &Ops{Name: name, addr: addr + uint64(l.Ops)}, addr: addr, private: h.Private, idx: -1}
	r.mem.set64(addr+uint64(l.EntryFunc), h.Entry)
	r.mem.set64(addr+uint64(l.RetFunc), h.Return)
	r.mem.set64(addr+uint64(l.Private), h.Private)
	if err := r.mem.take(); err != nil {
		return nil, errors.Join(err, r.mem.Free(addr))
	}
	r.initOps(g.Ops)
	r.all.Store(g.Ops.addr, g.Ops)
	return g, r.mem.take()
}

// FreeGraphOps frees a user that is not registered, with its filters, after all that may still be in its functions have
// left them: EBUSY where it is registered, EDEADLK where the wait can't end.
func (r *Registry) FreeGraphOps(g *GraphOps) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usableGraph(g); err != nil {
		return fmt.Errorf("free graph ops: %w", err)
	}
	if g.Ops.is(OpsEnabled) {
		return fmt.Errorf("free of %s, which is registered: %w", g, errno.EBUSY)
	}
	if err := errors.Join(r.grace.SynchronizeRCUTasksRude(), r.grace.SynchronizeRCUTasks()); err != nil {
		return err
	}
	g.Ops.freed = true
	r.all.Delete(g.Ops.addr)
	return errors.Join(r.discard(g.Ops.hash.filter), r.discard(g.Ops.hash.notrace), r.mem.Free(g.addr))
}

func (r *Registry) usableGraph(g *GraphOps) error {
	if g == nil {
		return fmt.Errorf("no graph ops: %w", errno.EINVAL)
	}
	return r.usable(g.Ops)
}

// RegisterGraph is register_ftrace_graph: from its return on, calls of the functions that the user's filter has
// are told to it. EBUSY where it is registered, ENOSPC where there are 16 already, ENODEV once ftrace is
// dead.
func (r *Registry) RegisterGraph(g *GraphOps) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usableGraph(g); err != nil {
		return fmt.Errorf("register graph: %w", err)
	}
	return r.done("register graph "+g.Ops.Name, r.registerGraphLocked(g))
}

func (r *Registry) registerGraphLocked(g *GraphOps) error {
	switch {
	case r.Dead():
		return r.dead()
	case g.Ops.is(OpsEnabled):
		return fmt.Errorf("registered already: %w", errno.EBUSY)
	}
	r.startGraph()
	if len(r.graph.indexes) == 0 {
		return fmt.Errorf("there are %d users: %w", trampolines.MaxGraphUsers, errno.ENOSPC)
	}
	g.idx, r.graph.indexes = r.graph.indexes[0], r.graph.indexes[1:]
	r.setBitmask()
	r.mem.set32(g.addr+uint64(r.graph.layout.Idx), uint32(g.idx))
	err := r.graph.stacks.start(r, g.idx)
	if err == nil {
		err = r.startupSubops(g.Ops)
	}
	if err != nil {
		r.graph.stacks.stop()
		r.releaseIndex(g)
		return err
	}
	r.graph.users[g.idx] = g
	r.setUser(g.idx, g.addr)
	return nil
}

// UnregisterGraph is unregister_ftrace_graph: after its return no call is told to the user any more. Calls that are in
// progress still return through return_to_handler, which passes it over. A CPU may still be in its functions:
// FreeGraphOps waits for that. EBUSY where it is not registered, ENODEV once ftrace is dead.
func (r *Registry) UnregisterGraph(g *GraphOps) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usableGraph(g); err != nil {
		return fmt.Errorf("unregister graph: %w", err)
	}
	return r.done("unregister graph "+g.Ops.Name, r.unregisterGraphLocked(g))
}

func (r *Registry) unregisterGraphLocked(g *GraphOps) error {
	if g.idx < 0 || r.graph.users[g.idx] != g {
		return fmt.Errorf("not registered: %w", errno.EBUSY)
	}
	rest := slices.DeleteFunc(slices.Clone(r.graph.subops), func(o *Ops) bool { return o == g.Ops })
	fresh, err := r.managerHashes(rest)
	if err != nil {
		return err
	}
	idx := g.idx
	r.releaseIndex(g)
	r.graph.users[idx] = nil
	r.setUser(idx, r.code.GraphStub)
	r.graph.stacks.stop()
	return r.shutdownSubops(g.Ops, rest, fresh)
}

// startGraph is what the first register_ftrace_graph does.
func (r *Registry) startGraph() {
	if r.graph.ops != nil {
		return
	}
	r.graph.layout = trampolines.GraphOpsOf(r.layout)
	r.graph.ops = &Ops{Name: "graph_ops", addr: r.code.GraphOps, core: true}
	r.graph.ops.fn.Store(r.code.GraphFunc)
	r.all.Store(r.graph.ops.addr, r.graph.ops)
	r.initOps(r.graph.ops)
	stacks := &ReturnStack{r.k, r.code.ReturnToHandler, trampolines.FrameRet, trampolines.FrameRetP}
	r.k.RecoverReturns(stacks.Addr)
	for i := range trampolines.MaxGraphUsers {
		r.graph.indexes = append(r.graph.indexes, i)
	}
}

// releaseIndex is fgraph_lru_release_index: the index is the last to be given out again, so that returns which
// are pending with its bit most likely find nobody.
func (r *Registry) releaseIndex(g *GraphOps) {
	if r.fault == ReuseGraphIndex {
		r.graph.indexes = slices.Insert(r.graph.indexes, 0, g.idx)
	} else {
		r.graph.indexes = append(r.graph.indexes, g.idx)
	}
	g.idx = -1
	r.setBitmask()
}

// setBitmask stores which indexes are taken.
func (r *Registry) setBitmask() {
	mask := uint64(1)<<trampolines.MaxGraphUsers - 1
	for _, i := range r.graph.indexes {
		mask &^= 1 << i
	}
	r.mem.set64(r.code.GraphBitmask, mask)
}

// setUser stores an element of fgraph_array.
//
// Differs: the store is a release, so that whoever finds the user finds its fields. Linux has a plain one.
func (r *Registry) setUser(idx int, addr uint64) {
	r.mem.publish(r.code.GraphArray+8*uint64(idx), addr)
}

// startupSubops is ftrace_startup_subops.
func (r *Registry) startupSubops(o *Ops) error {
	first := len(r.graph.subops) == 0
	r.graph.subops = append(r.graph.subops, o)
	err := r.updateManager()
	if err == nil && first {
		err = r.startup(r.graph.ops)
	}
	if err != nil {
		r.graph.subops = r.graph.subops[:len(r.graph.subops)-1]
		return errors.Join(err, r.updateManager())
	}
	r.addFlags(o, OpsEnabled|OpsSubop)
	return nil
}

// shutdownSubops is ftrace_shutdown_subops, with what stays and the hashes that this needs.
//
// Differs: these are made before anything changes. Linux makes them here, and where there is no memory for them it traces on
// for a user that has left.
//
// Differs: the last user's functions leave the hashes of graph_ops after a grace period. Linux frees them at
// once, while the list function may be looking into them.
func (r *Registry) shutdownSubops(o *Ops, rest []*Ops, fresh managed) error {
	if len(rest) == 0 {
		if err := r.shutdown(r.graph.ops); err != nil {
			return err
		}
	}
	if err := r.moveManager(fresh); err != nil {
		return err
	}
	r.graph.subops = rest
	r.dropFlags(o, OpsEnabled|OpsSubop)
	return nil
}

// managed are new hashes of graph_ops, in emulated memory; nil where the old one stays.
type managed [2]*hash

// updateManager gives graph_ops the filters that its users need: every function that one traces, without those
// that none does (append_hashes, intersect_hashes and ftrace_update_ops).
func (r *Registry) updateManager() error {
	fresh, err := r.managerHashes(r.graph.subops)
	if err != nil {
		return err
	}
	return r.moveManager(fresh)
}

// managerHashes makes the hashes that graph_ops needs for some users, both or none.
func (r *Registry) managerHashes(users []*Ops) (fresh managed, err error) {
	if fresh[filterHash], err = r.managerHash(filterHash, users); err != nil {
		return managed{}, err
	}
	if fresh[notraceHash], err = r.managerHash(notraceHash, users); err != nil {
		return managed{}, errors.Join(err, r.discard(fresh[filterHash]))
	}
	return fresh, nil
}

func (r *Registry) moveManager(fresh managed) error {
	for kind, h := range fresh {
		if h == nil {
			continue
		}
		if err := r.moveCommitted(r.graph.ops, filterKind(kind), h); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) managerHash(kind filterKind, users []*Ops) (*hash, error) {
	combine := (*hash).union
	if kind == notraceHash {
		combine = (*hash).intersection
	}
	var all *hash
	for i, o := range users {
		if i == 0 {
			all = o.hashOf(kind)
		} else {
			all = combine(all, o.hashOf(kind))
		}
	}
	if all.sameAs(r.graph.ops.hashOf(kind)) {
		return nil, nil
	}
	work := all.clone()
	work.mod = all != nil && all.mod
	return r.commit(fmt.Sprintf("%s hash of %s", kind, r.graph.ops.Name), work)
}

// moveSubopHash is ftrace_hash_move_and_update_subops: a user's hash is replaced, and graph_ops' follows. Where
// that fails the user has its old one.
func (r *Registry) moveSubopHash(o *Ops, kind filterKind, fresh *hash) error {
	old := r.replaceHash(o, kind, fresh)
	all, err := r.managerHash(kind, r.graph.subops)
	if err == nil && all != nil {
		err = r.moveCommitted(r.graph.ops, kind, all)
	}
	if err != nil {
		r.discardLater(r.replaceHash(o, kind, old))
		return err
	}
	r.discardLater(old)
	return nil
}

// start counts a user, gives every task a return stack where it is the first, and clears the user's
// word in each (start_graph_tracing, init_task_vars).
func (s *returnStacks) start(r *Registry, idx int) error {
	s.mu.Lock()
	s.active++
	watch := !s.watch
	s.mu.Unlock()
	if watch {
		s.byTask = make(map[uint64]uint64)
		if err := r.k.WatchTasks(r.taskChanged); err != nil {
			return err
		}
		s.watch = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, task := range slices.Sorted(maps.Keys(s.byTask)) {
		err := r.giveStack(task)
		if err == nil {
			err = r.mem.Memory.Store64(s.byTask[task]+trampolines.ReturnStackVars+8*uint64(idx), 0)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *returnStacks) stop() {
	s.mu.Lock()
	s.active--
	s.mu.Unlock()
}

// taskChanged is ftrace_graph_init_task and ftrace_graph_exit_task.
func (r *Registry) taskChanged(t *kernel.Task, gone bool) error {
	s := &r.graph.stacks
	s.mu.Lock()
	defer s.mu.Unlock()
	if !gone {
		s.byTask[t.Addr] = 0
		if s.active > 0 {
			return r.giveStack(t.Addr)
		}
		return nil
	}
	stack := s.byTask[t.Addr]
	delete(s.byTask, t.Addr)
	if stack == 0 {
		return nil
	}
	return errors.Join(r.mem.Memory.Store64(t.Addr+uint64(r.layout.Task.RetStack), 0), r.mem.Memory.Free(stack))
}

// giveStack is graph_init_task: it gives a task its return stack, unless it has one; the stacks' lock is held.
func (r *Registry) giveStack(task uint64) error {
	s := &r.graph.stacks
	if s.byTask[task] != 0 {
		return nil
	}
	stack, err := r.mem.Memory.Alloc("return stack", trampolines.ReturnStackSize)
	if err != nil {
		return err
	}
	l := &r.layout.Task
	err = errors.Join(
		r.mem.Memory.Store32(task+uint64(l.TraceOverrun), 0),
		r.mem.Memory.Store32(task+uint64(l.CurrRetStack), 0),
		r.mem.Memory.Store32(task+uint64(l.CurrRetDepth), ^uint32(0)),
		r.mem.Memory.StoreRelease64(task+uint64(l.RetStack), stack),
	)
	if err != nil {
		return errors.Join(err, r.mem.Memory.Free(stack))
	}
	s.byTask[task] = stack
	return nil
}

// GraphCore is a [Core] with fgraph.
type GraphCore interface {
	NewGraphOps(name string, h GraphHandlers) (*GraphOps, error)
	FreeGraphOps(g *GraphOps) error
	RegisterGraph(g *GraphOps) error
	UnregisterGraph(g *GraphOps) error
}

var _ GraphCore = (*Registry)(nil)

// GuestGraphOps is the struct fgraph_ops at addr, which a kernel's own core keeps, around its ops. Its index is not
// known.
func GuestGraphOps(o *Ops, addr uint64) *GraphOps { return &GraphOps{Ops: o, addr: addr, idx: -1} }

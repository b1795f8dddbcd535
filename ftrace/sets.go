package ftrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"callops/trampolines"
)

// DefaultSetLimit is how many sets there may be at a time, retired ones included.
const DefaultSetLimit = 10_000

// set is what the literals of all sites with the same ops name under [Sets]. It
// does not change once a literal names it.
type set struct {
	addr    uint64
	members []*Ops // in the order of the list; never none
	sites   int    // whose literals name it
	retired bool   // it is among siteSets.retired
}

// siteSets are a Registry's sets, each once.
type siteSets struct {
	limit     int
	byMembers map[string]*set // by the addresses of its members
	byAddr    map[uint64]*set

	// retired are the sets that no literal names, or did not for a while. A CPU
	// may still be in one: those that are not named again are freed after the
	// grace periods that free an ops.
	retired []*set

	reclaimed bool // by this operation
	fallbacks int
	onList    int // sites whose literal names ftrace_list_ops

	// Of the operation under way: whose sites change, and which literal follows
	// which. All touched sites with the same literal have had the same ops, so what
	// follows depends only on whether this one is among them now. Most often it is
	// what followed at the site before.
	changing *Ops
	next     map[nextKey]uint64
	last     nextKey
	followed uint64 // by last; 0 where there is no last

	from, to found // the last that moved looked up

	key     []byte // scratch
	members []*Ops // scratch
}

type nextKey struct {
	literal uint64
	matches bool
}

// found is what lies at an address: no set where it is nil.
type found struct {
	addr uint64
	set  *set
}

// look is byAddr, with the answer to the question before kept in last.
func (s *siteSets) look(last *found, addr uint64) *set {
	if last.addr != addr {
		*last = found{addr, s.byAddr[addr]}
	}
	return last.set
}

// forget drops what was kept of earlier answers.
func (s *siteSets) forget() {
	s.from, s.to, s.followed = found{}, found{}, 0
	clear(s.next)
}

func newSiteSets(limit int) *siteSets {
	if limit <= 0 {
		limit = DefaultSetLimit
	}
	return &siteSets{limit: limit, byMembers: map[string]*set{}, byAddr: map[uint64]*set{}, next: map[nextKey]uint64{}}
}

// SetStats is what the sets of a Registry come to. All is 0 but under [Sets].
type SetStats struct {
	Live    int // sets that literals name
	Retired int // that no literal names any more; the next grace periods free them
	Bytes   uint64

	Sites     int // whose literals name a set
	OnList    int // whose literals name ftrace_list_ops, for want of a set
	Fallbacks int // literals that were made to, since the beginning
}

// Sets returns what there is of sets.
func (r *Registry) Sets() SetStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	var st SetStats
	if r.sets == nil {
		return st
	}
	for _, s := range r.sets.byAddr {
		if s.sites > 0 {
			st.Live++
		} else {
			st.Retired++
		}
		st.Sites += s.sites
		st.Bytes += r.setSize(len(s.members))
	}
	st.OnList, st.Fallbacks = r.sets.onList, r.sets.fallbacks
	return st
}

func (r *Registry) setSize(members int) uint64 {
	return trampolines.SetSize(r.layout.Ops.Size, members)
}

// begin is called before an ops' sites change.
func (s *siteSets) begin(o *Ops) {
	s.changing = o
	s.forget()
}

// end ends an operation.
func (s *siteSets) end() {
	s.changing, s.reclaimed = nil, false
	s.forget()
}

// setFor is what the literal of a shared site is to name: its set, or
// ftrace_list_ops where no set can be had. The list function calls the same ops,
// so nothing that changes sites fails for want of memory; unregistering could
// not.
func (r *Registry) setFor(rec *Record) uint64 {
	sets := r.sets
	old, err := r.mem.Load64(r.literalOf(rec.IP))
	if err != nil || sets.changing == nil {
		return r.makeSet(r.membersOf(rec.IP))
	}
	key := nextKey{old, sets.changing.hash.match(rec.IP)}
	if sets.followed != 0 && key == sets.last {
		return sets.followed
	}
	literal, ok := sets.next[key]
	if !ok {
		literal = r.makeSet(r.membersOf(rec.IP))
		if sets.byAddr[old] == nil && r.opsAt(old) == nil || literal == r.code.ListOps {
			return literal // it tells nothing of other sites
		}
		sets.next[key] = literal
	}
	sets.last, sets.followed = key, literal
	return literal
}

// membersOf are the ops that the list function would call for ip, in its order;
// valid until the next call.
func (r *Registry) membersOf(ip uint64) []*Ops {
	m := r.sets.members[:0]
	for _, o := range r.list {
		if !o.is(OpsStub) && o.hash.match(ip) {
			m = append(m, o)
		}
	}
	r.sets.members = m
	if r.fault == OldestFirst {
		slices.Reverse(m)
	}
	return m
}

// makeSet returns the set of these ops, made where there is none, or
// ftrace_list_ops. All stubs, or none, is ftrace_nop_ops.
func (r *Registry) makeSet(members []*Ops) uint64 {
	if len(members) == 0 {
		return r.code.NopOps
	}
	sets := r.sets
	sets.key = appendKey(sets.key[:0], members)
	if s, ok := sets.byMembers[string(sets.key)]; ok {
		return s.addr
	}
	key := string(sets.key)
	addr, err := r.allocSet(members)
	if err != nil {
		sets.fallbacks++
		return r.code.ListOps
	}
	s := &set{addr: addr, members: slices.Clone(members)}
	sets.byMembers[key], sets.byAddr[addr] = s, s
	sets.from, sets.to = found{}, found{}
	r.retire(s) // until a literal names it
	return addr
}

func appendKey(key []byte, members []*Ops) []byte {
	for _, o := range members {
		key = binary.LittleEndian.AppendUint64(key, o.addr)
	}
	return key
}

// errSetLimit is that there are as many sets as there may be.
var errSetLimit = errors.New("too many sets")

// allocSet makes a set in emulated memory. When it returns, the set comes before
// any literal that is stored.
func (r *Registry) allocSet(members []*Ops) (uint64, error) {
	if len(r.sets.byAddr) >= r.sets.limit && !r.reclaimSets() {
		return 0, errSetLimit
	}
	if err := r.alloc("set of ops", 1); err != nil {
		return 0, err
	}
	addr, err := r.mem.Alloc(fmt.Sprintf("set %v", members), r.setSize(len(members)))
	if err != nil {
		return 0, err
	}
	fn := r.code.SetFunc
	for i, o := range members {
		if o.is(OpsRecursion | OpsRCU) {
			fn = r.code.SetAssistFunc
		}
		r.mem.set64(addr+uint64(r.layout.Ops.Size)+8*uint64(i), o.addr)
	}
	r.mem.set64(addr+uint64(r.layout.Ops.Flags), uint64(OpsStub))
	r.mem.set64(addr+uint64(r.layout.Ops.Func), fn)
	r.mem.WriteBarrier()
	return addr, nil
}

// moved notes that a site's literal names another ops.
func (r *Registry) moved(from, to uint64) {
	sets := r.sets
	if s := sets.look(&sets.to, to); s != nil {
		s.sites++
	}
	if s := sets.look(&sets.from, from); s != nil {
		s.sites--
		if s.sites == 0 || r.fault == FreeSharedSet {
			r.retire(s)
		}
		if r.fault == FreeSetAtOnce {
			r.freeSets()
		}
	}
	if to == r.code.ListOps {
		sets.onList++
	}
	if from == r.code.ListOps {
		sets.onList--
	}
}

// retire notes a set that no literal names.
func (r *Registry) retire(s *set) {
	if !s.retired {
		s.retired = true
		r.sets.retired = append(r.sets.retired, s)
	}
}

// leaveSet has a record that goes take no part in its set any more.
func (r *Registry) leaveSet(rec *Record) {
	if r.sets == nil {
		return
	}
	if literal, err := r.mem.Load64(r.literalOf(rec.IP)); err == nil {
		r.moved(literal, 0)
	}
}

// freeSets frees the retired sets that are named by no literal. The grace periods
// are over.
func (r *Registry) freeSets() {
	sets := r.sets
	if sets == nil {
		return
	}
	for _, s := range sets.retired {
		s.retired = false
		if s.sites > 0 && r.fault != FreeSharedSet {
			continue
		}
		sets.key = appendKey(sets.key[:0], s.members)
		delete(sets.byMembers, string(sets.key))
		delete(sets.byAddr, s.addr)
		r.mem.release(s.addr)
	}
	sets.retired = sets.retired[:0]
	sets.forget()
}

// reclaimSets waits for the readers of retired sets and frees these, once an
// operation, and reports whether there is room for one more.
func (r *Registry) reclaimSets() bool {
	if r.sets.reclaimed || len(r.sets.retired) == 0 {
		return false
	}
	r.sets.reclaimed = true
	if err := r.waitForReaders(); err != nil {
		return false
	}
	r.freeSets()
	return len(r.sets.byAddr) < r.sets.limit
}

// preemptible is CONFIG_PREEMPTION. What is not Linux is.
func (r *Registry) preemptible() bool {
	_, err := r.k.Symbols.Lookup("preempt_schedule")
	return err == nil || !r.k.Image.IsLinux()
}

// waitForReaders waits until no CPU can be using what a literal named, or what
// it found there.
func (r *Registry) waitForReaders() error {
	// A CPU may be anywhere between loading the ops from the literal and the
	// return of its func: where RCU is not watching (the rude wait ends that),
	// or in a task that was preempted there (the tasks wait does).
	if err := r.grace.SynchronizeRCUTasksRude(); err != nil {
		return err
	}
	if r.prof.tasksIfPreemptible && !r.preemptible() {
		return nil
	}
	return r.grace.SynchronizeRCUTasks()
}

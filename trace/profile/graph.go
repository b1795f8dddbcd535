package profile

import "callops/trace"

// FromGraph makes a profile from what function_graph recorded: what a CPU executed between
// two events counts for the traced function that it was in, at its entry. That includes the tracer's own
// instructions.
func FromGraph(r *trace.Recording, names Names) *Profile {
	p := &Profile{names: names}
	last := make([]uint64, r.CPUs)
	stacks := make(map[uint32][]*node) // by task
	for i := range r.Events {
		e := &r.Events[i]
		stack := stacks[e.PID]
		if n := len(stack); n > 0 {
			top := stack[n-1]
			top.count(top.fn, e.Time-last[e.CPU])
		}
		last[e.CPU] = e.Time
		switch e.Kind {
		case trace.KindGraphEntry:
			parent, call := &p.root, uint64(0)
			if n := len(stack); n > 0 {
				parent = stack[n-1]
				if p.function(e.ParentIP) == parent.fn { // and not one between that is not traced
					call = e.ParentIP
				}
			}
			stacks[e.PID] = append(stack, parent.child(call, p.function(e.IP)))
		case trace.KindGraphReturn:
			fn := p.function(e.IP)
			for n := len(stack) - 1; n >= 0; n-- { // returns may have been lost
				if stack[n].fn == fn {
					stacks[e.PID] = stack[:n]
					break
				}
			}
		}
	}
	return p
}

// function is where the function at an address begins.
func (p *Profile) function(addr uint64) uint64 {
	if _, start, end := p.names(addr); end != 0 {
		return start
	}
	return addr
}

package ftrace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage/module"
)

// selector is a token of set_ftrace_filter: functions, and in the form
// FUNC:mod:MODULE of which module.
type selector struct {
	functions pattern
	module    *pattern // nil: functions of the kernel and of any module

	waits modFilter // the two parts as written
}

// modFilter is struct ftrace_mod_load: an addition to a filter that waits for a
// module.
type modFilter struct{ functions, module string }

func (f modFilter) String() string { return f.functions + ":mod:" + f.module }

// parseSelector is ftrace_process_regex. EINVAL for a command other than mod, and
// for what set_ftrace_filter would not read whole.
func parseSelector(s string, remove bool) (*selector, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("a pattern of %d bytes, more than %d: %w", len(s), maxPattern, errno.EINVAL)
	}
	if remove && !strings.HasPrefix(s, "!") {
		s = "!" + s
	}
	functions, rest, hasCommand := strings.Cut(s, ":")
	sel := &selector{functions: parsePattern(functions)}
	if !hasCommand {
		return sel, nil
	}
	command, module, hasModule := strings.Cut(rest, ":")
	if command != "mod" {
		return nil, fmt.Errorf("filter command %q: only mod is known: %w", command, errno.EINVAL)
	}
	if hasModule {
		p := parsePattern(module)
		sel.module, sel.waits = &p, modFilter{functions, module}
	}
	return sel, nil
}

// match is ftrace_match_record; the kernel's own module is "". With "!", module
// stands for all others, the kernel included. A part that is empty or * is any.
func (s *selector) match(name, module string) bool {
	if m := s.module; m != nil {
		if in := module != "" && (m.text == "" || m.match(module)); in == m.remove {
			return false
		}
		if s.functions.text == "" {
			return true
		}
	}
	return s.functions.match(name)
}

// wait is cache_mod: a token that finds no function waits for its module, unless
// that is loaded, or takes out of waiting what was to wait for it. EINVAL for
// neither.
func (r *Registry) wait(waiting []modFilter, f modFilter) ([]modFilter, error) {
	functions, remove := strings.CutPrefix(f.functions, "!")
	if remove {
		left := slices.DeleteFunc(slices.Clone(waiting), func(w modFilter) bool {
			return w.module == f.module && (functions == "*" || functions == w.functions)
		})
		if len(left) == len(waiting) {
			return nil, fmt.Errorf("%s matches no function, and no such entry waits for the module: %w", f, errno.EINVAL)
		}
		return left, nil
	}
	for _, m := range r.k.Modules() {
		if m.Name == f.module {
			return nil, fmt.Errorf("%s matches no function: %w", f, errno.EINVAL)
		}
	}
	return append(waiting, f), nil
}

// Waiting returns what the ops' filter (or, with notrace, that of the functions
// to leave out) is to get when modules are loaded: FUNC:mod:MODULE, the newest first,
// as set_ftrace_filter lists it.
func (r *Registry) Waiting(o *Ops, notrace bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.usable(o) != nil {
		return nil
	}
	kind := filterHash
	if notrace {
		kind = notraceHash
	}
	var all []string
	for _, w := range slices.Backward(o.waiting[kind]) {
		all = append(all, w.String())
	}
	return all
}

// runWaiting is process_cached_mods: filters that wait for modules get what they
// wait for of this one. Like Linux it continues after a filter that can't be changed, and
// drops the entries of this module.
func (r *Registry) runWaiting(m *module.Module) {
	var ops []*Ops
	r.all.Range(func(_, o any) bool {
		ops = append(ops, o.(*Ops))
		return true
	})
	slices.SortFunc(ops, func(a, b *Ops) int { return cmp.Compare(a.addr, b.addr) })
	for _, o := range ops {
		for _, kind := range []filterKind{filterHash, notraceHash} {
			if len(o.waiting[kind]) == 0 {
				continue
			}
			if err := r.runWaitingOf(o, kind, m); err != nil {
				r.printk(fmt.Sprintf("WARNING: %s of %s for module %s: %v", kind, o.Name, m.Name, err))
			}
		}
	}
	r.forget(newGroup(m, m.InitSites)) // ftrace_free_mem
}

// runWaitingOf is process_mod_list. The filter gets the module's init code too, which has
// records until it has run. FTRACE_HASH_FL_MOD stays as it was while something waits: where
// ftrace_set_filter_ips has cleared it, with reset, it is not set again.
func (r *Registry) runWaitingOf(o *Ops, kind filterKind, m *module.Module) error {
	work, err := r.copyHash(o.hashOf(kind))
	if err != nil {
		return err
	}
	var left []modFilter
	for _, w := range o.waiting[kind] {
		if w.module != m.Name {
			left = append(left, w)
			continue
		}
		sel, err := parseSelector(w.String(), false)
		if err != nil {
			return err
		}
		r.matchRecords(work, sel)
		for _, s := range m.InitSites {
			if name, module, ok := r.k.Symbols.FormatName(s.IP); ok && sel.match(name, module) {
				if err := r.enterRecord(work, &Record{IP: s.IP}, false); err != nil {
					break // as in matchRecords
				}
			}
		}
	}
	o.waiting[kind] = left
	if len(left) == 0 && (!r.fixMod || work.count > 0) {
		work.mod = false
	}
	return r.moveHash(o, kind, work)
}

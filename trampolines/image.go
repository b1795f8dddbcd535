package trampolines

import (
	"fmt"
	"slices"
	"strings"

	"callops/asm"
	"callops/asm/effects"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// FromImage is the ftrace that the image has itself: its own ftrace_caller, list
// function, ops and variables, by their symbols. Only the tracers are callops'.
// ENOENT names what the image lacks; code that is there already takes no Fault,
// EINVAL.
func FromImage(k *kernel.Kernel, opts *Options) (*Code, error) {
	if opts != nil && opts.Fault != NoFault {
		return nil, fmt.Errorf("trampolines of the image: fault %s: %w", opts.Fault, errno.EINVAL)
	}
	c, err := Install(k, opts)
	if err != nil {
		return nil, err
	}
	if err := c.takeFrom(k, opts.CallOps); err != nil {
		return nil, fmt.Errorf("trampolines of the image: %w", err)
	}
	return c, nil
}

// takeFrom puts the image's own addresses in the place of callops'.
func (c *Code) takeFrom(k *kernel.Kernel, callOps bool) error {
	own := map[string]*uint64{
		"ftrace_caller":             &c.Caller,
		"ftrace_stub":               &c.Stub,
		"arch_ftrace_ops_list_func": &c.ListFunc,
		"ftrace_ops_assist_func":    &c.AssistFunc,
	}
	variables := map[string]*uint64{
		"ftrace_ops_list":   &c.OpsList,
		"ftrace_list_end":   &c.ListEnd,
		"function_trace_op": &c.FunctionTraceOp,
	}
	if callOps {
		own["ftrace_list_ops"] = &c.ListOps
		own["ftrace_nop_ops"] = &c.NopOps
		own["ftrace_ops_nop_func"] = &c.NopFunc
	} else {
		own["ftrace_call"] = &c.CallSlot
	}
	if k.Layout.Ops.DirectCall != kernelimage.Absent {
		own["call_direct_funcs"] = &c.CallDirectFuncs
		own["ftrace_stub_direct_tramp"] = &c.StubDirectTramp
	}
	if missing := take(k.Image, own); len(missing) > 0 {
		return fmt.Errorf("the image has no %s: %w", strings.Join(missing, ", "), errno.ENOENT)
	}
	c.CallerEnd = callerEnd(k.Image, c.Caller)
	if missing := take(k.Image, variables); len(missing) > 0 {
		// Without CONFIG_KALLSYMS_ALL variables have no symbols.
		if err := c.findVariables(k); err != nil {
			return fmt.Errorf("the image has no symbol %s: %w", strings.Join(missing, ", "), err)
		}
	}
	return nil
}

// take looks symbols up, and returns the names that the image does not have.
func take(img *kernelimage.Image, wanted map[string]*uint64) (missing []string) {
	found := make(map[string]bool)
	for _, s := range img.Symbols {
		if p := wanted[s.Name]; p != nil && !found[s.Name] {
			*p, found[s.Name] = s.Addr, true
		}
	}
	for name := range wanted {
		if !found[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// callerEnd is where ftrace_stub and its kin begin, which stand behind
// ftrace_caller and all its labels (arch/arm64/kernel/entry-ftrace.S).
func callerEnd(img *kernelimage.Image, caller uint64) uint64 {
	end := uint64(0)
	for _, s := range img.Symbols {
		if s.Addr > caller && strings.HasPrefix(s.Name, "ftrace_stub") && (end == 0 || s.Addr < end) {
			end = s.Addr
		}
	}
	return end
}

// findVariables finds function_trace_op, ftrace_list_end and ftrace_ops_list of
// a kernel in which nothing is registered: the caller loads the first right
// before its call, the list function the last, and both then hold the address
// of the second.
func (c *Code) findVariables(k *kernel.Kernel) error {
	if c.CallSlot == 0 {
		return errno.ENOENT // with CALL_OPS the caller names no variable
	}
	c.FunctionTraceOp, c.ListEnd = 0, 0
	for _, addr := range loads(k.Image, c.CallSlot-loadsBack, c.CallSlot) {
		if c.isList(k, addr) {
			c.FunctionTraceOp = addr
		}
	}
	if c.FunctionTraceOp == 0 {
		return fmt.Errorf("ftrace_caller loads no function_trace_op: %w", errno.ENOENT)
	}
	for _, addr := range loads(k.Image, c.ListFunc, c.ListFunc+loadsAhead) {
		if c.isList(k, addr) {
			c.OpsList = addr
			return nil
		}
	}
	return fmt.Errorf("arch_ftrace_ops_list_func loads no ftrace_ops_list: %w", errno.ENOENT)
}

// How far around the call, and into the list function, loads are looked for.
const (
	loadsBack  = 8 * insnSize
	loadsAhead = 128 * insnSize
)

// isList says whether the variable at addr names ftrace_list_end: an ops whose
// func is ftrace_stub. It notes which.
func (c *Code) isList(k *kernel.Kernel, addr uint64) bool {
	end, err := k.Mem.Load64(addr)
	if err != nil || c.ListEnd != 0 && end != c.ListEnd {
		return false
	}
	fn, err := k.Mem.Load64(end + uint64(k.Layout.Ops.Func))
	if err != nil || fn != c.Stub {
		return false
	}
	c.ListEnd = end
	return true
}

// loads returns the variables from which the code in [start, end) loads
// doublewords, by an ADRP and an LDR of the same register.
func loads(img *kernelimage.Image, start, end uint64) (found []uint64) {
	pages := make(map[uint8]uint64) // what ADRP put into a register
	for pc := start; pc < end; pc += insnSize {
		w, ok := img.Word(pc)
		if !ok {
			break
		}
		if rd, page, isPage, _ := asm.DecodeAdr(pc, w); isPage {
			pages[uint8(rd.Num())] = page
			continue
		}
		o, _ := effects.Decode(w)
		if page, ok := pages[o.Base]; ok && o.Access == effects.Loads && o.Size == 8 && o.Count == 1 && o.Index == effects.NoReg && !o.WriteBack {
			found = append(found, page+uint64(o.Offset))
		}
	}
	return found
}

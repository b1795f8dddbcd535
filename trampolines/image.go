package trampolines

import (
	"fmt"
	"slices"
	"strings"

	"callops/asm/refs"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// MissingError names the symbols that an image must have for its own ftrace to
// run, and has not. It matches errno.ENOENT.
type MissingError struct {
	Image string
	Names []string // sorted
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s has no symbol %s", e.Image, strings.Join(e.Names, ", "))
}

func (e *MissingError) Is(target error) bool { return target == errno.ENOENT }

// FromImage is the ftrace that the image has itself: its own ftrace_caller, list
// function, ops and variables, by their symbols. Only the tracers are callops'.
// What the image lacks is named in one [MissingError]; code that is there
// already takes no Fault and no Direct, EINVAL; a kernel older than 5.16, or
// whose structures are not known (no BTF), is EOPNOTSUPP. After an error nothing has been installed.
func FromImage(k *kernel.Kernel, opts *Options) (*Code, error) {
	if opts == nil {
		opts = &Options{}
	}
	if k == nil || opts.Fault != NoFault || opts.Direct != DirectOps {
		return nil, fmt.Errorf("trampolines of the image: kernel %v, fault %s, direct calls %s: %w", k != nil, opts.Fault, opts.Direct, errno.EINVAL)
	}
	if l := k.Image.Linux(); l != nil && !l.KnowsOps() {
		return nil, fmt.Errorf("trampolines of the image: %s has no BTF, and nothing else tells how its ftrace_ops are laid out: %w", k.Image.Name(), errno.EOPNOTSUPP)
	}
	if isBefore516(k) {
		return nil, fmt.Errorf("trampolines of the image: the ftrace of %s is older than 5.16's, the first that can be run: %w", k.Image.Name(), errno.EOPNOTSUPP)
	}
	own, err := findOwn(k, opts.CallOps)
	if err != nil {
		return nil, fmt.Errorf("trampolines of the image: %w", err)
	}
	c, err := Install(k, opts)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if p.owned(k, opts.CallOps) {
			*p.addr(c) = *p.addr(own)
		}
	}
	c.CallerEnd = own.CallerEnd
	return c, nil
}

// isBefore516 reports whether the list function has the name that it had then;
// later that is another name of arch_ftrace_ops_list_func.
func isBefore516(k *kernel.Kernel) bool {
	has := func(name string) bool {
		_, err := k.Symbols.Lookup(name)
		return err == nil
	}
	return k.Image.Linux() != nil && has("ftrace_ops_list_func") && !has("arch_ftrace_ops_list_func")
}

// owned reports whether the piece is the image's.
func (p *piece) owned(k *kernel.Kernel, callOps bool) bool {
	return p.own != nil && p.own(k.Layout, callOps)
}

// findOwn finds the image's pieces.
func findOwn(k *kernel.Kernel, callOps bool) (*Code, error) {
	own := &Code{}
	symbols := firstSymbols(k.Image)
	var missing []string
	found := true // all but variables
	for _, p := range pieces {
		if !p.owned(k, callOps) {
			continue
		}
		s, ok := symbols[p.name]
		if !ok && !p.optional {
			missing = append(missing, p.name)
			found = found && p.variable()
		}
		*p.addr(own) = s.Addr
	}
	slices.Sort(missing)
	lacks := &MissingError{Image: k.Image.Name(), Names: missing}
	switch {
	case len(missing) == 0:
	case !found || callOps:
		return nil, lacks // with CALL_OPS nothing leads to the variables either
	default:
		// Without CONFIG_KALLSYMS_ALL variables have no symbols.
		if err := own.findVariables(k); err != nil {
			return nil, fmt.Errorf("%w: %w", lacks, err)
		}
	}
	own.CallerEnd = callerEnd(k.Image, symbols["ftrace_caller"])
	return own, nil
}

// firstSymbols is the image's symbols by name: of several the first.
func firstSymbols(img *kernelimage.Image) map[string]kernelimage.Symbol {
	found := make(map[string]kernelimage.Symbol)
	for _, p := range pieces {
		if syms := img.SymbolTable().Called(p.name); len(syms) > 0 {
			found[p.name] = syms[0]
		}
	}
	return found
}

// callerLabels begin the names of what entry-ftrace.S has inside ftrace_caller,
// and kallsyms takes for functions.
var callerLabels = []string{"ftrace_call", "ftrace_common", "ftrace_graph_call"}

// callerEnd is where the next function begins, of which there may be none.
func callerEnd(img *kernelimage.Image, caller kernelimage.Symbol) uint64 {
	syms := img.SymbolTable()
	for i := syms.After(caller.Addr); i < syms.Len(); i++ {
		s := syms.At(i)
		if !slices.ContainsFunc(callerLabels, func(l string) bool { return strings.HasPrefix(s.Name, l) }) {
			return s.Addr
		}
	}
	return caller.Addr + caller.Size
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

// isList reports whether the variable at addr names ftrace_list_end: an ops whose
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

// loads returns the variables from which the code in [start, end) loads doublewords.
func loads(img *kernelimage.Image, start, end uint64) (found []uint64) {
	for _, r := range refs.Of(img.Word, start, end) {
		if r.Kind == refs.Load && r.Size == 8 {
			found = append(found, r.Addr)
		}
	}
	return found
}

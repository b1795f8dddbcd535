package trampolines

import (
	"encoding/binary"
	"errors"
	"fmt"

	. "callops/asm"
	"callops/internal/errno"
	"callops/kernelimage"
)

// Direct is how ftrace_caller finds the direct call of a site: the design of direct calls.
// All but DirectOps and DirectJump need one ops for all of them (HAVE_SINGLE_FTRACE_DIRECT_OPS).
type Direct uint8

// The designs.
const (
	// DirectOps is Linux's on arm64: an ops for each address, which is its direct_call.
	DirectOps Direct = iota

	// DirectTagged has the address itself in the literal. Pointers to ops have bit 0 set there,
	// and the address of a call that has tracers beside it has bit 1 set.
	DirectTagged

	// DirectMini has an object for each address, three words, in the place of an ops: see
	// MiniSize. direct_call is the second field of struct ftrace_ops then.
	DirectMini

	// DirectHash has the one ops in the literal. Its direct_call points to a struct ftrace_hash,
	// in which ftrace_caller looks the call site up.
	DirectHash

	// DirectJump is DirectOps whose sites jump to what they reach, by B and not BL
	// (FTRACE_OPS_FL_JMP). The code is entered with x30 as the traced function's caller left it,
	// and has to know its call site.
	DirectJump

	numDirect
)

var directNames = [numDirect]string{"ops", "tagged", "mini", "hash", "jump"}

func (d Direct) String() string {
	if d < numDirect {
		return directNames[d]
	}
	return fmt.Sprintf("direct %d", uint8(d))
}

// ParseDirect reads a design's name; EINVAL where there is none of that name.
func ParseDirect(name string) (Direct, error) {
	for d, n := range directNames {
		if n == name {
			return Direct(d), nil
		}
	}
	return 0, fmt.Errorf("direct calls %q: there are %q: %w", name, directNames, errno.EINVAL)
}

// Directs returns all designs.
func Directs() []Direct {
	return []Direct{DirectOps, DirectTagged, DirectMini, DirectHash, DirectJump}
}

// OneOps reports whether one ops has all direct calls.
func (d Direct) OneOps() bool { return d != DirectOps && d != DirectJump }

// check refuses a design that the kernel's structures have no room for, and one that needs a
// literal where there is none.
func (d Direct) check(l *kernelimage.Layout, callOps bool) error {
	switch {
	case d >= numDirect:
		return fmt.Errorf("%s: %w", d, errno.EINVAL)
	case d == DirectOps:
		return nil
	case l.Ops.DirectCall == kernelimage.Absent || l.Regs.DirectTramp == kernelimage.Absent:
		return fmt.Errorf("direct calls of design %s in a kernel without ops->direct_call: %w", d, errors.ErrUnsupported)
	case !callOps && d != DirectHash:
		return fmt.Errorf("direct calls of design %s need the sites' literals: %w", d, errno.EOPNOTSUPP)
	}
	return nil
}

// layout is the kernel's, with the fields where the design needs them.
func (d Direct) layout(l *kernelimage.Layout) *kernelimage.Layout {
	if d != DirectMini {
		return l
	}
	moved := *l
	moved.Ops.Next, moved.Ops.DirectCall = l.Ops.DirectCall, l.Ops.Next
	return &moved
}

// A mini-ops is func, 0, and the address of a direct call. Two pointers into it are what
// ftrace_caller takes for an ops: one to its start, whose direct_call is 0 and whose func is
// ftrace_list_direct_func, is for a site that has tracers too; one to its second word, whose
// direct_call is the address, for a site that has none. Nothing in it ever changes.
const (
	MiniSize  = 3 * wordSize
	MiniAlone = wordSize // from its start to what a site has alone
	miniAddr  = 2 * wordSize
)

// Mini is what the mini-ops of an address holds.
func (c *Code) Mini(addr uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, c.ListDirectFunc)
	b = binary.LittleEndian.AppendUint64(b, 0)
	return binary.LittleEndian.AppendUint64(b, addr)
}

// Tags of a literal of DirectTagged.
const (
	tagOpsBit    = 0 // an ops
	tagBesideBit = 1 // no ops, and tracers are beside the direct call
)

// OpsLiteral is what a literal holds for an ops.
func (c *Code) OpsLiteral(ops uint64) uint64 {
	if c.Direct == DirectTagged {
		return ops | 1<<tagOpsBit
	}
	return ops
}

// TaggedLiteral is what a literal of DirectTagged holds for a direct call.
func TaggedLiteral(addr uint64, alone bool) uint64 {
	if alone {
		return addr
	}
	return addr | 1<<tagBesideBit
}

// apart reports whether what ftrace_caller finds first needs another look.
func (c *code) apart() bool { return c.direct == DirectTagged || c.direct == DirectHash }

// directCalls reports whether there are direct calls at all.
func (c *code) directCalls() bool {
	return c.l.Ops.DirectCall != kernelimage.Absent && (c.callOps || c.direct == DirectHash)
}

// findDirect is what ftrace_caller does first: it loads the site's ops into opsReg, or goes to
// early with the address of a direct call, and nothing else changed, in x17.
func (c *code) findDirect(early Label) {
	if c.direct == DirectTagged {
		c.loadOps(X17)
		c.Emit(Tbz(X17, tagOpsBit, early))
		return
	}
	c.loadOps(X11)
	c.Emit(
		Ldr(X17, at(X11, c.l.Ops.DirectCall)),
		Cbnz(X17, early),
	)
}

// moveOps copies what findDirect has loaded.
func (c *code) moveOps(rd Reg) {
	if c.direct == DirectTagged {
		c.Emit(SubImm(rd, X17, 1<<tagOpsBit))
		return
	}
	c.Emit(Mov(rd, X11)) // the same ops whose direct_call was tested
}

// earlyDirect is where findDirect branches to, where that is not found already. restore is where
// ftrace_caller gives its frame back.
func (c *code) earlyDirect(restore Label) {
	if c.direct == DirectHash {
		c.earlyHash()
		return
	}
	beside := c.Label("ftrace_caller_direct_beside")
	if c.fault == LoadTagTwice {
		c.loadOps(X17)
	}
	c.Emit(
		Tbnz(X17, tagBesideBit, beside),
		Br(X17),
	)
	// The list function calls the tracers, and the late path does the rest.
	c.Bind(beside)
	c.Emit(SubImm(X17, X17, 1<<tagBesideBit))
	c.saveRegs(true, X17)
	c.Emit(
		SubImm(X0, LR, insnSize), // ip
		Mov(X1, X9),              // parent_ip
	)
	c.Emit(LoadAddr(X2, c.Abs("ftrace_list_ops", c.data.ListOps))...)
	c.Emit(
		Mov(X3, SP), // fregs
		BL(c.labels["arch_ftrace_ops_list_func"]),
		B(restore),
	)
}

// earlyHash is earlyDirect where x17 is a table.
func (c *code) earlyHash() {
	gone := c.Label("ftrace_caller_direct_gone")
	c.Emit(SubImm(X10, LR, insnSize)) // ip
	c.lookupDirect(X17, X10, gone)
	c.Emit(Br(X17))
	// The site's direct call was removed, or is not there yet: on in the traced function.
	c.Bind(gone)
	c.Emit(
		Mov(X10, LR),
		Mov(LR, X9),
		RetReg(X10),
	)
}

// lookupDirect replaces the address of a table of direct calls by that of ip's direct call, or
// goes to miss. The table has two buckets or more. x12 to x14 and the flags change.
//
// Differs: __ftrace_lookup_ip takes a table with one bucket and an empty one too.
func (c *code) lookupDirect(table, ip Reg, miss Label) {
	var (
		walk  = c.Label("each entry")
		entry = c.Label("entry found")
		l     = &c.l.Entry
	)
	c.Emit(MovImm(X12, goldenRatio64)...)
	c.Emit(
		Ldp(X13, X14, at(table, c.l.Hash.SizeBits)), // size_bits, buckets
		Mul(X12, ip, X12),
		Neg(X13, X13), // a shift by 64-size_bits: counts are modulo 64
		Lsr(X12, X12, X13),
		Ldr(X12, Idx(X14, X12, 3)),
	)
	c.Bind(walk)
	if c.fault != FollowMiss {
		c.Emit(Cbz(X12, miss))
	}
	c.Emit(
		Ldr(X13, at(X12, l.IP)),
		Cmp(X13, ip),
		BCond(EQ, entry),
		Ldr(X12, at(X12, l.Next)),
		B(walk),
	)
	c.Bind(entry)
	c.Emit(Ldr(table, at(X12, l.Direct)))
}

// listDirectFunc is ftrace_list_direct_func, the func of a mini-ops whose site has tracers too:
// the list function, and ftrace_caller takes the late path to the direct call.
func (c *code) listDirectFunc() {
	c.Emit(
		Ldr(X9, Off(X2, miniAddr)),
		Str(X9, at(X3, c.l.Regs.DirectTramp)),
		B(c.labels["arch_ftrace_ops_list_func"]),
	)
}

// callDirectHash is call_direct_funcs with CONFIG_HAVE_SINGLE_FTRACE_DIRECT_OPS: it looks its
// call site up (kernel/trace/ftrace.c, Linux 7.0).
func (c *code) callDirectHash() {
	none := c.Label("no direct call")
	c.Emit(
		Ldr(X9, at(X2, c.l.Ops.DirectCall)),
		Cbz(X9, none),
	)
	c.lookupDirect(X9, X0, none)
	c.Emit(Str(X9, at(X3, c.l.Regs.DirectTramp)))
	c.Bind(none)
	c.Emit(Ret())
}

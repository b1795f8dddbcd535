package trampolines

import (
	"errors"

	"callops/kernel"
	"callops/kernelimage"
)

// Flags of ops and hashes that the code tests or the objects start with
// (include/linux/ftrace.h, kernel/trace/trace.h).
const (
	opsStubBit        = 5  // FTRACE_OPS_FL_STUB
	opsInitializedBit = 6  // FTRACE_OPS_FL_INITIALIZED
	opsPIDBit         = 13 // FTRACE_OPS_FL_PID
	opsRCUBit         = 14 // FTRACE_OPS_FL_RCU
	hashModBit        = 0  // FTRACE_HASH_FL_MOD
)

// allocObjects gives the objects their addresses, which the code refers to.
func (c *Code) allocObjects(k *kernel.Kernel, module string, callOps bool) error {
	for _, p := range pieces {
		if p.size == nil || !p.when(k.Layout, callOps) {
			continue
		}
		addr, err := k.AllocModuleData(module, p.name, p.size(k.Layout), p.perm)
		if err != nil {
			return err
		}
		*p.addr(c) = addr
	}
	return nil
}

// initObjects writes the objects' initializers (kernel/trace/ftrace.c).
func (c *Code) initObjects(k *kernel.Kernel) error {
	l := &c.Layout.Ops
	var errs []error
	set := func(object uint64, field int, v uint64) {
		if err := k.Mem.Store64(object+uint64(field), v); err != nil {
			errs = append(errs, err)
		}
	}
	// initHash is INIT_OPS_HASH.
	initHash := func(ops uint64) {
		set(ops, l.FuncHash, ops+uint64(l.LocalHash))
		if l.SubopList != kernelimage.Absent {
			head := ops + uint64(l.SubopList)
			set(ops, l.SubopList, head)
			set(ops, l.SubopList+8, head)
		}
	}

	set(c.ListOps, l.Func, c.ListFunc)
	set(c.ListOps, l.Flags, 1<<opsStubBit)
	set(c.NopOps, l.Func, c.NopFunc)
	set(c.NopOps, l.Flags, 1<<opsStubBit)

	set(c.ListEnd, l.Func, c.Stub)
	set(c.ListEnd, l.Flags, 1<<opsStubBit)
	initHash(c.ListEnd)

	set(c.GlobalOps, l.Func, c.Stub)
	set(c.GlobalOps, l.Flags, 1<<opsInitializedBit|1<<opsPIDBit)
	set(c.GlobalOps, l.LocalHash+k.Layout.OpsHash.Notrace, c.EmptyHash)
	set(c.GlobalOps, l.LocalHash+k.Layout.OpsHash.Filter, c.EmptyHash)
	initHash(c.GlobalOps)

	set(c.EmptyHash, k.Layout.Hash.Buckets, c.EmptyHash+uint64(k.Layout.Hash.Size))

	if c.GraphOps != 0 {
		gops := GraphOpsOf(k.Layout)
		set(c.GraphStub, gops.EntryFunc, c.GraphEntryStub)
		set(c.GraphStub, gops.RetFunc, c.GraphRetStub)
		for i := range MaxGraphUsers {
			set(c.GraphArray, i*wordSize, c.GraphStub)
		}
		set(c.GraphOps, l.Func, c.GraphFunc)
		initHash(c.GraphOps)
	}

	set(c.OpsList, 0, c.ListEnd)
	set(c.FunctionTraceOp, 0, c.ListEnd)
	return errors.Join(errs...)
}

package trampolines

import (
	"errors"

	"callops/emu"
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
func (c *Code) allocObjects(k *kernel.Kernel, module string) error {
	ops, pointer := uint64(k.Layout.Ops.Size), uint64(8)
	oneBucket := uint64(k.Layout.Hash.Size) + pointer
	for _, o := range []struct {
		name string
		addr *uint64
		size uint64
		perm emu.Perm
	}{
		{"ftrace_list_end", &c.ListEnd, ops, emu.Read | emu.Write},
		{"global_ops", &c.GlobalOps, ops, emu.Read | emu.Write},
		{"ftrace_ops_list", &c.OpsList, pointer, emu.Read | emu.Write},
		{"function_trace_op", &c.FunctionTraceOp, pointer, emu.Read | emu.Write},
		{"ftrace_list_ops", &c.ListOps, ops, emu.Read},
		{"ftrace_nop_ops", &c.NopOps, ops, emu.Read},
		{"empty_hash", &c.EmptyHash, oneBucket, emu.Read},
	} {
		var err error
		if *o.addr, err = k.AllocModuleData(module, o.name, o.size, o.perm); err != nil {
			return err
		}
	}
	return nil
}

// initObjects writes the objects' initializers (kernel/trace/ftrace.c).
func (c *Code) initObjects(k *kernel.Kernel) error {
	l := &k.Layout.Ops
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

	set(c.OpsList, 0, c.ListEnd)
	set(c.FunctionTraceOp, 0, c.ListEnd)
	return errors.Join(errs...)
}

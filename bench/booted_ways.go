package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	bpf "github.com/cilium/ebpf/asm"

	. "callops/asm" // mnemonics read as in a listing

	"callops/board"
	"callops/internal/errno"
)

// tracerCode is what the names of the benchmark's own machine code begin with.
const tracerCode = "bench_"

// prepareOps has an ftrace_ops whose func is the sample's: ops_func_nop of samples/ftrace/ftrace-ops.c.
func prepareOps(ctx context.Context, m *board.Machine, funcs []tracedFunc, n int) (func() (detachable, error), error) {
	fn, err := place(ctx, m, "bench_ops_func_nop", Mov(X9, LR), Nop(), Ret())
	if err != nil {
		return nil, err
	}
	return prepareFilter(ctx, m, fn, funcs, n, func(o *board.Ops) error { return o.Register(ctx) }, func(o *board.Ops) error { return o.Unregister(ctx) })
}

// prepareDirect has a direct call of code that goes back to the function at once.
func prepareDirect(ctx context.Context, m *board.Machine, funcs []tracedFunc, n int) (func() (detachable, error), error) {
	if _, err := m.Symbol("register_ftrace_direct"); err != nil {
		return nil, err
	}
	code, err := place(ctx, m, "bench_direct", Bti(BTIC), Mov(X10, LR), Mov(LR, X9), RetReg(X10))
	if err != nil {
		return nil, err
	}
	return prepareFilter(ctx, m, 0, funcs, n, func(o *board.Ops) error { return o.RegisterDirect(ctx, code) },
		func(o *board.Ops) error { return o.UnregisterDirect(ctx, code) })
}

// place places code of a few instructions.
func place(ctx context.Context, m *board.Machine, name string, insns ...Inst) (uint64, error) {
	p, err := m.PlaceCode(ctx, name, func(base uint64) (*Program, error) {
		b := NewBuilder()
		b.Func(name)
		b.Emit(insns...)
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return 0, err
	}
	return p.Base, nil
}

// filtered is an ops that is registered.
type filtered struct {
	ops        *board.Ops
	unregister func(*board.Ops) error
}

func (f *filtered) Close(context.Context) error { return f.unregister(f.ops) }

// prepareFilter has an ops; attaching sets its filter and registers it.
func prepareFilter(ctx context.Context, m *board.Machine, fn uint64, funcs []tracedFunc, n int, register, unregister func(*board.Ops) error) (
	func() (detachable, error), error,
) {
	ips, err := sites(funcs, n)
	if err != nil {
		return nil, err
	}
	ops, err := m.NewOps(ctx, "bench", fn, 0)
	if err != nil {
		return nil, err
	}
	return func() (detachable, error) {
		if err := ops.SetFilterIPs(ctx, ips); err != nil {
			return nil, err
		}
		return &filtered{ops, unregister}, register(ops)
	}, nil
}

// sites are those of the first n functions.
func sites(funcs []tracedFunc, n int) ([]uint64, error) {
	if len(funcs) < n {
		return nil, fmt.Errorf("the kernel has %d functions that can be traced, not %d: %w", len(funcs), n, errno.EINVAL)
	}
	ips := make([]uint64, n)
	for i := range ips {
		ips[i] = funcs[i].ip
	}
	return ips, nil
}

// program is the least that a BPF program can be.
func program() ([]byte, error) {
	var b bytes.Buffer
	err := bpf.Instructions{bpf.Mov.Imm(bpf.R0, 0), bpf.Return()}.Marshal(&b, binary.LittleEndian)
	return b.Bytes(), err
}

// links are programs that are attached.
type links []*board.BPFLink

func (l links) Close(ctx context.Context) error {
	for _, link := range l {
		if err := link.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepareEach loads a program for each function, as fentry and its like need. Functions that it can't be loaded for are left out.
func prepareEach(kind ebpf.AttachType) func(context.Context, *board.Machine, []tracedFunc, int) (func() (detachable, error), error) {
	return func(ctx context.Context, m *board.Machine, funcs []tracedFunc, n int) (func() (detachable, error), error) {
		insns, err := program()
		if err != nil {
			return nil, err
		}
		var progs []*board.BPF
		var refused *board.VerifierError
		for _, f := range funcs {
			if len(progs) == n {
				break
			}
			p, err := m.LoadBPF(ctx, &board.BPFProgram{Name: "bench", Type: ebpf.Tracing, Attach: kind, Func: f.name, Insns: insns})
			if errors.As(err, &refused) && len(progs) > 0 {
				continue
			}
			if err != nil {
				return nil, err
			}
			progs = append(progs, p)
		}
		return func() (detachable, error) {
			var all links
			for _, p := range progs {
				link, err := p.Attach(ctx)
				if err == nil {
					err = p.Close(ctx) // a process has 1,024 files
				}
				if err != nil {
					return nil, err
				}
				all = append(all, link)
			}
			return all, nil
		}, nil
	}
}

// prepareMulti loads a program for kprobe.multi.
func prepareMulti(ctx context.Context, m *board.Machine, funcs []tracedFunc, n int) (func() (detachable, error), error) {
	ips, err := sites(funcs, n)
	if err != nil {
		return nil, err
	}
	insns, err := program()
	if err != nil {
		return nil, err
	}
	p, err := m.LoadBPF(ctx, &board.BPFProgram{Name: "bench", Type: ebpf.Kprobe, Attach: ebpf.AttachTraceKprobeMulti, Insns: insns})
	if err != nil {
		return nil, err
	}
	return func() (detachable, error) {
		link, err := p.AttachAll(ctx, ips)
		return links{link}, err
	}, nil
}

package ftrace

import (
	"errors"
	"fmt"

	"callops/asm"
	"callops/internal/errno"
)

// The arm64 backend, arch/arm64/kernel/ftrace.c. With CALL_OPS each operation
// writes the literal first: a CPU that still runs the old instruction, or
// already the new one, then finds an ops that is valid for either.

const insnSize = 4 // AARCH64_INSN_SIZE, and MCOUNT_INSN_SIZE

// literalOf is the address of a site's literal (ftrace_rec_set_ops): 12 bytes
// before the BL, or 16 where a BTI stands between.
func literalOf(ip uint64) uint64 { return (ip - 12) &^ 7 }

// initNop is ftrace_init_nop: it gives a compiled site its MOV X9, X30 for good.
func (r *Registry) initNop(rec *Record) error {
	if err := r.setLiteral(rec.IP, r.code.NopOps); err != nil {
		return err
	}
	return r.modifyCode(rec.IP-insnSize, asm.NOP, asm.MovX9LR)
}

// makeCall is ftrace_make_call.
func (r *Registry) makeCall(rec *Record, addr uint64) error {
	if err := r.setOps(rec); err != nil {
		return err
	}
	bl, err := r.branchTo(rec.IP, addr)
	if err != nil {
		return err
	}
	return r.modifyCode(rec.IP, asm.NOP, bl)
}

// modifyCall is ftrace_modify_call. With CALL_OPS old and new are often the
// same, and only the literal changes; the word is checked and rewritten all
// the same.
func (r *Registry) modifyCall(rec *Record, old, addr uint64) error {
	if err := r.setOps(rec); err != nil {
		return err
	}
	was, err := r.branchTo(rec.IP, old)
	if err != nil {
		return err
	}
	bl, err := r.branchTo(rec.IP, addr)
	if err != nil {
		return err
	}
	return r.modifyCode(rec.IP, was, bl)
}

// makeNop is ftrace_make_nop.
func (r *Registry) makeNop(rec *Record, addr uint64) error {
	if err := r.setLiteral(rec.IP, r.code.NopOps); err != nil {
		return err
	}
	was, err := r.branchTo(rec.IP, addr)
	if err != nil {
		return err
	}
	return r.modifyCode(rec.IP, was, asm.NOP)
}

// setOps is ftrace_rec_update_ops.
func (r *Registry) setOps(rec *Record) error {
	if !r.callOps {
		return nil
	}
	literal, ok := r.directLiteral(rec)
	rec.leads = ok
	if ok {
		return r.storeLiteral(rec.IP, literal)
	}
	err := r.setLiteral(rec.IP, r.opsFor(rec))
	rec.stale = false
	return err
}

// outdated reports whether a site's literal has to follow though its flags stay: other ops share it, or a direct
// call has come to tracers that share it, or has left them.
func (r *Registry) outdated(rec *Record) bool {
	return rec.stale || r.inLiteral() && rec.is(RecDirect) != rec.leads && r.fault != KeepShared
}

// opsFor is arm64_rec_get_ops: the record's flags, already updated, determine
// whether its literal points to its one ops or to what shared sites have.
func (r *Registry) opsFor(rec *Record) uint64 {
	if r.prof.ifCallOps(rec.Flags)&RecCallOpsEn != 0 {
		if o := r.uniqueOps(rec.IP, nil); o != nil {
			return o.addr
		}
		r.warnOnce("arm64_rec_get_ops", "%s has no unique ops", rec.IP)
	}
	if r.sets != nil {
		return r.setFor(rec)
	}
	return r.code.ListOps
}

// setLiteral has a site's literal name an ops.
func (r *Registry) setLiteral(ip, ops uint64) error {
	return r.storeLiteral(ip, r.code.OpsLiteral(ops))
}

// storeLiteral is one aligned 64-bit store, and none without CALL_OPS.
func (r *Registry) storeLiteral(ip, literal uint64) error {
	if !r.callOps {
		return nil
	}
	at := r.literalOf(ip)
	if r.sets == nil {
		return r.mem.Store64(at, literal)
	}
	old, err := r.mem.Load64(at)
	if err != nil || old == literal {
		return err
	}
	if err := r.mem.Store64(at, literal); err != nil {
		return err
	}
	r.moved(old, literal)
	return nil
}

// branchTo encodes a BL from the site, or a jump, to what reaches addr: addr itself, or
// ftrace_caller where addr is out of range (it then finds addr in the ops'
// direct_call). A module that is far from that goes by its ftrace PLT. The core
// image has none, so a trampoline out of range is EINVAL
// (ftrace_find_callable_addr).
func (r *Registry) branchTo(ip, addr uint64) (uint32, error) {
	if r.jumpsTo(addr) {
		if word, err := asm.EncodeB(ip, addr); err == nil {
			return word, nil
		}
	}
	word, err := asm.EncodeBL(ip, addr)
	if err != nil && addr != r.code.Caller && addr != r.code.RegsCaller {
		addr = r.code.Caller
		word, err = asm.EncodeBL(ip, addr)
	}
	if err != nil {
		if plt := r.ftracePLT(ip, addr); plt != 0 {
			word, err = asm.EncodeBL(ip, plt)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errno.EINVAL, err)
	}
	return word, nil
}

// modifyCode is ftrace_modify_code with validation: EFAULT where the word can't
// be read, EINVAL where it is not the old one, EPERM where it can't be written.
func (r *Registry) modifyCode(pc uint64, old, word uint32) error {
	if err := r.checkCode(pc, old); err != nil {
		return err
	}
	return r.writeCode(pc, word)
}

func (r *Registry) checkCode(pc uint64, want uint32) error {
	have, err := r.mem.Load32(pc)
	if err != nil {
		return errors.Join(errno.EFAULT, err)
	}
	if have != want {
		return fmt.Errorf("%s: found %s, expected %s: %w", r.sym(pc), r.disasm(pc, have), r.disasm(pc, want), errno.EINVAL)
	}
	return nil
}

func (r *Registry) writeCode(pc uint64, word uint32) error {
	if pc%insnSize != 0 {
		return fmt.Errorf("%s: misaligned: %w", r.sym(pc), errno.EPERM)
	}
	if err := r.mem.Store32(pc, word); err != nil {
		return fmt.Errorf("%w: %w", errno.EPERM, err)
	}
	r.mem.SyncText(pc, insnSize)
	return nil
}

// updateTraceFunc is ftrace_update_ftrace_func: the shared trampoline's one
// call, which does not exist with CALL_OPS. The old word is not checked.
func (r *Registry) updateTraceFunc(fn uint64) error {
	if r.callOps {
		return nil
	}
	near, err := r.code.Reach(r.mem.Memory, fn)
	if err != nil {
		return err
	}
	bl, err := asm.EncodeBL(r.code.CallSlot, near)
	if err != nil {
		return fmt.Errorf("%w: %w", errno.EINVAL, err)
	}
	return r.writeCode(r.code.CallSlot, bl)
}

func (r *Registry) disasm(pc uint64, word uint32) string {
	return asm.Disassemble(word, pc, r.symName)
}

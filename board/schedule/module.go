package schedule

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Module returns the steps that load and unload a module: its name, and the bytes of its .ko file, not compressed. It is called once, as the
// last part of preparing a workload: the file lies where the host's next system call overwrites it.
func (s *Setup) Module(ctx context.Context, name string, file []byte) (load, unload Step, err error) {
	user := append(append(append([]byte(nil), file...), 0), name...) // parameters are none
	addr, err := s.UserMemory(append(user, 0))
	if err != nil {
		return load, unload, fmt.Errorf("module %s: %w", name, err)
	}
	size := uint64(len(file))
	call := func(what, fn string, args ...uint64) (Step, error) {
		const sizeofRegs = 512 // struct pt_regs, which begins with X0
		regs, err := s.Kmalloc(ctx, sizeofRegs)
		if err != nil {
			return Step{}, fmt.Errorf("module %s: %w", name, err)
		}
		var b []byte
		for _, arg := range args {
			b = binary.LittleEndian.AppendUint64(b, arg)
		}
		return Step{Name: what + " " + name, Func: fn, Args: []uint64{regs}}, s.WriteMemory(regs, b)
	}
	if load, err = call("load", "__arm64_sys_init_module", addr, size, addr+size); err != nil {
		return load, unload, err
	}
	unload, err = call("unload", "__arm64_sys_delete_module", addr+size+1, 0)
	return load, unload, err
}

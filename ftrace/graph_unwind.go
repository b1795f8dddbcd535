package ftrace

import (
	"callops/kernel"
	"callops/trampolines"
)

// ReturnStack is the return stacks of tasks as an unwinder reads them. It follows ftrace_graph_ret_addr
// (kernel/trace/fgraph.c, since Linux 6.11).
type ReturnStack struct {
	Kernel    *kernel.Kernel
	Handler   uint64 // return_to_handler
	Ret, RetP uint64 // offsets in struct ftrace_ret_stack
}

// Addr is where a function really returns to, of whose frame record the return address is addr: retp is the frame pointer
// that the record leads to. index is where in the task's stack to look next: 0 at first. Of several frames with one retp, which
// tail calls make, the lowest has the address.
func (s *ReturnStack) Addr(task uint64, index *int, addr, retp uint64) uint64 {
	if addr != s.Handler {
		return addr
	}
	l := &s.Kernel.Layout.Task
	mem := s.Kernel.Mem
	stack, err := mem.Load64(task + uint64(l.RetStack))
	if err != nil || stack == 0 {
		return addr
	}
	i := *index
	if i == 0 {
		top, err := mem.Load32(task + uint64(l.CurrRetStack))
		if err != nil {
			return addr
		}
		i = int(int32(top))
	}
	for i > 0 && i <= trampolines.ReturnStackSize/8 {
		word, err := mem.Load64(stack + 8*uint64(i-1))
		down := int(word & trampolines.FrameOffsetMask)
		if err != nil || down <= 0 || down > i-1 {
			return addr
		}
		i -= 1 + down
		frame, err := mem.ReadWords(stack+8*uint64(i), trampolines.FrameSize/8)
		if err != nil {
			return addr
		}
		if frame[s.RetP/8] == retp && frame[s.Ret/8] != s.Handler {
			*index = i
			return frame[s.Ret/8]
		}
	}
	return addr
}

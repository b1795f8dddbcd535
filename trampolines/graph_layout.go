package trampolines

import "callops/kernelimage"

// What fgraph keeps, as Linux 6.12 lays it out with CONFIG_FUNCTION_GRAPH_RETVAL (include/linux/ftrace.h,
// kernel/trace/fgraph.c). Only callops' own code reads it, so it is the same on every image; of
// a task's fields the kernel's layout tells.
const (
	// MaxGraphUsers is FGRAPH_ARRAY_SIZE.
	MaxGraphUsers = 16

	// ReturnStackSize is SHADOW_STACK_SIZE, in bytes. Linux 6.12 has a page, which is as large where
	// pages have 4K.
	ReturnStackSize = 4096

	// ReturnStackVars is SHADOW_STACK_TASK_VARS, where each user has a word of the task.
	ReturnStackVars = ReturnStackSize - MaxGraphUsers*wordSize
	returnStackMax  = ReturnStackVars/wordSize - frameWords - 1 // SHADOW_STACK_MAX_OFFSET

	// struct ftrace_ret_stack, with HAVE_FUNCTION_GRAPH_FP_TEST, and above it the word that holds the
	// bitmap of the users that want the return.
	FrameRet      = 0
	FrameFunc     = 8
	FrameCallTime = 16
	FrameFP       = 24
	FrameRetP     = 32
	frameWords    = 5 // FGRAPH_FRAME_OFFSET
	FrameSize     = (frameWords + 1) * wordSize

	frameOffsetBits = 10                   // FGRAPH_FRAME_OFFSET_BITS: how far down the frame begins, in words
	frameBitmap     = 1 << frameOffsetBits // FGRAPH_TYPE_BITMAP; 0 is FGRAPH_TYPE_RESERVED
	frameIndexShift = frameOffsetBits + 2  // FGRAPH_INDEX_SHIFT
	// FrameOffsetMask is FGRAPH_FRAME_OFFSET_MASK.
	FrameOffsetMask = uint64(1)<<frameOffsetBits - 1

	// struct ftrace_graph_ent.
	GraphEntFunc  = 0
	GraphEntDepth = 8 // int
	graphEntSize  = 16

	// struct ftrace_graph_ret.
	GraphRetFunc     = 0
	GraphRetVal      = 8
	GraphRetDepth    = 16 // int
	GraphRetOverrun  = 20 // unsigned int
	GraphRetCallTime = 24
	GraphRetRetTime  = 32
	GraphRetSize     = 48
)

// GraphOpsLayout is struct fgraph_ops, which has a struct ftrace_ops of the kernel's in it.
type GraphOpsLayout struct{ Size, EntryFunc, RetFunc, Ops, Private, SavedFunc, Idx int }

// GraphOpsOf is the struct fgraph_ops of a kernel.
func GraphOpsOf(l *kernelimage.Layout) GraphOpsLayout {
	const ops = 2 * wordSize
	private := ops + l.Ops.Size
	return GraphOpsLayout{
		EntryFunc: 0, RetFunc: wordSize, Ops: ops,
		Private: private, SavedFunc: private + wordSize, Idx: private + 2*wordSize, Size: private + 3*wordSize,
	}
}

// withGraph is CONFIG_FUNCTION_GRAPH_TRACER.
func withGraph(l *kernelimage.Layout, _ bool) bool {
	t := &l.Task
	for _, field := range []int{t.RetStack, t.CurrRetStack, t.CurrRetDepth, t.GraphPause, t.TraceOverrun} {
		if field == kernelimage.Absent {
			return false
		}
	}
	return true
}

// withGraphRing is withGraph where a task tells its CPU.
func withGraphRing(l *kernelimage.Layout, callOps bool) bool {
	return withGraph(l, callOps) && l.Task.CPU != kernelimage.Absent
}

func sizeOfGraphOps(l *kernelimage.Layout) uint64 { return uint64(GraphOpsOf(l).Size) }

func sizeOfGraphArray(*kernelimage.Layout) uint64 { return MaxGraphUsers * wordSize }

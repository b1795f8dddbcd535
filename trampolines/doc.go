// Package trampolines holds the machine code between a patched call site and
// a tracer, and the data it works on: ftrace_caller, the list function and the
// like, the direct-call stubs, and tracers that are machine code themselves so
// that what they cost can be counted.
//
// It follows Linux 6.12: arch/arm64/kernel/entry-ftrace.S for ftrace_caller,
// kernel/trace/ftrace.c for the list and assist functions and the objects,
// kernel/trace/fgraph.c for the return stack and its users,
// kernel/trace/trace_functions_graph.c for the function_graph tracer,
// include/linux/trace_recursion.h for the recursion bits,
// samples/ftrace/ftrace-ops.c for the sample tracers and
// kernel/trace/trace_functions.c for the function tracer. The registers that
// each function takes, keeps and destroys are the kernel's; the instructions
// are our own, and fewer. Each place that departs from Linux on purpose has
// a comment that begins "Differs:".
//
// Every offset of a kernel structure comes from [kernelimage.Layout]. A layout
// in which two fields that one instruction moves are not adjacent is refused.
//
// Left out: FTRACE_RECORD_RECURSION and FTRACE_VALIDATE_RCU_IS_WATCHING, both
// off in distributions' kernels; trampolines of a single ops, which arm64 does not have;
// fgraph_reserve_data, and sleep-time off. [Options.Fault] builds in a defect on purpose.
//
// [Install] puts everything into a booted kernel and returns the addresses;
// [FromImage] uses the kernel's own code. They and [Code.Reach] belong to
// the goroutine that sets the kernel up or patches it. Package trace reads what the function
// tracer writes. To write your own trampoline, start from a copy of template/.
package trampolines

package board_test

import (
	"context"
	"fmt"
	"os"

	"callops/board"
	"callops/ftrace"
	"callops/kernelimage"
)

// A kernel's function is traced by the kernel's own tracer.
func Example() {
	ctx := context.Background()
	img, err := kernelimage.Open(ctx, "vmlinuz", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := board.Start(ctx, img, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	const tracing = "/sys/kernel/tracing/"
	index, err := m.FilterIndex("msleep")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = m.WriteFile(ctx, tracing+"set_ftrace_filter", os.O_TRUNC, fmt.Sprintln(index))
	_ = m.WriteFile(ctx, tracing+"current_tracer", os.O_TRUNC, "function\n")
	_, _ = m.Call(ctx, "msleep", 10)
	trace, err := m.ReadFile(ctx, tracing+"trace")
	fmt.Println(string(trace), err)
}

// A tracer in Go sees the calls of a function of a booted kernel, while a thread of the kernel makes them.
func ExampleMachine_GoTracer() {
	ctx := context.Background()
	img, err := kernelimage.Open(ctx, "vmlinuz", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := board.Start(ctx, img, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	calls := 0
	tracer, _ := m.GoTracer("watch", func(_ *board.Machine, ip, parentIP, ops uint64, regs *ftrace.Regs) { calls++ })
	ops, _ := m.NewOps(ctx, "watch_ops", tracer, 0)
	_ = ops.SetFilter(ctx, "gcd")
	_ = ops.Register(ctx)
	thread, err := m.Thread(ctx, "worker", &board.ThreadOptions{Rounds: 100}, board.GuestCall{Func: "gcd", Args: []uint64{84, 36}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(thread.Wait(ctx), calls)
}

package board_test

import (
	"context"
	"fmt"
	"os"

	"callops/board"
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

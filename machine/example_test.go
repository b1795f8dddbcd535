package machine_test

import (
	"context"
	"fmt"
	"log"

	"callops/ftrace"
	"callops/machine"
)

// A Go function traces gcd on the built-in kernel.
func Example() {
	ctx := context.Background()
	m, err := machine.New(ctx, &machine.Config{Ftrace: machine.Options(nil)})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	tracer, err := m.Ftrace.GoTracer("watch", func(_, _ uint64, _ *ftrace.Ops, regs *ftrace.Regs) {
		fmt.Printf("gcd(%d, %d)\n", regs.Arg(0), regs.Arg(1))
	})
	if err != nil {
		log.Fatal(err)
	}
	ops, err := m.Ftrace.NewOps("my_ops", tracer, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Ftrace.SetFilter(ops, "gcd", nil); err != nil {
		log.Fatal(err)
	}
	if err := m.Ftrace.Register(ops); err != nil {
		log.Fatal(err)
	}
	res, err := m.Kernel.CallName(ctx, 0, nil, "gcd", 84, 36)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.X0)
	// Output:
	// gcd(84, 36)
	// 12
}

package ftrace_test

import (
	"context"
	"fmt"
	"log"

	"callops/emu/interp"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// A tracer written in Go looks at the arguments of each call of a function.
func Example() {
	image, err := kernelimage.Builtin(nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := kernel.Boot(image, interp.New, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer kernel.Close()
	ft, err := ftrace.New(kernel, nil)
	if err != nil {
		log.Fatal(err)
	}

	tracer, err := ft.GoTracer("print_args", func(ip, parent uint64, op *ftrace.Ops, regs *ftrace.Regs) {
		name, _, _ := kernel.Symbols.FormatName(ip)
		fmt.Printf("%s: %s(%d, %d)\n", op, name, regs.Arg(0), regs.Arg(1))
	})
	if err != nil {
		log.Fatal(err)
	}
	ops, err := ft.NewOps("my_ops", tracer, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := ft.SetFilter(ops, "gcd", nil); err != nil {
		log.Fatal(err)
	}
	if err := ft.Register(ops); err != nil {
		log.Fatal(err)
	}
	res, err := kernel.CallName(context.Background(), 0, nil, "gcd", 84, 36)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("returned", res.X0)
	// Output:
	// my_ops: gcd(84, 36)
	// returned 12
}

// The plain ops leaves the function, the one that asked to be called only while
// RCU is watching stays. RCU is not watching, as in the idle loop. Linux calls it all
// the same.
func Example_protectionLost() {
	for _, fix := range []bool{false, true} {
		image, err := kernelimage.Builtin(nil)
		if err != nil {
			log.Fatal(err)
		}
		kernel, err := kernel.Boot(image, interp.New, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer kernel.Close()
		ft, err := ftrace.New(kernel, &ftrace.Options{FixCallOps: fix})
		if err != nil {
			log.Fatal(err)
		}

		calls := 0
		tracer, err := ft.GoTracer("needs_rcu", func(_, _ uint64, _ *ftrace.Ops, _ *ftrace.Regs) { calls++ })
		if err != nil {
			log.Fatal(err)
		}
		var ops []*ftrace.Ops
		for name, flags := range map[string]ftrace.OpsFlag{"plain": 0, "protected": ftrace.OpsRCU} {
			o, err := ft.NewOps(name, tracer, &ftrace.OpsOptions{Flags: flags})
			if err == nil {
				err = ft.SetFilter(o, "tracee_relevant", nil)
			}
			if err == nil {
				err = ft.Register(o)
			}
			if err != nil {
				log.Fatal(err)
			}
			if name == "plain" {
				ops = append(ops, o)
			}
		}
		if err := ft.Unregister(ops[0]); err != nil {
			log.Fatal(err)
		}

		watching := kernel.CPUs[0].PerCPU + uint64(kernel.Layout.PerCPU.ContextState)
		if err := kernel.Mem.Store32(watching, 0); err != nil {
			log.Fatal(err)
		}
		if _, err := kernel.CallName(context.Background(), 0, nil, "tracee_relevant"); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("fixed %v: the protected tracer ran %d times while RCU did not watch\n", fix, calls)
	}
	// Output:
	// fixed false: the protected tracer ran 1 times while RCU did not watch
	// fixed true: the protected tracer ran 0 times while RCU did not watch
}

// One ops has the direct calls of two functions, each its own.
func ExampleRegistry_UpdateDirectAdd() {
	image, err := kernelimage.Builtin(nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := kernel.Boot(image, interp.New, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer kernel.Close()
	ft, err := ftrace.New(kernel, &ftrace.Options{Direct: trampolines.DirectTagged})
	if err != nil {
		log.Fatal(err)
	}
	ops, err := ft.DirectOps()
	if err != nil {
		log.Fatal(err)
	}
	code := ft.Code().StubDirectTramp // any code that returns to the traced function
	var calls []ftrace.DirectCall
	for _, name := range []string{"gcd", "fib"} {
		fn, err := kernel.Func(name)
		if err != nil {
			log.Fatal(err)
		}
		calls = append(calls, ftrace.DirectCall{IP: fn, Addr: code})
	}
	if err := ft.UpdateDirectAdd(ops, calls); err != nil {
		log.Fatal(err)
	}
	for _, c := range calls {
		fmt.Println(kernel.Symbols.Format(ft.Direct(ft.Location(c.IP))))
	}
	fmt.Println(ft.UpdateDirectAdd(ops, calls[:1]))
	// Output:
	// ftrace_stub_direct_tramp+0x0/0x10
	// ftrace_stub_direct_tramp+0x0/0x10
	// add direct calls to direct_ops: gcd+0x4/0x30 has a direct call already: invalid argument
}

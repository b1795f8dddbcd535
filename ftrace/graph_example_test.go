package ftrace_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"callops/emu/interp"
	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
)

// A graph tracer written in Go sees each call and what it returns.
func ExampleRegistry_NewGoGraphOps() {
	image, err := kernelimage.Builtin(nil)
	if err != nil {
		log.Fatal(err)
	}
	k, err := kernel.Boot(image, interp.New, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	ft, err := ftrace.New(k, nil)
	if err != nil {
		log.Fatal(err)
	}
	line := func(depth int, ip uint64, format string, v uint64) {
		name, _, _ := k.Symbols.FormatName(ip)
		fmt.Printf("%s%s"+format+"\n", strings.Repeat("  ", depth), name, v)
	}
	graph, err := ft.NewGoGraphOps("print", ftrace.GraphTracer{
		Entry: func(_ *ftrace.GraphOps, e *ftrace.GraphEntry) bool {
			line(e.Depth, e.IP, "(%d)", e.Regs.Arg(0))
			return true
		},
		Return: func(_ *ftrace.GraphOps, e *ftrace.GraphReturn) { line(e.Depth, e.IP, " = %d", e.Value) },
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := ft.SetFilter(graph.Ops, "fib", nil); err != nil {
		log.Fatal(err)
	}
	if err := ft.RegisterGraph(graph); err != nil {
		log.Fatal(err)
	}
	if _, err := k.CallName(context.Background(), 0, nil, "fib", 2); err != nil {
		log.Fatal(err)
	}
	// Output:
	// fib(2)
	//   fib(1)
	//   fib = 1
	//   fib(0)
	//   fib = 0
	// fib = 1
}

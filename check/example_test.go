package check_test

import (
	"context"
	"fmt"

	"callops/check"
)

// A trampoline that loads the literal twice is wrong in one order out of many.
func ExampleCheck() {
	r, err := check.Check(context.Background(), "enable", "load-literal-twice", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range r.Violations {
		fmt.Printf("%s in %d steps: %s\n", v.Property, len(v.Steps), v.Detail)
		for _, s := range v.Steps {
			fmt.Println(s.Agent, s.Event)
		}
	}
	// Output:
	// func-has-its-ops in 7 steps: ftrace_ops_nop_func was called with ops A
	// patcher operation-begins
	// patcher store
	// patcher store-text
	// cpu0 call-begins
	// cpu0 execute
	// cpu0 execute
	// cpu0 execute
}

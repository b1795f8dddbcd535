package board

import (
	"slices"
	"strings"
)

// bootSteps are the functions whose callees are the steps of a boot (init/main.c).
var bootSteps = []string{"do_one_initcall", "kernel_init_freeable", "kernel_init", "rest_init", "start_kernel"}

// bootStep tells how far a boot has come, by the functions that a CPU is in, innermost first: the initcall, or the function that
// start_kernel or kernel_init has called.
func bootStep(where []string) string {
	names := make([]string, len(where))
	for i, w := range where {
		names[i], _, _ = strings.Cut(w, "+")
	}
	i := slices.IndexFunc(names, func(name string) bool { return slices.Contains(bootSteps, name) })
	switch {
	case i < 0 && slices.Contains(names, "kthread"):
		return "in a kernel thread"
	case i < 0:
		return "before start_kernel"
	case i == 0 || names[i-1] == "panic":
		return "in " + names[i]
	case names[i] == "do_one_initcall":
		return "in initcall " + names[i-1]
	}
	return "in " + names[i] + ", " + names[i-1]
}

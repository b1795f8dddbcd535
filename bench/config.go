package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage"
	"callops/machine"
	"callops/trampolines"
)

// The sample module's two functions, and its number of calls.
const (
	DefaultTracee     = "tracee_relevant"
	DefaultIrrelevant = "tracee_irrelevant"
	DefaultCalls      = 100000
)

// Tracers, which are the sample module's.
const (
	TracerNop   = "nop"   // ops_func_nop returns at once
	TracerCount = "count" // ops_func_count counts its calls in memory
	TracerGraph = "graph" // relevant ops are users of fgraph that want each return, and do nothing
)

// Engine is one to measure with.
type Engine struct {
	Name string
	New  emu.NewEngine
}

// Config describes what to measure; only Engines has to be set.
type Config struct {
	Image   *kernelimage.Image // nil: the built-in kernel, made anew for each mode
	Engines []Engine

	// Schemes are how calls find their ops, one after another. nil: Global, and where
	// the image has literals CallOps and Sets.
	Schemes []ftrace.Scheme

	// Modules are kernel modules to load, files, in this order.
	Modules []string

	// ImageTrampolines measures the image's own ftrace, not callops'.
	ImageTrampolines bool

	// Direct is the design of direct calls, which ftrace_caller is built for.
	Direct trampolines.Direct

	// ImageCore has the image's own core register ops, and not callops'.
	ImageCore bool

	// Tracee is the function called, "" for DefaultTracee where the image has
	// it, else the first function that does nothing, as that one. Irrelevant is the
	// one that irrelevant ops are on; "" for DefaultIrrelevant where the image
	// has it, else the first site that a call of the tracee does not reach.
	Tracee     string
	Irrelevant string

	// Relevant and IrrelevantCounts are combined, each with each; the row with
	// none of either always comes first. nil stands for 0 where the other is
	// given, and both nil for the rows that are published for Linux, and one
	// with 1000 irrelevant ops where that costs no more than none.
	Relevant         []int
	IrrelevantCounts []int

	// Calls is how many calls a row makes, 0 for DefaultCalls. per_call is
	// exact for any number; only ns_per_call gets steadier with more.
	Calls int

	// CPUs make the calls, all at the same time, as many each; 1 when 0. Counts
	// stay exact, but TracerCount's own counter is not atomic, as the sample's is not,
	// and loses some.
	CPUs int

	// Budget bounds each call, in instructions; 0 for emu.DefaultBudget.
	Budget uint64

	Tracer   string         // TracerNop when ""
	OpsFlags ftrace.OpsFlag // of every ops, see ParseOpsFlags
	Args     []uint64       // what each call passes; the rest of x0..x7 is not set

	// Registration adds what it costs to register one ops over many sites.
	Registration bool

	// Around changes the configuration of each machine that is measured, and returns what the measurement of its rows
	// is then run by, such as a debugger; nil: nothing is.
	Around func(*machine.Config) func(m *machine.Machine, measure func() error) error

	// Progress is called with the number of rows done, by one goroutine at a
	// time.
	Progress func(done, total int)
}

// scenario is one row to measure.
type scenario struct{ relevant, irrelevant int }

// published are the rows of the comparison published with CALL_OPS.
var published = []scenario{
	{0, 0}, {0, 1}, {0, 2}, {0, 10}, {0, 100},
	{1, 0}, {1, 1}, {1, 2}, {1, 10}, {1, 100},
	{2, 0}, {10, 0}, {100, 0},
}

// many shows that the overhead stays flat far beyond the published rows. Where each
// call walks the list it would take longer than all other rows together.
var many = scenario{1, 1000}

// scenarios returns the rows in order, each once, 0|0 first.
func (c *Config) scenarios(scheme ftrace.Scheme) ([]scenario, error) {
	if c.Relevant == nil && c.IrrelevantCounts == nil {
		rows := slices.Clone(published)
		if scheme == ftrace.CallOps || scheme == ftrace.Sets {
			rows = slices.Insert(rows, slices.Index(rows, scenario{2, 0}), many)
		}
		return rows, nil
	}
	rows := []scenario{{}}
	seen := map[scenario]bool{{}: true}
	for _, r := range orZero(c.Relevant) {
		for _, i := range orZero(c.IrrelevantCounts) {
			if r < 0 || i < 0 {
				return nil, fmt.Errorf("%d relevant and %d irrelevant ops: counts are not negative: %w", r, i, errno.EINVAL)
			}
			if s := (scenario{r, i}); !seen[s] {
				seen[s] = true
				rows = append(rows, s)
			}
		}
	}
	return rows, nil
}

func orZero(counts []int) []int {
	if counts == nil {
		return []int{0}
	}
	return counts
}

// withDefaults returns a copy in which nothing is left out but the image and
// the irrelevant function, or says what is wrong.
func (c *Config) withDefaults() (*Config, error) {
	if c == nil {
		c = &Config{}
	}
	d := *c
	if d.Tracee == "" {
		d.Tracee = defaultTracee(d.Image)
	}
	if d.CPUs == 0 {
		d.CPUs = 1
	}
	if d.Calls == 0 {
		d.Calls = DefaultCalls
	}
	if d.Budget == 0 {
		d.Budget = emu.DefaultBudget
	}
	if d.Tracer == "" {
		d.Tracer = TracerNop
	}
	if d.Tracer == TracerGraph && d.Relevant == nil {
		d.Relevant = graphUsers
	}
	if d.Schemes == nil {
		d.Schemes = []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets}
		switch {
		case d.Image == nil:
		case !hasCallOps(d.Image):
			d.Schemes = []ftrace.Scheme{ftrace.Global}
		case d.ImageTrampolines:
			d.Schemes = []ftrace.Scheme{ftrace.CallOps} // Linux has no sets, and its ftrace_caller needs literals
		}
	}
	return &d, d.check()
}

// defaultTracee is the sample's tracee, or what an image has in its place: a
// function of nothing but its call site and RET.
func defaultTracee(img *kernelimage.Image) string {
	if img == nil {
		return DefaultTracee
	}
	if len(img.SymbolTable().Called(DefaultTracee)) > 0 {
		return DefaultTracee
	}
	if empty := img.EmptyFuncs(1); len(empty) > 0 {
		return empty[0].Name
	}
	return ""
}

func (c *Config) check() error {
	switch {
	case c.Tracee == "":
		return fmt.Errorf("%s has neither %s nor another function that does nothing: name a tracee: %w", c.Image.Name(), DefaultTracee, errno.EINVAL)
	case len(c.Engines) == 0:
		return fmt.Errorf("no engine to measure with: %w", errno.EINVAL)
	case len(c.Schemes) == 0:
		return fmt.Errorf("no scheme to measure: %w", errno.EINVAL)
	case c.ImageCore && slices.ContainsFunc(c.Schemes, ownScheme):
		return fmt.Errorf("a kernel's own core knows neither sets nor lists: %w", errno.EINVAL)
	// The tracer counts in 32 bits.
	case c.Calls < 0 || c.Calls > math.MaxUint32:
		return fmt.Errorf("%d calls, from 1 to %d are made: %w", c.Calls, uint32(math.MaxUint32), errno.EINVAL)
	case c.Budget > math.MaxUint64/max(uint64(c.Calls), 1):
		return fmt.Errorf("a budget of %d instructions for each of %d calls: %w", c.Budget, c.Calls, errno.EINVAL)
	case c.Tracer != TracerNop && c.Tracer != TracerCount && c.Tracer != TracerGraph:
		return fmt.Errorf("tracer %q, there are %s, %s and %s: %w", c.Tracer, TracerNop, TracerCount, TracerGraph, errno.EINVAL)
	case len(c.Args) > emu.MaxArgs:
		return fmt.Errorf("%d arguments, at most %d are passed: %w", len(c.Args), emu.MaxArgs, errno.E2BIG)
	case c.Image != nil && !hasCallOps(c.Image) && slices.ContainsFunc(c.Schemes, hasLiterals):
		return fmt.Errorf("%s was built without room for literals in front of its functions: %w", c.Image.Name(), errno.EINVAL)
	}
	return c.checkGraph()
}

// hasLiterals reports whether a scheme's call sites have literals.
func hasLiterals(s ftrace.Scheme) bool { return s != ftrace.Global }

// ownScheme reports whether callops' core knows a scheme that Linux does not have.
func ownScheme(s ftrace.Scheme) bool { return s == ftrace.Sets || s == ftrace.List }

// hasCallOps reports whether ftrace can run with CALL_OPS on the image.
func hasCallOps(img *kernelimage.Image) bool {
	return img.CallOps() && img.Profile() != kernelimage.Profile61
}

// opsFlagNames are the sample module's assist_recursion, assist_rcu and
// save_regs.
var opsFlagNames = []struct {
	name string
	flag ftrace.OpsFlag
}{
	{"recursion", ftrace.OpsRecursion},
	{"rcu", ftrace.OpsRCU},
	{"regs", ftrace.OpsSaveRegsIfSupported},
}

// OpsFlagNames returns the names that ParseOpsFlags knows.
func OpsFlagNames() []string {
	var names []string
	for _, f := range opsFlagNames {
		names = append(names, f.name)
	}
	return names
}

// ParseOpsFlags reads a list of flags, separated by commas: recursion and rcu
// ask for that protection around the tracer; regs asks for all registers where
// the architecture can save them. arm64 can't: Linux refuses SAVE_REGS there,
// and the sample drops its save_regs. SAVE_REGS_IF_SUPPORTED, which regs
// stands for, is accepted and changes nothing.
func ParseOpsFlags(list string) (ftrace.OpsFlag, error) {
	var flags ftrace.OpsFlag
	if list == "" {
		return 0, nil
	}
next:
	for _, name := range strings.Split(list, ",") {
		for _, f := range opsFlagNames {
			if strings.TrimSpace(name) == f.name {
				flags |= f.flag
				continue next
			}
		}
		return 0, fmt.Errorf("ops flag %q, there are recursion, rcu and regs: %w", name, errno.EINVAL)
	}
	return flags, nil
}

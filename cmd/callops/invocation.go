package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"callops/emu"
	"callops/kernel"
	"callops/kernelimage/ctype"
	"callops/machine"
)

// invocation is FUNC [ARG]...
type invocation struct {
	name   string
	args   []argument
	proto  *ctype.Prototype // nil if unknown
	result uint64           // once it has returned
}

// invocations are the calls of a command line, in their order.
type invocations []*invocation

// parseInvocations reads FUNC [ARG]... [-- FUNC [ARG]...]..., and the files that
// they name.
func parseInvocations(words []string, in io.Reader) (invocations, error) {
	var all invocations
	left := maxData
	for len(words) > 0 {
		n := slices.Index(words, "--")
		if n < 0 {
			n = len(words)
		}
		if n == 0 || n == len(words)-1 {
			return nil, usagef("FUNC is missing next to --")
		}
		inv, err := parseInvocation(words[:n], in, &left)
		if err != nil {
			return nil, err
		}
		for _, a := range inv.args {
			if err := all.refers(a); err != nil {
				return nil, err
			}
		}
		all = append(all, inv)
		words = words[min(n+1, len(words)):]
	}
	return all, nil
}

// refers checks that the results and arguments that later calls refer to exist.
func (all invocations) refers(a argument) error {
	switch r := a.from; {
	case r == nil:
	case r.call < 1 || r.call > len(all):
		return usagef("%s: there is no call %d before this one", a.text, r.call)
	case r.arg > len(all[r.call-1].args):
		return usagef("%s: call %d has %s", a.text, r.call, plural(len(all[r.call-1].args), "argument"))
	}
	return nil
}

// parseInvocation reads one call; left is the number of bytes left for data.
func parseInvocation(words []string, in io.Reader, left *int) (*invocation, error) {
	inv := &invocation{name: words[0]}
	for _, word := range words[1:] {
		if len(inv.args) == emu.MaxArgs {
			return nil, usagef("too many arguments: %q is number %d, and at most %d are passed in registers", word, emu.MaxArgs+1, emu.MaxArgs)
		}
		a, err := parseArg(word, in, *left)
		if err != nil {
			return nil, err
		}
		*left -= len(a.data)
		inv.args = append(inv.args, a)
	}
	return inv, nil
}

// size is the heap space that the arguments need, in bytes.
func (all invocations) size() uint64 {
	var n uint64
	for _, inv := range all {
		for _, a := range inv.args {
			n += uint64(len(a.data)) + emu.PageSize
		}
	}
	return n
}

// check resolves the names in all calls, and checks them against their prototypes,
// before the first call.
func (all invocations) check(k *kernel.Kernel) error {
	for _, inv := range all {
		if _, err := k.Func(inv.name); err != nil {
			return err
		}
		for _, a := range inv.args {
			if a.symbol == "" {
				continue
			}
			if _, err := k.Symbol(a.symbol); err != nil {
				return err
			}
		}
		if err := inv.check(k); err != nil {
			return err
		}
	}
	return nil
}

// callResult is the outcome of a call. Addresses and registers are hexadecimal strings in
// JSON, where numbers of 64 bits are not safe.
type callResult struct {
	Task         int            `json:"task"`
	Call         string         `json:"call"`
	X0           string         `json:"x0"`
	Value        string         `json:"value"` // by its type, where that is known; "" of void
	Instructions uint64         `json:"instructions"`
	Buffers      []bufferResult `json:"buffers,omitempty"`
}

type bufferResult struct {
	Argument int    `json:"argument"`
	Text     string `json:"text"`
	Addr     string `json:"address"`
	Size     int    `json:"size"`
	Bytes    []byte `json:"bytes"` // the first ones; base64 in JSON
}

// run makes the calls in one task per CPU, and returns their outcomes, in the order
// of tasks; after an error, those of the calls before it.
func (all invocations) run(ctx context.Context, m *machine.Machine, dumps dumps, opts *emu.CallOptions) ([]callResult, error) {
	results := make([][]callResult, m.Callers())
	var placing sync.Mutex // the heap, and files that are dumped to
	err := m.Each(ctx, func(c *machine.Caller) error {
		own := all.clone()
		for i, inv := range own {
			placing.Lock()
			fn, values, err := own.place(inv, m.Kernel)
			placing.Unlock()
			if err != nil {
				return err
			}
			res, err := c.Call(opts, fn, values...)
			if err != nil {
				return err
			}
			inv.result = res.X0
			placing.Lock()
			r, err := inv.left(m.Kernel, c.ID, res)
			if err == nil {
				results[c.ID] = append(results[c.ID], r)
				err = dumps.save(ctx, m.Kernel, inv, i+1)
			}
			placing.Unlock()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return slices.Concat(results...), err
}

// clone copies the calls for another task, which places its own data.
func (all invocations) clone() invocations {
	var own invocations
	for _, inv := range all {
		c := *inv
		c.args = slices.Clone(inv.args)
		own = append(own, &c)
	}
	return own
}

// place puts a call's data into guest memory, and returns the function's address
// and what to pass.
func (all invocations) place(inv *invocation, k *kernel.Kernel) (fn uint64, values []uint64, err error) {
	if fn, err = k.Func(inv.name); err != nil {
		return 0, nil, err
	}
	for i := range inv.args {
		a := &inv.args[i]
		switch {
		case a.symbol != "":
			sym, err := k.Symbol(a.symbol)
			if err != nil {
				return 0, nil, err
			}
			a.value = sym.Addr
		case a.from != nil && a.from.arg == 0:
			a.value = all[a.from.call-1].result
		case a.from != nil:
			a.value = all[a.from.call-1].args[a.from.arg-1].value
		case a.data != nil:
			if a.value, err = k.Heap.Alloc(a.text, uint64(len(a.data))); err != nil {
				return 0, nil, err
			}
			if err := k.Mem.Write(a.value, a.data); err != nil {
				return 0, nil, err
			}
		}
		values = append(values, a.value)
	}
	return fn, values, nil
}

// String is the call as C would write it.
func (inv *invocation) String() string {
	texts := make([]string, len(inv.args))
	for i, a := range inv.args {
		texts[i] = a.text
	}
	return inv.name + "(" + strings.Join(texts, ", ") + ")"
}

// mostDumped bounds the bytes of a buffer that are printed.
const mostDumped = 1 << 10

// left returns the call's result and the contents of its buffers.
func (inv *invocation) left(k *kernel.Kernel, task int, res emu.Result) (callResult, error) {
	r := callResult{
		Task: task, Call: inv.String(), X0: fmt.Sprintf("%#x", res.X0), Value: inv.returned(k, res.X0), Instructions: res.Count,
	}
	for i, a := range inv.args {
		if !a.show {
			continue
		}
		b := make([]byte, min(len(a.data), mostDumped))
		if err := k.Mem.Read(a.value, b); err != nil {
			return r, err
		}
		r.Buffers = append(r.Buffers, bufferResult{i + 1, a.text, fmt.Sprintf("%#x", a.value), len(a.data), b})
	}
	return r, nil
}

// printResults prints the results of calls, each with its buffers. With several
// tasks, each result names its task.
func printResults(w io.Writer, results []callResult, tasks int) {
	for i, r := range results {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if tasks > 1 {
			fmt.Fprintf(w, "task %d: ", r.Task)
		}
		fmt.Fprint(w, r.Call)
		if r.Value != "" {
			fmt.Fprint(w, " = ", r.Value)
		}
		fmt.Fprintf(w, "\n%d instructions\n", r.Instructions)
		for _, b := range r.Buffers {
			fmt.Fprintf(w, "%s at %s:\n", b.Text, b.Addr)
			hexDump(w, b.Bytes)
			if more := b.Size - len(b.Bytes); more > 0 {
				fmt.Fprintf(w, "%d bytes more: --dump %d=FILE saves all\n", more, b.Argument)
			}
		}
	}
}

// dumps is the flag --dump: the files to which arguments' contents are saved.
type dumps struct {
	list  []string
	files map[ref]string
}

func (d *dumps) String() string { return strings.Join(d.list, ",") }
func (d *dumps) Type() string   { return "[CALL.]N=FILE" }

func (d *dumps) Set(s string) error {
	which, file, ok := strings.Cut(s, "=")
	if !strings.Contains(which, ".") {
		which = "1." + which
	}
	r, err := parseRef(which)
	if !ok || file == "" || err != nil {
		return fmt.Errorf("%q is not [CALL.]N=FILE, for example 2=out", s)
	}
	if d.files == nil {
		d.files = make(map[ref]string)
	}
	d.list, d.files[*r] = append(d.list, s), file
	return nil
}

// check refuses a dump of an argument that has no memory, or that several tasks
// would write.
func (d *dumps) check(all invocations, cpus uint64) error {
	if len(d.files) > 0 && cpus > 1 {
		return usagef("--dump goes with one CPU")
	}
	for r := range d.files {
		if r.call > len(all) || r.arg > len(all[r.call-1].args) || all[r.call-1].args[r.arg-1].data == nil {
			return usagef("--dump: argument %d of call %d is not a buffer, file or string", r.arg, r.call)
		}
	}
	return nil
}

// save writes what call number n left in its arguments. A FIFO without a reader
// holds it up until ctx ends.
func (d *dumps) save(ctx context.Context, k *kernel.Kernel, inv *invocation, n int) error {
	for i, a := range inv.args {
		file, ok := d.files[ref{n, i + 1}]
		if !ok {
			continue
		}
		b := make([]byte, len(a.data))
		if err := k.Mem.Read(a.value, b); err != nil {
			return err
		}
		_, err := await(ctx, func() (struct{}, error) { return struct{}{}, os.WriteFile(file, b, 0o666) })
		if err != nil {
			return fmt.Errorf("--dump %s: %w", file, err)
		}
	}
	return nil
}

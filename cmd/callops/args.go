package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// argsHelp is for the help of commands that take FUNC [ARG]...
const argsHelp = `FUNC is called with up to 8 arguments. ARG is
  123, -1, 0x7b, 0173  a number
  hello                a string, passed by address and NUL-terminated; in quotes
                       of its own ('"123"') where it could be something else
  @FILE, @-            the bytes of a file or of standard input, by address
  buf:N                N zero bytes, by address; shown after the call
  &NAME                the address of a function or object
Flags come before FUNC.`

// maxData bounds what arguments may take up in guest memory.
const maxData = 256 << 20

// argument is one ARG.
type argument struct {
	text   string // as it is shown
	value  uint64 // what is passed; of data, once it was placed
	symbol string // its address is passed
	data   []byte // its address is passed, unless it is nil
	dump   bool   // show data after the call
}

// invocation is FUNC [ARG]...
type invocation struct {
	name  string
	args  []argument
	proto *kernelimage.Prototype // nil where the image does not tell
}

// parseInvocation reads the command line, and the files it names.
func parseInvocation(words []string, in io.Reader) (*invocation, error) {
	inv := &invocation{name: words[0]}
	left := maxData
	for _, word := range words[1:] {
		if len(inv.args) == emu.MaxArgs {
			return nil, usagef("too many arguments: %q is the %dth, and %d are passed in registers", word, emu.MaxArgs+1, emu.MaxArgs)
		}
		a, err := parseArg(word, in, left)
		if err != nil {
			return nil, err
		}
		left -= len(a.data)
		inv.args = append(inv.args, a)
	}
	return inv, nil
}

// parseArg reads one ARG whose data may be max bytes long.
func parseArg(word string, in io.Reader, max int) (argument, error) {
	if v, ok, err := parseNumber(word); ok || err != nil {
		return argument{text: word, value: v}, err
	}
	kind, rest := "", ""
	if word != "" {
		kind, rest = word[:1], word[1:]
	}
	switch {
	case rest == "" && (kind == "@" || kind == "&"):
		return argument{}, usagef("%s: a name must follow; for a string write '%q'", word, word)
	case kind == "@":
		data, err := readData(rest, in, max)
		return argument{text: word, data: data}, err
	case kind == "&":
		return argument{text: word, symbol: rest}, nil
	case strings.HasPrefix(word, "buf:"):
		n, err := strconv.ParseUint(word[4:], 0, 64)
		if err != nil {
			return argument{}, usagef("%s: the number of bytes must follow buf:", word)
		}
		if n > uint64(max) {
			return argument{}, usagef("%s: arguments may take up %d bytes together", word, maxData)
		}
		return argument{text: word, data: make([]byte, n), dump: true}, nil
	case kind == "-":
		return argument{}, usagef("%s: flags come before FUNC; for a string write '%q'", word, word)
	case len(word) >= 2 && kind == `"` && strings.HasSuffix(word, `"`):
		word = word[1 : len(word)-1]
	}
	if len(word) >= max {
		return argument{}, usagef("arguments may take up %d bytes together", maxData)
	}
	return argument{text: strconv.Quote(word), data: append([]byte(word), 0)}, nil
}

// parseNumber reads a number with C's prefixes; not ok means that it is none.
func parseNumber(s string) (v uint64, ok bool, err error) {
	digits, negative := strings.CutPrefix(s, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || strings.ContainsAny(digits, "_oO") {
		return 0, false, nil
	}
	v, err = strconv.ParseUint(digits, 0, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && negative && v > 1<<63:
		return 0, false, usagef("%s does not fit into 64 bits", s)
	case err != nil:
		return 0, false, nil
	case negative:
		v = -v
	}
	return v, true, nil
}

// readData reads a file of at most max bytes.
func readData(name string, in io.Reader, max int) ([]byte, error) {
	tooLarge := fmt.Errorf("%s: arguments may take up %d bytes together: %w", name, maxData, errno.E2BIG)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Size() > int64(max) {
			return nil, tooLarge
		}
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(max)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > max {
		return nil, tooLarge
	}
	return data, nil
}

// size is how much room the arguments need on the heap.
func (inv *invocation) size() uint64 {
	var n uint64
	for _, a := range inv.args {
		n += uint64(len(a.data)) + emu.PageSize
	}
	return n
}

// place puts the arguments' data into guest memory, and returns the function's
// address and what to pass.
func (inv *invocation) place(k *kernel.Kernel) (fn uint64, values []uint64, err error) {
	if fn, err = k.Func(inv.name); err != nil {
		return 0, nil, err
	}
	for i := range inv.args {
		a := &inv.args[i]
		switch {
		case a.symbol != "":
			sym, err := k.Symbols.Lookup(a.symbol)
			if err != nil {
				return 0, nil, err
			}
			a.value = sym.Addr
		case a.data != nil:
			if a.value, err = k.Heap.Alloc(a.text, uint64(len(a.data))); err != nil {
				return 0, nil, err
			}
			if a.dump {
				break // zeros, as the heap has them
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

// printResult prints what the call returned, and then the buffers.
func (inv *invocation) printResult(w io.Writer, k *kernel.Kernel, res emu.Result) error {
	fmt.Fprintf(w, "%s%s\n%d instructions\n", inv, inv.result(k, res.X0), res.Count)
	for _, a := range inv.args {
		if !a.dump {
			continue
		}
		b := make([]byte, len(a.data))
		if err := k.Mem.Read(a.value, b); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s at %#x:\n", a.text, a.value)
		hexDump(w, b)
	}
	return nil
}

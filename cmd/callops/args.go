package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"callops/internal/errno"
	"callops/internal/text"
)

// argsHelp is for the help of commands that take FUNC [ARG]...
const argsHelp = `FUNC is a name, module:name, an address, or name@0xaddress for an ambiguous name.
It is called with up to 8 arguments. ARG is
  123, -1, 0x7b, 0173  a number
  hello                a string, passed by address and NUL-terminated; with
                       quotes inside ('"123"') if it would be read otherwise
  @FILE, @-            the bytes of a file or of standard input, by address
  inout:@FILE          the same; printed after the call
  buf:N                N zero bytes, by address; printed after the call
  &NAME                the address of a function or object
  result:C             the result of call C
  arg:C.N              argument N of call C
Flags come before FUNC. Floating-point arguments are not supported: v0 to v7 are
not set.`

// maxData bounds the guest memory that arguments take, in bytes.
const maxData = 256 << 20

// argument is one ARG.
type argument struct {
	text   string // as it is printed
	value  uint64 // what is passed; for data, set once it is placed
	symbol string // its address is passed
	data   []byte // its address is passed, unless it is nil
	show   bool   // show the data after the call
	from   *ref   // a value from an earlier call
}

// ref names the result or an argument of an earlier call. Both count from 1.
type ref struct {
	call, arg int // arg 0: the result
}

// parseArg reads one ARG whose data may be max bytes long.
func parseArg(word string, in io.Reader, max int) (argument, error) {
	if v, ok, err := parseNumber(word); ok || err != nil {
		return argument{text: word, value: v}, err
	}
	if numberLike.MatchString(word) {
		return argument{}, usagef(`%s is no number (0x is hexadecimal, a leading 0 octal; there are no fractions); for a string write '"%s"'`, word, word)
	}
	for _, form := range argForms {
		if rest, ok := strings.CutPrefix(word, form.prefix); ok {
			a, err := form.parse(word, rest, in, max)
			a.text = text.Printable(a.text)
			return a, err
		}
	}
	if len(word) >= 2 && word[0] == '"' && strings.HasSuffix(word, `"`) {
		word = word[1 : len(word)-1]
	}
	if len(word) >= max {
		return argument{}, tooMuch("a string")
	}
	return argument{text: strconv.Quote(word), data: append([]byte(word), 0)}, nil
}

// argForms are the forms of ARG that begin with a mark.
var argForms = []struct {
	prefix string
	parse  func(word, rest string, in io.Reader, max int) (argument, error)
}{
	{"@", parseFile},
	{"inout:@", func(word, rest string, in io.Reader, max int) (argument, error) {
		a, err := parseFile(word, rest, in, max)
		a.show = true
		return a, err
	}},
	{"buf:", func(word, rest string, _ io.Reader, max int) (argument, error) {
		n, err := strconv.ParseUint(rest, 0, 64)
		if err != nil {
			return argument{}, usagef("%s: the number of bytes must follow buf:", word)
		}
		if n > uint64(max) {
			return argument{}, tooMuch(word)
		}
		return argument{text: word, data: make([]byte, n), show: true}, nil
	}},
	{"&", func(word, rest string, _ io.Reader, _ int) (argument, error) {
		if rest == "" {
			return argument{}, needsName(word)
		}
		return argument{text: word, symbol: rest}, nil
	}},
	{"result:", func(word, rest string, _ io.Reader, _ int) (argument, error) {
		call, err := strconv.ParseUint(rest, 10, 16)
		if err != nil {
			return argument{}, usagef("%s: the number of a call must follow result:", word)
		}
		return argument{text: word, from: &ref{call: int(call)}}, nil
	}},
	{"arg:", func(word, rest string, _ io.Reader, _ int) (argument, error) {
		r, err := parseRef(rest)
		if err != nil {
			return argument{}, usagef("%s: the numbers of a call and its argument must follow arg:, as in arg:1.2", word)
		}
		return argument{text: word, from: r}, nil
	}},
	{"-", func(word, _ string, _ io.Reader, _ int) (argument, error) {
		return argument{}, usagef("%s: flags come before FUNC; for a string write '%q'", word, word)
	}},
}

func parseFile(word, name string, in io.Reader, max int) (argument, error) {
	if name == "" {
		return argument{}, needsName(word)
	}
	data, err := readData(name, in, max)
	return argument{text: word, data: data}, err
}

// parseRef reads "call.arg".
func parseRef(s string) (*ref, error) {
	call, arg, ok := strings.Cut(s, ".")
	c, err := strconv.ParseUint(call, 10, 16)
	a, err2 := strconv.ParseUint(arg, 10, 16)
	if !ok || err != nil || err2 != nil || c == 0 || a == 0 {
		return nil, strconv.ErrSyntax
	}
	return &ref{int(c), int(a)}, nil
}

func needsName(word string) error {
	return usagef("%s: a name must follow; for a string write '%q'", word, word)
}

func tooMuch(what string) error {
	return usagef("%s: arguments may take up %d bytes together", what, maxData)
}

// numberLike matches what looks like a number, whether it is a valid one or not.
var numberLike = regexp.MustCompile(`^[+-]?([0-9][0-9._,]*([eE][+-]?[0-9]+)?|0[xXoObB].*)$`)

// parseNumber reads a number with C's prefixes; ok is false if it is not one.
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
		heed, ok := in.(*interruptible)
		if !ok {
			heed = &interruptible{ctx: context.Background()}
		}
		f, err := heed.open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Size() > int64(max) {
			return nil, tooLarge
		}
		in = &interruptible{heed.ctx, f}
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

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"callops/board"
	"callops/emu"
)

// loads is the flag --load: what a booted kernel's threads call.
type loads []board.GuestCall

func (l *loads) String() string {
	var list []string
	for _, c := range *l {
		list = append(list, strings.TrimSpace(c.Func+" "+strings.Trim(fmt.Sprint(c.Args), "[]")))
	}
	return strings.Join(list, ", ")
}

func (l *loads) Type() string { return "'FUNC [NUMBER]...'" }

func (l *loads) Set(s string) error {
	words := strings.Fields(s)
	if len(words) == 0 {
		return fmt.Errorf("a function's name is missing")
	}
	if len(words)-1 > emu.MaxArgs {
		return fmt.Errorf("%d arguments, and at most %d are passed in registers", len(words)-1, emu.MaxArgs)
	}
	call := board.GuestCall{Func: words[0]}
	for _, w := range words[1:] {
		n, err := strconv.ParseUint(w, 0, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", w)
		}
		call.Args = append(call.Args, n)
	}
	*l = append(*l, call)
	return nil
}

// start starts a thread for each, on the CPUs in turn.
func (l loads) start(ctx context.Context, m *board.Machine, cpus int) error {
	for i, call := range l {
		if _, err := m.Thread(ctx, fmt.Sprintf("load/%d", i), &board.ThreadOptions{CPU: i % cpus}, call); err != nil {
			return err
		}
	}
	return nil
}

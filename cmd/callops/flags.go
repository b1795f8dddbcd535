package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

// newChoice returns a flag with the first of the words as its default.
func newChoice(allowed ...string) choice { return choice{allowed[0], allowed} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("must be %s", oneOf(c.allowed))
	}
	c.value = s
	return nil
}

// onOff is a flag that is on, off, or left to the image.
type onOff struct{ choice }

const (
	on  = "on"
	off = "off"
)

func newOnOff() onOff { return onOff{choice{"", []string{on, off}}} }

// oneOf lists alternatives: "a", "a or b", "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// flagsFirst makes a command take what follows its first argument as arguments,
// so that -5 can be one.
func flagsFirst(cmd *cobra.Command) { cmd.Flags().SetInterspersed(false) }

// numbers is a flag that takes a list of numbers.
type numbers struct {
	max    uint64 // what each may be
	list   string
	values []uint64
}

func (n *numbers) String() string { return n.list }
func (n *numbers) Type() string   { return "N,.." }

func (n *numbers) Set(s string) error {
	n.list, n.values = s, nil
	for word := range strings.SplitSeq(s, ",") {
		v, ok, err := parseNumber(word)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%q is no number", word)
		}
		if v > n.max {
			return fmt.Errorf("%s is not from 0 to %d", word, n.max)
		}
		n.values = append(n.values, v)
	}
	return nil
}

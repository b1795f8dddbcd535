package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// choice is a flag that takes one of several words.
type choice struct {
	value   string
	allowed []string
	given   bool // on the command line
}

// newChoice returns a flag with the first of the words as its default.
func newChoice(allowed ...string) choice { return choice{value: allowed[0], allowed: allowed} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("must be %s", oneOf(c.allowed))
	}
	c.value, c.given = s, true
	return nil
}

// Output formats that several commands have.
const (
	formatText  = "text"
	formatTable = "table" // another word for it
	formatJSON  = "json"
)

// outputFormat is the flag --format: text, JSON, and what else a command has.
type outputFormat struct{ choice }

func newFormat(more ...string) outputFormat {
	return outputFormat{newChoice(append([]string{formatText, formatJSON}, more...)...)}
}

func (f *outputFormat) Set(s string) error {
	if s == formatTable {
		s = formatText
	}
	return f.choice.Set(s)
}

// oneOf lists alternatives: "a", "a or b", "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// flagsFirst makes everything after a command's first argument an argument, so
// that -5 can be one.
func flagsFirst(cmd *cobra.Command) { cmd.Flags().SetInterspersed(false) }

// number is a flag that takes a number, with C's prefixes.
type number struct{ value, min, max uint64 }

func (n *number) String() string { return strconv.FormatUint(n.value, 10) }
func (n *number) Type() string   { return "N" }

func (n *number) Set(s string) error {
	if strings.HasPrefix(s, "-") { // would wrap around
		return fmt.Errorf("%q is not a number from %d to %d", s, n.min, n.max)
	}
	v, err := parseBetween(s, n.min, n.max)
	if err == nil {
		n.value = v
	}
	return err
}

// size is a flag that takes a number of bytes, with an optional suffix K, M or G.
type size struct{ bytes uint64 }

const sizeUnits = "KMG"

func (s *size) Type() string { return "SIZE" }

func (s *size) String() string {
	n, unit := s.bytes, ""
	for i := 0; i < len(sizeUnits) && n != 0 && n%1024 == 0; i++ {
		n, unit = n/1024, sizeUnits[i:i+1]
	}
	return strconv.FormatUint(n, 10) + unit
}

func (s *size) Set(text string) error {
	digits, shift := text, 0
	if n := len(text) - 1; n >= 0 {
		if i := strings.IndexByte(sizeUnits, text[n]); i >= 0 {
			digits, shift = text[:n], 10*(i+1)
		}
	}
	v, ok, err := parseNumber(digits)
	if err != nil || !ok || v == 0 || v > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size such as 500M or 4G", text)
	}
	s.bytes = v << shift
	return nil
}

// fileName is a flag that takes a file's name. An empty name is an error: usually
// a shell variable is not set.
type fileName string

func (f *fileName) String() string { return string(*f) }
func (f *fileName) Type() string   { return "FILE" }

func (f *fileName) Set(s string) error {
	if s == "" {
		return errors.New("the name is empty")
	}
	*f = fileName(s)
	return nil
}

// parseBetween reads a number from min to max.
func parseBetween(s string, min, max uint64) (uint64, error) {
	v, ok, err := parseNumber(s)
	if err == nil && (!ok || v < min || v > max) {
		err = fmt.Errorf("%q is not a number from %d to %d", s, min, max)
	}
	return v, err
}

// numbers is a flag that takes a list of numbers.
type numbers struct {
	max    uint64 // of each
	list   string
	values []uint64
}

func (n *numbers) String() string { return n.list }
func (n *numbers) Type() string   { return "N,.." }

func (n *numbers) Set(s string) error {
	n.list, n.values = s, nil
	for word := range strings.SplitSeq(s, ",") {
		v, err := parseBetween(word, 0, n.max)
		if err != nil {
			return err
		}
		n.values = append(n.values, v)
	}
	return nil
}

// Package text escapes what came from files and guests for use in messages.
package text

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable escapes what a name may do to a terminal or a line.
func Printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// maxListed bounds lists in messages.
const maxListed = 16

// SomeOf lists names, not all where there are many.
func SomeOf(names []string) string {
	if len(names) <= maxListed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
}

// minFamily is how many names a pattern stands for at least.
const minFamily = 4

// Families lists names, of which those that begin alike, up to a hyphen, are one pattern: "set-*". The
// pattern matches none of the others.
func Families(names, others []string) string {
	family := func(name string) string {
		first, _, _ := strings.Cut(name, "-")
		return first + "-"
	}
	var list []string
	for _, name := range names {
		f := family(name)
		alike := func(other string) bool { return strings.HasPrefix(other, f) }
		count := 0
		for _, other := range names {
			if alike(other) {
				count++
			}
		}
		if count >= minFamily && alike(name) && !slices.ContainsFunc(others, alike) {
			name = f + "*"
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

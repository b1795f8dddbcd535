package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// words is a flag that takes a list of words, separated by commas.
type words struct {
	allowed []string
	chosen  []string // each once; nil where the flag is not given
}

func (w *words) String() string { return strings.Join(w.chosen, ",") }
func (w *words) Type() string   { return "LIST" }

func (w *words) Set(list string) error {
	var chosen []string
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		if !slices.Contains(w.allowed, word) {
			return fmt.Errorf("%q is not %s", word, oneOf(w.allowed))
		}
		if !slices.Contains(chosen, word) {
			chosen = append(chosen, word)
		}
	}
	w.chosen = chosen
	return nil
}

// usage is a flag's description with the words that it takes.
func (w *words) usage(what string) string {
	return what + ": a list of " + strings.Join(w.allowed, ", ")
}

// complete offers what may follow in the list.
func (w *words) complete(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	before := word[:strings.LastIndexByte(word, ',')+1]
	given := strings.Split(before, ",")
	var offered []string
	for _, a := range w.allowed {
		if !slices.Contains(given, a) {
			offered = append(offered, before+a)
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"callops/kernelimage"
)

// complete is the function that cobra calls to complete a word.
type complete = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// mostCompleted bounds the number of words offered: a kernel has 42,069 functions.
const mostCompleted = 500

// functions offers the image's functions; with sites, only those that can be traced.
func (m *machineFlags) functions(sites bool) complete {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		img, err := m.open(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		defer func() { _ = m.close(nil) }() // it was only read
		var words []string
		add := func(s kernelimage.Symbol) {
			if s.Func && strings.HasPrefix(s.Name, word) {
				words = append(words, s.Name)
			}
		}
		for _, s := range img.Symbols() {
			if _, ok := img.Site(s.Addr); ok || !sites {
				add(s)
			}
		}
		slices.Sort(words)
		words = slices.Compact(words)
		return words[:min(len(words), mostCompleted)], cobra.ShellCompDirectiveNoFileComp
	}
}

// firstWord offers completions for FUNC alone: arguments may be anything.
func firstWord(offer complete) complete {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && args[len(args)-1] != "--" {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return offer(cmd, args, word)
	}
}

// completeChoices offers the words of each flag that takes one of several, or a list of them.
func completeChoices(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if list, ok := f.Value.(interface {
			complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)
		}); ok {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, list.complete)
			return
		}
		words := strings.Split(f.Value.Type(), "|")
		if len(words) < 2 {
			return
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return words, cobra.ShellCompDirectiveNoFileComp
		}) // it fails for a flag that has completions already
	})
	for _, sub := range cmd.Commands() {
		completeChoices(sub)
	}
}

// unquoteUsages removes the quotes around a flag's placeholder, which help needs and
// the shell would show.
func unquoteUsages(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) })
	for _, sub := range cmd.Commands() {
		unquoteUsages(sub)
	}
}

package main

import "callops/ftrace"

// schemesHelp explains the schemes.
const schemesHelp = `The schemes are ways for a traced call to find the ops of its site:
  callops  a literal before each function names its one ops, or, with several,
           ftrace_list_ops, which walks all (Linux with CALL_OPS)
  sets     with several it names a set of exactly these, which no Linux has
  list     it always names ftrace_list_ops
  global   no literals: one function for the calls of all sites (Linux without
           CALL_OPS)`

// schemeFlag is a flag that takes a scheme.
type schemeFlag struct {
	choice
}

func newSchemeFlag() schemeFlag { return schemeFlag{choice{allowed: ftrace.SchemeNames()}} }

// scheme is the one that was given, or the zero value.
func (f *schemeFlag) scheme() ftrace.Scheme {
	s, _ := ftrace.ParseScheme(f.value) // Set took the name
	return s
}

// schemesFlag is a flag that takes a list of schemes.
type schemesFlag struct {
	words
	value []ftrace.Scheme // nil: not given
}

func newSchemesFlag() schemesFlag { return schemesFlag{words: words{allowed: ftrace.SchemeNames()}} }

func (f *schemesFlag) Set(list string) error {
	if err := f.words.Set(list); err != nil {
		return err
	}
	f.value = nil
	for _, name := range f.chosen {
		s, err := ftrace.ParseScheme(name)
		if err != nil {
			return err
		}
		f.value = append(f.value, s)
	}
	return nil
}

// schemesGoWith refuses schemes that a core has not: no Linux has sets or list.
func schemesGoWith(core string, schemes ...ftrace.Scheme) error {
	for _, s := range schemes {
		if core != coreOurs && (s == ftrace.Sets || s == ftrace.List) {
			return usagef("--scheme %s is one of callops' own core, and does not go with --core %s", s, core)
		}
	}
	return nil
}

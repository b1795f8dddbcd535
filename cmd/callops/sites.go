package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"callops/ftrace"
	"callops/kernel"
	"callops/machine"
)

// newSites builds `callops sites`.
func newSites() *cobra.Command {
	m := newMachine()
	var filter []string
	var enabled bool
	cmd := &cobra.Command{
		Use:   "sites [flags] [GLOB]",
		Short: "Print the call sites of an image, as ftrace has patched them",
		Long: `sites starts ftrace on an image and prints its call sites, all or those of
functions that match GLOB: address, function, instructions from the function's
entry on, how many ops are counted and the record's flags, and what the literal
names.

Each --filter registers an ops of its own first (with trace, all are of one), so
that enabled sites, and those that two ops share, can be seen. Its name is what
the filter says.`,
		Example: `  callops sites
  callops sites --filter 'crc32*' --filter crc32_byte 'crc32*'
  callops sites --filter 'crc32*' --enabled`,
		Args: argCount(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if enabled && len(args) > 0 {
				return usagef("--enabled prints all enabled sites, and takes no GLOB")
			}
			var mc *machine.Machine
			defer func() { err = errors.Join(err, m.close(mc)) }()
			cfg, err := m.config(cmd.Context(), newIdle, 0)
			if err != nil {
				return err
			}
			cfg.Ftrace = func(*kernel.Kernel) (*ftrace.Options, error) { return m.ftrace(nil, cmd.ErrOrStderr()), nil }
			if mc, err = machine.New(cmd.Context(), cfg); err != nil {
				return err
			}
			k, r := mc.Kernel, mc.Ftrace
			if err := registerEach(cmd, r, filter); err != nil {
				return err
			}
			if enabled {
				return r.WriteEnabled(cmd.OutOrStdout())
			}
			return printSites(cmd.OutOrStdout(), k, r, args)
		},
	}
	m.addImage(cmd)
	m.addModules(cmd)
	m.addCallOps(cmd)
	m.addTrampoline(cmd)
	cmd.Flags().StringArrayVar(&filter, "filter", nil, "register an ops for functions that match `GLOB` (repeatable)")
	cmd.Flags().BoolVar(&enabled, "enabled", false, "print enabled sites as enabled_functions does")
	return cmd
}

// registerEach registers an ops for each pattern, which is its name.
func registerEach(cmd *cobra.Command, r *ftrace.Registry, patterns []string) error {
	for _, pat := range patterns {
		o, err := r.NewOps(pat, r.Code().OpsFuncNop, nil)
		if err != nil {
			return err
		}
		if err := setFilters(cmd, r, o, []string{pat}, nil); err != nil {
			return err
		}
		if err := r.Register(o); err != nil {
			return err
		}
	}
	return nil
}

func printSites(w io.Writer, k *kernel.Kernel, r *ftrace.Registry, globs []string) error {
	records := r.Records()
	for _, glob := range globs {
		var err error
		if records, err = r.Match(glob); err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tFUNCTION\tINSTRUCTIONS\tCOUNT\tFLAGS\tLITERAL")
	for _, rec := range records {
		line, err := siteLine(names{k}, r, rec)
		if err != nil {
			return err
		}
		fmt.Fprintln(t, line)
	}
	return t.Flush()
}

func siteLine(n names, r *ftrace.Registry, rec ftrace.Record) (string, error) {
	site, _ := n.k.Site(rec.IP)
	var insns []string
	for pc := site.Func(); pc <= rec.IP; pc += 4 {
		word, err := n.k.Mem.Load32(pc)
		if err != nil {
			return "", err
		}
		insns = append(insns, n.disassemble(word, pc))
	}
	literal := "-"
	if site.Literal != 0 {
		v, err := n.k.Mem.Load64(site.Literal)
		if err != nil {
			return "", err
		}
		literal = n.pointer(v)
	}
	count := r.Count(rec)
	flags := flagNames(rec.Flags - ftrace.RecFlags(count))
	if flags == "" {
		flags = "-"
	}
	return fmt.Sprintf("%x\t%s\t%s\t%d\t%s\t%s", rec.IP, n.function(rec.IP), strings.Join(insns, "; "), count, flags, literal), nil
}

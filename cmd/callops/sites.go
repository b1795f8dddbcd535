package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"callops/emu/interp"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/machine"
)

// sites are the flags of `callops sites`.
type sites struct {
	*machineFlags
	filter  []string
	enabled bool
	format  outputFormat
}

// newSites builds `callops sites`.
func newSites() *cobra.Command {
	s := &sites{machineFlags: newMachine(), format: newFormat()}
	m := s.machineFlags
	cmd := &cobra.Command{
		Use:   "sites [flags] [GLOB]",
		Short: "Print the call sites of an image, as ftrace has patched them",
		Long: `sites starts ftrace on an image and prints its call sites, all or those of
functions that match GLOB: address, function, the instructions from the function's
entry to the site, the record's count of ops and its flags, and the ops that the
literal points to.

Each --filter first registers an ops of its own, named after the filter, to show
enabled sites and sites that several ops share. (In trace, all filters belong to
one ops.)`,
		Example: `  callops sites
  callops sites --filter 'crc32*' --filter crc32_byte 'crc32*'
  callops sites --filter 'crc32*' --enabled`,
		Args: argCount(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.enabled && s.format.value == formatJSON {
				return usagef("--enabled prints the text of enabled_functions, and has no JSON form")
			}
			if s.enabled && len(args) > 0 {
				return usagef("--enabled prints all enabled sites, and takes no GLOB")
			}
			return m.eachCore(cmd, func() error { return s.run(cmd, args) })
		},
	}
	m.addImage(cmd)
	m.addModules(cmd)
	m.addScheme(cmd)
	m.addTrampoline(cmd)
	m.addCore(cmd)
	cmd.Flags().StringArrayVar(&s.filter, "filter", nil, "register an ops for functions that match `GLOB` (repeatable)")
	cmd.Flags().Var(&s.format, "format", "output format")
	cmd.Flags().BoolVar(&s.enabled, "enabled", false, "print enabled sites as enabled_functions does")
	cmd.ValidArgsFunction = firstWord(m.functions(true))
	_ = cmd.RegisterFlagCompletionFunc("filter", m.functions(true)) // the flag is there
	return cmd
}

func (s *sites) run(cmd *cobra.Command, args []string) (err error) {
	var m *machine.Machine
	defer func() { err = errors.Join(err, s.close(m)) }()
	engine := newIdle
	if s.core.value == coreImage {
		engine = interp.New
	}
	cfg, err := s.config(cmd.Context(), engine, 0)
	if err != nil {
		return err
	}
	s.ftrace(cfg, cmd.ErrOrStderr(), nil)
	if m, err = machine.New(cmd.Context(), cfg); err != nil {
		return err
	}
	if err := registerEach(cmd, m, s.filter); err != nil {
		return err
	}
	if s.core.value == coreImage { // what is corrupt would end the records early
		if err := m.Ftrace.Validate(); err != nil {
			return err
		}
	}
	if s.enabled {
		return m.Ftrace.WriteEnabled(cmd.OutOrStdout())
	}
	list, err := siteInfos(cmd.Context(), m.Kernel, m.Ftrace, args)
	if err != nil {
		return err
	}
	if s.format.value == formatJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{"sites": list})
	}
	return printSites(cmd.OutOrStdout(), list)
}

// registerEach registers an ops for each pattern, which is its name.
func registerEach(cmd *cobra.Command, m *machine.Machine, patterns []string) error {
	r := m.Ftrace
	for _, pat := range patterns {
		o, err := r.NewOps(pat, r.Code().OpsFuncNop, nil)
		if err != nil {
			return err
		}
		if err := setFilters(cmd, m, o, []string{pat}, nil); err != nil {
			return err
		}
		if err := r.Register(o); err != nil {
			return err
		}
	}
	return nil
}

// siteInfo is the description of one call site. Addresses are hexadecimal strings in
// JSON, where numbers of 64 bits are not safe.
type siteInfo struct {
	IP       string   `json:"ip"`
	Function string   `json:"function"`
	Insns    []string `json:"instructions"` // from the function's entry to the site
	Count    int      `json:"count"`        // of ops
	Flags    []string `json:"flags"`
	Literal  string   `json:"literal,omitempty"` // the ops it points to; "" where there is none
}

func siteInfos(ctx context.Context, k *kernel.Kernel, r ftrace.Core, globs []string) ([]siteInfo, error) {
	records := r.Records()
	for _, glob := range globs {
		var err error
		if records, err = r.Match(glob); err != nil {
			return nil, meant(k, glob, err)
		}
	}
	list := make([]siteInfo, 0, len(records))
	for _, rec := range records {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", names{k}.pointer(rec.IP), err)
		}
		info, err := newSiteInfo(names{k}, r, rec)
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

func newSiteInfo(n names, r ftrace.Core, rec ftrace.Record) (siteInfo, error) {
	count := r.Count(rec)
	info := siteInfo{
		IP: fmt.Sprintf("%#x", rec.IP), Function: n.function(rec.IP), Count: count, Flags: flagNames(rec.Flags - ftrace.RecFlags(count)),
	}
	site, ok := n.k.Site(rec.IP)
	if !ok {
		return info, fmt.Errorf("%s is not a call site of the image: %w", n.pointer(rec.IP), errno.ENOENT)
	}
	for pc := site.Func(); pc <= rec.IP; pc += 4 {
		word, err := n.k.Mem.Load32(pc)
		if err != nil {
			return info, err
		}
		info.Insns = append(info.Insns, n.disassemble(word, pc))
	}
	if site.Literal != 0 {
		v, err := n.k.Mem.Load64(site.Literal)
		if err != nil {
			return info, err
		}
		info.Literal = n.pointer(v)
	}
	return info, nil
}

func printSites(w io.Writer, list []siteInfo) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tFUNCTION\tINSTRUCTIONS\tCOUNT\tFLAGS\tLITERAL")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", strings.TrimPrefix(s.IP, "0x"), s.Function, strings.Join(s.Insns, "; "), s.Count,
			cmp.Or(strings.Join(s.Flags, "|"), "-"), cmp.Or(s.Literal, "-"))
	}
	return t.Flush()
}

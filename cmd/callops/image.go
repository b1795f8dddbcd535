package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"callops/kernelimage"
)

// builtin names the built-in kernel among files.
const builtin = "builtin"

// newImage builds `callops image`.
func newImage() *cobra.Command {
	m := newMachine()
	format := newFormat()
	cmd := &cobra.Command{
		Use:   "image [flags] [FILE]...",
		Short: "Describe images, and the size of CALL_OPS in their text",
		Long: `image describes each image: version, layout of its call sites, symbols, segments,
and how much of its text the call sites take. Several images are printed side by
side. "builtin" stands for the built-in kernel, as does no FILE at all.

CALL_OPS adds literals before functions, and padding that aligns functions to 8
bytes. The slots, two words at the start of each function, are there without it
too.`,
		Example: `  callops image
  callops image --format json kernel.elf
  callops image builtin without-call-ops.elf with-call-ops.elf`,
		RunE: func(cmd *cobra.Command, files []string) error {
			list, err := imageInfos(cmd.Context(), m, files)
			if err != nil {
				return err
			}
			if format.value == formatJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"images": list})
			}
			return printImages(cmd.OutOrStdout(), list)
		},
	}
	m.addVariant(cmd)
	m.addScheme(cmd)
	cmd.Flags().Var(&format, "format", "output format")
	return cmd
}

// imageInfo is the description of one image. Addresses are hexadecimal strings
// in JSON, where numbers of 64 bits are not safe.
type imageInfo struct {
	Name     string        `json:"name"`
	Profile  string        `json:"profile"`
	Banner   string        `json:"banner,omitempty"`
	CallOps  bool          `json:"call_ops"`
	BTI      bool          `json:"bti"`
	Sites    int           `json:"sites"`
	Symbols  int           `json:"symbols"`
	Funcs    int           `json:"functions"`
	Segments []segmentInfo `json:"segments"`
	Text     textInfo      `json:"text"`
	Linux    *linuxInfo    `json:"linux,omitempty"`
}

// linuxInfo is the additional description of a kernel's raw Image.
type linuxInfo struct {
	Packed      []string `json:"packed,omitempty"`
	Base        string   `json:"base"`
	PageSize    uint64   `json:"page_size"`
	Relocations int      `json:"relocations"`
	Applied     bool     `json:"relocations_applied"`
	Kallsyms    string   `json:"kallsyms"`
	BTF         int      `json:"btf_bytes"`
	Assumed     []string `json:"assumed,omitempty"`
	InitSites   int      `json:"init_sites"`
	Dropped     int      `json:"dropped_entries"`
	PerCPU      string   `json:"per_cpu"`
	Alternative int      `json:"alternatives"`
	Config      int      `json:"config_bytes"`
}

type segmentInfo struct {
	Name  string `json:"name"`
	Start string `json:"start"`
	End   string `json:"end"`
	Perm  string `json:"perm"`
}

// textInfo is in bytes.
type textInfo struct {
	Size     uint64  `json:"size"`
	Slots    uint64  `json:"slots"`
	Literals uint64  `json:"literals"`
	Padding  uint64  `json:"padding"`
	Percent  float64 `json:"call_ops_percent"`
}

func imageInfos(ctx context.Context, m *machineFlags, files []string) (_ []imageInfo, err error) {
	if len(files) == 0 {
		files = []string{builtin}
	}
	defer func() { err = errors.Join(err, m.close(nil)) }()
	var list []imageInfo
	for _, file := range files {
		switch m.image = file; file {
		case "":
			return nil, usagef(`FILE is "", which names no file`)
		case builtin:
			m.image = ""
		}
		img, err := m.open(ctx)
		if err != nil {
			return nil, err
		}
		info, err := newImageInfo(img)
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

func newImageInfo(img *kernelimage.Image) (imageInfo, error) {
	cost, err := img.TextCost()
	if err != nil {
		return imageInfo{}, err
	}
	info := imageInfo{
		Name: img.Name(), Profile: string(img.Profile()), Banner: img.Banner(),
		CallOps: img.CallOps(), BTI: img.BTI(), Sites: cost.Sites, Symbols: len(img.Symbols()),
		Text: textInfo{Size: cost.Text, Slots: cost.Slots, Literals: cost.Literals, Padding: cost.Padding},
	}
	if img.CallOps() {
		info.Text.Percent = cost.Percent()
	}
	if l := img.Linux(); l != nil {
		info.Linux = &linuxInfo{
			Packed: l.Packed, Base: fmt.Sprintf("%#x", l.Base), PageSize: l.PageSize, Relocations: l.Relocations, Applied: l.Applied, Kallsyms: l.Kallsyms,
			BTF: l.BTF, Assumed: l.Assumed, InitSites: img.InitSites(), Dropped: l.Dropped,
			PerCPU: fmt.Sprintf("%#x-%#x", l.PerCPU.Start, l.PerCPU.End),
			Config: len(l.Config), Alternative: l.Alternatives,
		}
	}
	for _, s := range img.Symbols() {
		if s.Func {
			info.Funcs++
		}
	}
	for _, s := range img.Segments() {
		info.Segments = append(info.Segments, segmentInfo{
			Name: s.Name, Start: fmt.Sprintf("%#x", s.Addr), End: fmt.Sprintf("%#x", s.End()), Perm: s.Perm.String(),
		})
	}
	return info, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // "<ftrace_caller>" is not for a browser
	return e.Encode(v)
}

// Widths of the table of images, in columns.
const (
	imageWidth = 100
	labelWidth = 20
	fewestCell = 24
)

// wrap breaks a cell into lines at its spaces.
func wrap(cell string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(cell) {
		if n := len(lines) - 1; n >= 0 && len(lines[n])+1+len(word) <= width {
			lines[n] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// printImages prints a column for each image.
func printImages(w io.Writer, list []imageInfo) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	width := max((imageWidth-labelWidth)/len(list)-2, fewestCell)
	row := func(label string, cell func(i *imageInfo) string) {
		cells := make([][]string, len(list))
		height := 1
		for i := range list {
			cells[i] = wrap(cell(&list[i]), width)
			height = max(height, len(cells[i]))
		}
		for n := range height {
			line := []string{label}
			for _, c := range cells {
				if n < len(c) {
					line = append(line, c[n])
				} else {
					line = append(line, "")
				}
			}
			fmt.Fprintln(t, strings.TrimRight(strings.Join(line, "\t"), "\t"))
			label = ""
		}
	}
	number := func(label string, value func(i *imageInfo) uint64) {
		row(label, func(i *imageInfo) string { return fmt.Sprint(value(i)) })
	}
	row("image", func(i *imageInfo) string { return i.Name })
	row("version", func(i *imageInfo) string { return cmp.Or(i.Banner, "-") })
	row("profile", func(i *imageInfo) string { return i.Profile })
	row("call sites", func(i *imageInfo) string { return i.layout() })
	number("sites", func(i *imageInfo) uint64 { return uint64(i.Sites) })
	if slices.ContainsFunc(list, func(i imageInfo) bool { return i.Linux != nil }) {
		linux := func(label string, cell func(l *linuxInfo) string) {
			row(label, func(i *imageInfo) string {
				if i.Linux == nil {
					return "-"
				}
				return cell(i.Linux)
			})
		}
		linux("  freed after boot", func(l *linuxInfo) string { return fmt.Sprint(l.InitSites) })
		linux("  dropped entries", func(l *linuxInfo) string { return fmt.Sprint(l.Dropped) })
		linux("packed in", func(l *linuxInfo) string { return cmp.Or(strings.Join(l.Packed, ", "), "-") })
		linux("pages", func(l *linuxInfo) string { return fmt.Sprintf("%d KiB", l.PageSize>>10) })
		linux("relocations", func(l *linuxInfo) string {
			if l.Applied {
				return fmt.Sprintf("%d, in the file already", l.Relocations)
			}
			return fmt.Sprint(l.Relocations)
		})
		linux("kallsyms", func(l *linuxInfo) string { return l.Kallsyms })
		linux("BTF, bytes", func(l *linuxInfo) string { return fmt.Sprint(l.BTF) })
		linux("  not in it", func(l *linuxInfo) string { return cmp.Or(strings.Join(l.Assumed, ", "), "-") })
		linux("per-CPU", func(l *linuxInfo) string { return l.PerCPU })
		linux("config, bytes", func(l *linuxInfo) string { return fmt.Sprint(l.Config) })
		linux("alternatives", func(l *linuxInfo) string {
			if l.Alternative == 0 {
				return "as built"
			}
			return fmt.Sprintf("%d, all as built", l.Alternative)
		})
	}
	number("symbols", func(i *imageInfo) uint64 { return uint64(i.Symbols) })
	number("functions", func(i *imageInfo) uint64 { return uint64(i.Funcs) })
	segments := 0
	for _, i := range list {
		segments = max(segments, len(i.Segments))
	}
	for n := range segments {
		row("segment", func(i *imageInfo) string {
			if n >= len(i.Segments) {
				return ""
			}
			s := i.Segments[n]
			return fmt.Sprintf("%s-%s %s %s", strings.TrimPrefix(s.Start, "0x"), strings.TrimPrefix(s.End, "0x"), s.Perm, s.Name)
		})
	}
	number("text, bytes", func(i *imageInfo) uint64 { return i.Text.Size })
	number("  slots", func(i *imageInfo) uint64 { return i.Text.Slots })
	number("  literals", func(i *imageInfo) uint64 { return i.Text.Literals })
	number("  padding", func(i *imageInfo) uint64 { return i.Text.Padding })
	row("CALL_OPS adds", func(i *imageInfo) string { return fmt.Sprintf("%.2f %% to text", i.Text.Percent) })
	return t.Flush()
}

// layout describes the instructions that the compiler emitted at a call site.
func (i *imageInfo) layout() string {
	s := "nop; nop"
	if i.BTI {
		s = "bti c; " + s
	}
	if i.CallOps {
		s = "literal; " + s
	}
	return s
}

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/text"
)

// hostileFile is the workload under a name, and with names of functions, that
// command terminals, end lines and look like the syntax of every format.
func hostileFile(t *testing.T) (path, function string) {
	t.Helper()
	b, err := os.ReadFile(workload)
	require.NoError(t, err)
	function = "x\x1b]\n\"<i>&,'\x9b"
	for _, name := range []string{"count_primes", "quick_sort\x00s"} {
		require.Contains(t, string(b), "\x00"+name[:10])
		b = bytes.ReplaceAll(b, []byte("\x00"+name), []byte("\x00"+function[:len(name)]))
	}
	path = filepath.Join(t.TempDir(), "a\x1b[31m\r\n\"<script>&,'\xff\u202e.elf")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path, text.Printable(function)
}

// checkPlain checks that text holds nothing that a terminal acts upon but tabs and ends of lines.
func checkPlain(t *testing.T, out string) {
	t.Helper()
	assert.True(t, utf8.ValidString(out), "%q", out)
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%q", out[max(0, i-40):min(len(out), i+40)])
	}
	assert.NotContains(t, out, "\n\"<", "a name ends no line")
}

func TestOutput_NamesFromFilesCommandNothing(t *testing.T) {
	file, function := hostileFile(t)
	missing := filepath.Join(filepath.Dir(file), "no"+filepath.Base(file))
	for name, args := range map[string][]string{
		"image":          {"image", file},
		"image_json":     {"image", "--format", "json", file},
		"image_two":      {"image", file, workload},
		"image_missing":  {"image", missing},
		"sites":          {"sites", "--image", file},
		"sites_filter":   {"sites", "--image", file, "--filter", "x*"},
		"sites_enabled":  {"sites", "--image", file, "--filter", "x*", "--enabled"},
		"call":           {"call", "--image", file, function, "100"},
		"call_unknown":   {"call", "--image", file, function + "s"},
		"call_file":      {"call", "--image", file, "sum8", "@" + file, "4"},
		"call_no_file":   {"call", "--image", file, "sum8", "@" + missing, "4"},
		"call_string":    {"call", "--image", file, "sum8", "\x1b[31m\n<", "4"},
		"call_fault":     {"call", "--image", file, function, "-1", "--budget", "1000"},
		"module":         {"call", "--module", file, "fib", "3"},
		"module_missing": {"call", "--module", missing, "fib", "3"},
		"trace":          {"trace", "--image", file, function, "100"},
		"trace_graph":    {"trace", "--image", file, "--tracer", "function_graph", "self_test"},
		"trace_insn":     {"trace", "--image", file, "--tracer", "insn", "--filter", "x*", function, "3"},
		"trace_output":   {"trace", "--image", file, "--output", missing + "/x", function, "100"},
		"trace_filter":   {"trace", "--image", file, "--filter", "\x1b*", function, "100"},
		"check":          {"check", "--image", file},
		"check_missing":  {"check", "--image", missing},
		"check_replay":   {"check", "--replay", "\x1b[31m\n"},
		"bench_missing":  {"bench", "--image", missing},
		"bench_tracee":   {"bench", "--image", file, "--tracee", "\x1b[31m\n"},
		"bench_beside":   {"bench", "--image", workload, "--beside", file, "--calls", "10", "--tracee", "fib"},
		"unknown":        {"\x1b[31m\n"},
		"unknown_flag":   {"call", "--\x1b[31m\n"},
		"flag_value":     {"bench", "--calls", "\x1b[31m\n"},
		"bench_table":    {"bench", "--image", file, "--calls", "10", "--tracee", function},
		"bench_csv":      {"bench", "--image", file, "--calls", "10", "--tracee", function, "--format", "csv"},
		"bench_json":     {"bench", "--image", file, "--calls", "10", "--tracee", function, "--format", "json"},
		"bench_svg":      {"bench", "--image", file, "--calls", "10", "--tracee", function, "--format", "svg"},
	} {
		t.Run(name, func(t *testing.T) {
			_, out, errs := runIn(nil, args...)
			checkPlain(t, out)
			checkPlain(t, errs)
			switch {
			case strings.HasSuffix(name, "json") && out != "":
				assert.True(t, json.Valid([]byte(out)), out)
			case strings.HasSuffix(name, "csv") && out != "":
				_, err := csv.NewReader(strings.NewReader(out)).ReadAll() // as many fields in each line
				assert.NoError(t, err, out)
			case strings.HasSuffix(name, "svg") && out != "":
				checkSVG(t, out)
			}
			if strings.HasPrefix(name, "bench_") && name != "bench_missing" && name != "bench_tracee" {
				assert.NotEmpty(t, out, errs)
			}
		})
	}
}

// checkSVG checks that names are text and no elements.
func checkSVG(t *testing.T, out string) {
	t.Helper()
	for dec := xml.NewDecoder(strings.NewReader(out)); ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if e, ok := tok.(xml.StartElement); ok {
			assert.NotContains(t, []string{"i", "script"}, e.Name.Local)
		}
	}
}

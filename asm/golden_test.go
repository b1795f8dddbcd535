package asm

import (
	"encoding/binary"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "make testdata/a64/*.golden and *.objdump again with GNU binutils")

// Addresses of the goldens; the same go to the linker.
const (
	goldenBase uint64 = 0xffff800080000000
	goldenNear        = goldenBase + 0x3458
	goldenBack        = goldenBase - 0x1ff8
	goldenFar         = goldenBase + 0x7654320
)

type labels struct{ near, back, odd, far Label }

// row pairs a line of the reference assembler with what we make of it.
type row struct {
	text string
	inst Inst
}

// rows takes text, Inst, text, Inst, ...; a []Inst has to be of length one.
func rows(pairs ...any) []row {
	var rs []row
	for i := 0; i < len(pairs); i += 2 {
		r := row{text: pairs[i].(string)}
		switch v := pairs[i+1].(type) {
		case Inst:
			r.inst = v
		case []Inst:
			if len(v) == 1 {
				r.inst = v[0]
			} else {
				r.inst = Inst{err: fmt.Errorf("%q: %d instructions", r.text, len(v))}
			}
		}
		rs = append(rs, r)
	}
	return rs
}

var goldenClasses = map[string]func(labels) []row{
	"addsub": addsubRows, "logical": logicalRows, "move": moveRows, "bitfield": bitfieldRows,
	"arith": arithRows, "cond": condRows, "ldst": ldstRows, "excl": exclRows, "atomic": atomicRows,
	"branch": branchRows, "sys": sysRows, "data": dataRows,
}

// classRows builds a class's rows and the labels they use.
func classRows(class string) (*Builder, []row) {
	b := NewBuilder()
	return b, goldenClasses[class](labels{
		near: b.Abs("near", goldenNear), back: b.Abs("back", goldenBack),
		odd: b.Abs("odd", goldenBack+1), far: b.Abs("far", goldenFar),
	})
}

func TestConstructors_MatchGNUAssembler(t *testing.T) {
	for class := range goldenClasses {
		t.Run(class, func(t *testing.T) {
			if *update {
				updateGolden(t, class)
			}
			want := readGolden(t, class)
			b, rs := classRows(class)
			require.Len(t, rs, len(want), "rows and lines of %s.golden", class)
			for i, r := range rs {
				require.Equal(t, want[i].text, r.text, "line %d", i+1)
				require.NoError(t, r.inst.Err(), r.text)
				b.Emit(r.inst)
			}
			p, err := b.Assemble(goldenBase)
			require.NoError(t, err)
			off := 0
			for i, r := range rs {
				got := hexItem(p.Code[off:], r.inst.size())
				assert.Equal(t, want[i].hex, got, "%s at %#x", r.text, goldenBase+uint64(off))
				off += r.inst.size()
			}
		})
	}
}

func TestGolden_EveryFileHasRows(t *testing.T) {
	files, err := filepath.Glob("testdata/a64/*")
	require.NoError(t, err)
	require.Len(t, files, 3*len(goldenClasses)+3)
	for _, f := range files {
		if class := strings.TrimSuffix(filepath.Base(f), filepath.Ext(f)); class != "decode" {
			assert.Contains(t, goldenClasses, class)
		}
	}
}

// A constructor is an exported function that returns Inst or []Inst; each has
// to be called in a rows file.
func TestGolden_CoversEveryConstructor(t *testing.T) {
	constructors, called := scanConstructors(t)
	require.Greater(t, len(constructors), 150)
	for name := range constructors {
		assert.Contains(t, called, name, "no golden row")
	}
}

func scanConstructors(t *testing.T) (constructors, called map[string]bool) {
	t.Helper()
	fset := token.NewFileSet()
	constructors, called = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		isRows := strings.HasPrefix(path, "rows_")
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if !strings.HasSuffix(path, "_test.go") && n.Recv == nil && n.Name.IsExported() && returnsInst(n) {
					constructors[n.Name.Name] = true
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && isRows {
					called[id.Name] = true
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	return constructors, called
}

func returnsInst(f *ast.FuncDecl) bool {
	if f.Type.Results == nil {
		return false
	}
	t := f.Type.Results.List[0].Type
	if a, ok := t.(*ast.ArrayType); ok {
		t = a.Elt
	}
	id, ok := t.(*ast.Ident)
	return ok && id.Name == "Inst"
}

type goldenLine struct{ hex, text string }

func readGolden(t *testing.T, class string) []goldenLine {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/a64", class+".golden"))
	require.NoError(t, err)
	var lines []goldenLine
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		hex, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		require.True(t, ok, "%q", line)
		lines = append(lines, goldenLine{hex, text})
	}
	return lines
}

func wordAt(p *Program, n int) uint32 { return binary.LittleEndian.Uint32(p.Code[4*n:]) }

func hexItem(p []byte, size int) string {
	if size == 8 {
		return fmt.Sprintf("%016x", binary.LittleEndian.Uint64(p))
	}
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(p))
}

// updateGolden assembles and links <class>.s, for only the linker fills in
// addresses, and pairs the bytes of .text with the lines of the source.
func updateGolden(t *testing.T, class string) {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", cmd, out)
		return string(out)
	}
	src := filepath.Join("testdata/a64", class+".s")
	obj, linked, bin := filepath.Join(dir, "o"), filepath.Join(dir, "elf"), filepath.Join(dir, "bin")
	asArgs := []string{"-march=armv8.5-a+rng"}
	ldArgs := []string{
		fmt.Sprintf("-Ttext=%#x", goldenBase), fmt.Sprintf("--defsym=near=%#x", goldenNear),
		fmt.Sprintf("--defsym=back=%#x", goldenBack), fmt.Sprintf("--defsym=far=%#x", goldenFar), "--entry=0",
	}
	run("aarch64-linux-gnu-as", append(asArgs, src, "-o", obj)...)
	run("aarch64-linux-gnu-ld", append(ldArgs, obj, "-o", linked)...)
	run("aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", linked, bin)
	code, err := os.ReadFile(bin)
	require.NoError(t, err)
	source, err := os.ReadFile(src)
	require.NoError(t, err)

	version, _, _ := strings.Cut(run("aarch64-linux-gnu-as", "--version"), "\n")
	var out strings.Builder
	fmt.Fprintf(&out, "# Code generated by go test ./asm -update; DO NOT EDIT.\n# %s\n", version)
	fmt.Fprintf(&out, "# aarch64-linux-gnu-as %s %s.s && aarch64-linux-gnu-ld %s\n", strings.Join(asArgs, " "), class, strings.Join(ldArgs, " "))
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		size := 4
		if strings.HasPrefix(line, ".quad") {
			size = 8
		}
		require.GreaterOrEqual(t, len(code), size, line)
		fmt.Fprintf(&out, "%s\t%s\n", hexItem(code, size), line)
		code = code[size:]
	}
	require.Empty(t, code, "bytes without a line")
	require.NoError(t, os.WriteFile(filepath.Join("testdata/a64", class+".golden"), []byte(out.String()), 0o644))

	out.Reset()
	fmt.Fprintf(&out, "# Code generated by go test ./asm -update; DO NOT EDIT.\n# %s\n# aarch64-linux-gnu-objdump -d\n", version)
	for line := range strings.Lines(run("aarch64-linux-gnu-objdump", "-d", linked)) {
		cols := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		if len(cols) != 3 || !strings.HasPrefix(cols[0], "ffff") {
			continue
		}
		text, _, _ := strings.Cut(cols[2], "//")
		text, _, _ = strings.Cut(text, " <")
		fmt.Fprintf(&out, "%s\t%s\t%s\n", strings.TrimSuffix(cols[0], ":"), strings.TrimSpace(cols[1]), strings.TrimSpace(strings.ReplaceAll(text, "\t", " ")))
	}
	require.NoError(t, os.WriteFile(filepath.Join("testdata/a64", class+".objdump"), []byte(out.String()), 0o644))
}

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/internal/kernels"
)

func TestLinux_ArgumentsAreCheckedAgainstThePrototype(t *testing.T) {
	image := kernels.Path(t, kernels.Linux612)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"gcd: 1 argument, it takes 2: unsigned long gcd(unsigned long a, unsigned long b)", []string{"gcd", "84"}},
		{"gcd: 3 arguments, it takes 2: ", []string{"gcd", "84", "36", "1"}},
		{"snprintf: 2 arguments, it takes 3: ", []string{"snprintf", "buf:8", "8"}},
		{`gcd: argument 2 is a number, and not the address of "x": unsigned long gcd(`, []string{"gcd", "84", "x"}},
		{"sha256: argument 2 is a number, and not the address of buf:8: void sha256(const u8 *data, unsigned int len, u8 *out)",
			[]string{"sha256", "x", "buf:8", "buf:32"}},
	} {
		for _, command := range []string{"call", "trace"} {
			code, out, errs := runIn(nil, append([]string{command, "--image", image}, c.args...)...)
			assert.Equal(t, exitUsage, code, errs)
			assert.Empty(t, out)
			assert.Contains(t, errs, "callops: "+c.want)
		}
	}
}

func TestLinux_ArgumentsOfAModulesFunctionAreChecked(t *testing.T) {
	for _, series := range kernels.All {
		image := kernels.Path(t, series)
		module := kernels.Module(t, series, "lz4hc_compress")
		call := func(args ...string) (code int, out, errs string) {
			return runIn(nil, append([]string{"call", "--image", image, "--module", module}, args...)...)
		}
		for _, name := range []string{"LZ4_compress_HC", "lz4hc_compress:LZ4_compress_HC"} {
			code, out, errs := call(name, "hello", "buf:64", "5")
			assert.Equal(t, exitUsage, code)
			assert.Empty(t, out)
			assert.Contains(t, errs, "callops: "+name+": 3 arguments, it takes 6: "+
				"int LZ4_compress_HC(const char *src, char *dst, int srcSize, int maxDstSize, int compressionLevel, void *wrkmem)")
		}
		code, _, errs := call("LZ4_compress_HC", "hello", "buf:64", "x", "64", "9", "buf:270000")
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, errs, `argument 3 is a number, and not the address of "x"`)
		code, out, errs := call("LZ4_compress_HC", "hello", "buf:64", "5", "64", "9", "buf:270000")
		assert.Equal(t, exitDone, code, errs)
		assert.Contains(t, out, ` = 6 (0x6)`)
		code, _, errs = call("gcd", "84")
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, errs, "gcd: 1 argument, it takes 2", "the kernel's own")
	}
}

func TestLinux_ResultsArePrintedByTheirType(t *testing.T) {
	image := kernels.Path(t, kernels.Linux612)
	for want, args := range map[string][]string{
		`^gcd\(84, 36\) = 12 \(0xc\)\n\d+ instructions\n$`:                   {"gcd", "84", "36"},
		`^kstrtoint\("12x", 10, buf:4\) = -22\n`:                             {"kstrtoint", "12x", "10", "buf:4"},
		`^glob_match\("a\*", "abc"\) = true\n`:                               {"glob_match", "a*", "abc"},
		`^strstr\("hello", "lo"\) = 0xffff8000[0-9a-f]+ \("hello"\+3\)\n`:    {"strstr", "hello", "lo"},
		`^strstr\("hello", "x"\) = NULL\n`:                                   {"strstr", "hello", "x"},
		`^zstd_get_error_name\(0\) = 0xffff8000[0-9a-f]+ \([^)]+\)\n`:        {"zstd_get_error_name", "0"},
		`^sha256\("x", 1, buf:32\)\n\d+ instructions\nbuf:32 at 0x[0-9a-f]+`: {"sha256", "x", "1", "buf:32"},
		`^snprintf\(buf:8, 8, "%d", 5\) = 1 \(0x1\)\n`:                       {"snprintf", "buf:8", "8", "%d", "5"},
		`^crc32_le\(0, "hello", 5\) = 0xf032519b \(4029829531\)\n`:           {"crc32_le", "0", "hello", "5"}, // in assembler
	} {
		code, out, errs := runIn(nil, append([]string{"call", "--image", image}, args...)...)
		assert.Equal(t, exitDone, code, errs)
		assert.Regexp(t, want, out)
	}
}

func TestLinux_WhatIsNotThereIsReportedWithTheCallChain(t *testing.T) {
	code, out, errs := runIn(nil, "call", "--image", kernels.Path(t, kernels.Linux612), "kernel_read", "0", "0", "0", "0")
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, out)
	assert.Regexp(t, `^callops: kernel_read\+0x0/\S+: stopped in rw_verify_area\+\S+: load at 0x[0-9a-f]+: unmapped, from pc 0x[0-9a-f]+
  pc 0x[0-9a-f]+ rw_verify_area\+\S+
  called by:
    kernel_read\+\S+
    return_to_host
  last instructions:
(    (security_file_permission|rw_verify_area)\+.*\n)+`, errs)

	code, _, errs = runIn(nil, "call", "--image", kernels.Path(t, kernels.Linux612), "filp_open", "0", "0", "0")
	assert.Equal(t, exitFailed, code)
	assert.Regexp(t, `  called by:
    getname_kernel\+\S+
    filp_open\+\S+
    return_to_host
`, errs, "strlen, in assembler, keeps its caller in x30 only")
}

func TestLinux_TracesWithItsOwnTrampolines(t *testing.T) {
	image := kernels.Path(t, kernels.Linux612)
	trace := func(trampoline string) string {
		code, out, errs := runIn(nil, "trace", "--image", image, "--trampoline", trampoline, "--filter", "ZSTD_*", "zstd_default_clevel")
		assert.Equal(t, exitDone, code, errs)
		assert.Contains(t, out, ": ZSTD_defaultCLevel <-zstd_default_clevel\n")
		return out
	}
	assert.NotEqual(t, trace("ours"), trace("image"), "they cost differently")

	code, out, errs := runIn(nil, "sites", "--image", image, "--trampoline", "image", "--filter", "gcd", "gcd")
	assert.Equal(t, exitDone, code, errs)
	assert.Regexp(t, `(?m)bl ffff80008[0-9a-f]+ <ftrace_caller> +1 `, out, "in the kernel's own text")
	code, _, errs = runIn(nil, "trace", "--trampoline", "image", "gcd", "2", "3")
	assert.Equal(t, exitFailed, code, "the built-in kernel has none of its own")
	assert.Contains(t, errs, " has no symbol arch_ftrace_ops_list_func, ")
}

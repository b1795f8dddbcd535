package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"0", 0, true},
		{"123", 123, true},
		{"-1", 1<<64 - 1, true},
		{"0x7b", 123, true},
		{"0X7B", 123, true},
		{"-0x10", 1<<64 - 16, true},
		{"0173", 123, true},
		{"18446744073709551615", 1<<64 - 1, true},
		{"-9223372036854775808", 1 << 63, true},
		{"", 0, false},
		{"-", 0, false},
		{"hello", 0, false},
		{"12abc", 0, false},
		{"0x", 0, false},
		{"08", 0, false},
		{"1_000", 0, false},
		{"0o17", 0, false},
		{"--5", 0, false},
		{"+5", 0, false},
	} {
		t.Run(c.in, func(t *testing.T) {
			v, ok, err := parseNumber(c.in)
			require.NoError(t, err)
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.want, v)
		})
	}
	for _, in := range []string{"18446744073709551616", "0x10000000000000000", "-9223372036854775809"} {
		_, _, err := parseNumber(in)
		assert.ErrorContains(t, err, "does not fit")
	}
}

func TestParseArg(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("in a file"), 0o600))
	for _, c := range []struct {
		in   string
		want argument
	}{
		{"-2", argument{text: "-2", value: 1<<64 - 2}},
		{"12abc", argument{text: `"12abc"`, data: []byte("12abc\x00")}},
		{"inout:@" + file, argument{text: "inout:@" + file, data: []byte("in a file"), show: true}},
		{"result:2", argument{text: "result:2", from: &ref{call: 2}}},
		{"arg:1.2", argument{text: "arg:1.2", from: &ref{1, 2}}},
		{"hello", argument{text: `"hello"`, data: []byte("hello\x00")}},
		{"", argument{text: `""`, data: []byte{0}}},
		{`"123"`, argument{text: `"123"`, data: []byte("123\x00")}},
		{`"-x"`, argument{text: `"-x"`, data: []byte("-x\x00")}},
		{`"`, argument{text: `"\""`, data: []byte("\"\x00")}},
		{"@" + file, argument{text: "@" + file, data: []byte("in a file")}},
		{"@-", argument{text: "@-", data: []byte("on stdin")}},
		{"buf:4", argument{text: "buf:4", data: make([]byte, 4), show: true}},
		{"buf:0x10", argument{text: "buf:0x10", data: make([]byte, 16), show: true}},
		{"buf:0", argument{text: "buf:0", data: []byte{}, show: true}},
		{"&jiffies", argument{text: "&jiffies", symbol: "jiffies"}},
	} {
		t.Run(c.in, func(t *testing.T) {
			a, err := parseArg(c.in, strings.NewReader("on stdin"), maxData)
			require.NoError(t, err)
			assert.Equal(t, c.want, a)
		})
	}
}

func TestParseArg_Refuses(t *testing.T) {
	for _, in := range []string{"-x", "--budget", "-", "@", "&", "buf:", "buf:x", "buf:-1", "buf:11", "buf:99999999999999999999", "99999999999999999999", "elevenchars", "08", "1.5", "1e5", "0xz", "1,000", "-1.5", "+5", "0x", "result:", "result:x", "arg:1", "arg:0.1", "arg:1.0", "inout:@"} {
		t.Run(in, func(t *testing.T) {
			_, err := parseArg(in, nil, 10)
			var usage *usageError
			assert.ErrorAs(t, err, &usage)
		})
	}
	_, err := parseArg("@-", strings.NewReader("elevenchars"), 10)
	assert.ErrorContains(t, err, "together")
	broken := errors.New("broken")
	_, err = parseArg("@-", readerFunc(func([]byte) (int, error) { return 0, broken }), 10)
	assert.ErrorIs(t, err, broken)
}

func TestParseArg_FilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	_, err := parseArg("@"+dir, nil, maxData)
	assert.ErrorIs(t, err, errno.EISDIR)
	_, err = parseArg("@"+filepath.Join(dir, "missing"), nil, maxData)
	assert.ErrorIs(t, err, errno.ENOENT)
	_, err = parseArg("@/dev/zero", nil, 1<<20)
	assert.ErrorIs(t, err, errno.E2BIG)

	huge := filepath.Join(dir, "huge")
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 1<<40))
	_, err = parseArg("@"+huge, nil, maxData)
	assert.ErrorIs(t, err, errno.E2BIG, "and nothing of it was read")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

package board

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

// shell runs commands as a shell in a folder of the guest would: lists of cat, head, ls, mkdir, rmdir and echo with
// redirection, and a pipe to head.
type shell struct {
	m   *Machine
	ctx context.Context
	dir string
}

// run returns what a line prints and its exit status.
func (s *shell) run(line string) (out string, status int) {
	var b strings.Builder
	for _, list := range strings.Split(line, ";") {
		stages := strings.Split(list, "|")
		text, err := s.command(strings.TrimSpace(stages[0]))
		for _, stage := range stages[1:] {
			text = head(text, strings.Fields(stage))
		}
		b.WriteString(text)
		status = 0
		if err != nil {
			status = 1
			fmt.Fprintf(&b, "sh: write error: %s\n", message(err))
		}
	}
	return b.String(), status
}

// message is what strerror says.
func message(err error) string {
	var call *SyscallError
	if !errors.As(err, &call) {
		return err.Error()
	}
	text := []rune(errno.Linux(call.Number).Error())
	text[0] = unicode.ToUpper(text[0])
	return string(text)
}

var redirect = regexp.MustCompile(`^echo ?(.*?) ?(>>?) (\S+)$`)

func (s *shell) command(line string) (string, error) {
	if m := redirect.FindStringSubmatch(line); m != nil {
		flag := os.O_TRUNC
		if m[2] == ">>" {
			flag = os.O_APPEND
		}
		return "", s.m.WriteFile(s.ctx, s.path(m[3]), flag, strings.Trim(m[1], `"`)+"\n")
	}
	words := strings.Fields(line)
	if words[0] == "ls" {
		names, err := s.m.ReadDir(s.ctx, s.dir)
		return strings.Join(names, "\n") + "\n", err
	}
	var b strings.Builder
	for _, name := range words[1:] {
		if strings.HasPrefix(name, "-") {
			continue
		}
		var text []byte
		var err error
		switch words[0] {
		case "mkdir":
			err = s.m.Mkdir(s.ctx, s.path(name), 0o777)
		case "rmdir":
			err = s.m.Remove(s.ctx, s.path(name))
		case "cat", "head":
			text, err = s.m.ReadFile(s.ctx, s.path(name))
		default:
			err = fmt.Errorf("%s: %w", words[0], errno.ENOENT)
		}
		if err != nil {
			return b.String(), err
		}
		switch words[0] {
		case "head":
			b.WriteString(head(string(text), words))
		default:
			b.Write(text)
		}
	}
	return b.String(), nil
}

func (s *shell) path(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(s.dir, name)
}

// head is head -N.
func head(text string, words []string) string {
	n := 10
	if len(words) > 1 {
		_, _ = fmt.Sscanf(words[1], "-%d", &n)
	}
	lines := strings.SplitAfterN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "")
}

// exchange is a command, what it printed, and its exit status.
type exchange struct {
	command, output string
	status          int
}

// readScript reads testdata's form of what was typed and printed.
func readScript(t *testing.T, name string) (list []exchange) {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "$":
			list = append(list, exchange{command: rest})
		case ">":
			list[len(list)-1].output += rest + "\n"
		case "=":
			_, err := fmt.Sscan(rest, &list[len(list)-1].status)
			require.NoError(t, err)
		}
	}
	require.NotEmpty(t, list)
	return list
}

// numbering gives addresses numbers in the order in which they appear.
type numbering map[string]int

var heapAddress = regexp.MustCompile(`0x[0-9a-f]{16}`)

func (n numbering) replace(text string) string {
	return heapAddress.ReplaceAllStringFunc(text, func(a string) string {
		if n[a] == 0 {
			n[a] = len(n) + 1
		}
		return fmt.Sprintf("ADDRESS%d", n[a])
	})
}

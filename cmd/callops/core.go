package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// Whose ftrace core runs.
const (
	coreOurs  = "ours"
	coreImage = "image"
)

// addCore adds the flag that chooses whose core registers ops and patches sites.
func (m *machineFlags) addCore(cmd *cobra.Command) {
	cmd.Flags().Var(&m.core, "core", "whose ftrace core runs, callops' or the image's own; both: both of them, which have to print the same")
}

// eachCore runs a command with the core that was chosen. With both it runs with
// each, and prints what the image's own does where that is what callops' does.
func (m *machineFlags) eachCore(cmd *cobra.Command, run func() error) error {
	if m.core.value == coreOurs {
		return run()
	}
	if m.trampoline.given && m.trampoline.value == trampolineOurs {
		return usagef("--core %s goes with the image's own trampolines", m.core.value)
	}
	m.trampoline.value = trampolineImage
	if m.core.value != both {
		return run()
	}
	out, errw := cmd.OutOrStdout(), cmd.ErrOrStderr()
	defer func() { cmd.SetOut(out); cmd.SetErr(errw) }()
	var printed, logged [2]sharedBuffer
	for i, core := range bothCores {
		m.core.value = core
		cmd.SetOut(&printed[i])
		cmd.SetErr(&logged[i])
		if err := run(); err != nil {
			fmt.Fprint(errw, logged[i].String())
			return fmt.Errorf("--core %s: %w", core, err)
		}
	}
	writeLogs(errw, logged[0].String(), logged[1].String())
	if err := sameLines(printed[0].String(), printed[1].String()); err != nil {
		return err
	}
	_, err := io.WriteString(out, printed[1].String())
	return err
}

// bothCores are those of --core both.
var bothCores = [2]string{coreOurs, coreImage}

// writeLogs writes what the run with the image's own core logged, and then what only
// that with callops' did.
func writeLogs(w io.Writer, ours, image string) {
	fmt.Fprint(w, image)
	left := make(map[string]int)
	for line := range strings.Lines(image) {
		left[line]++
	}
	for line := range strings.Lines(ours) {
		if left[line]--; left[line] < 0 {
			fmt.Fprint(w, "callops: with --core ours only: "+line)
		}
	}
}

// sharedBuffer is a buffer that CPUs write to concurrently.
type sharedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// address is one as it is printed, or callops' code, for which the kernel has no symbol. Where
// ops and buffers lie differs between machines.
var address = regexp.MustCompile(`0x[0-9a-f]{16}|\w+\+0x[0-9a-f]+/0x[0-9a-f]+ \[callops\]`)

// numbered has each address replaced by how many others came before it.
func numbered(s string) string {
	seen := make(map[string]int)
	return address.ReplaceAllStringFunc(s, func(a string) string {
		if _, ok := seen[a]; !ok {
			seen[a] = len(seen)
		}
		return fmt.Sprintf("address%d", seen[a])
	})
}

// sameLines returns the first difference as an error. Addresses are the same where they
// stand at the same places.
func sameLines(ours, image string) error {
	lines := func(s string) []string { return strings.Split(numbered(s), "\n") }
	a, b := lines(ours), lines(image)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Errorf("the cores differ in line %d:\n  ours   %s\n  image  %s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("the cores differ: callops' printed %d lines, the image's own %d", len(a), len(b))
	}
	return nil
}

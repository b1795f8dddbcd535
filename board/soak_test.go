package board

import (
	"context"
	"errors"
	"flag"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board/internal/fileops"
	"callops/kernel"
)

var (
	soakOperations = flag.Int("operations", 600, "how many random file operations TestSoak makes")
	soakSeed       = flag.Uint64("seed", 1, "of TestSoak's operations")
)

// guestFS is a machine's tracefs. Reads that would wait do not.
type guestFS struct {
	m   *Machine
	ctx context.Context
}

func (g guestFS) path(name string) string { return tracing + "/" + name }

func (g guestFS) Open(name string, flag int) (fileops.File, error) {
	return g.m.OpenFile(g.ctx, g.path(name), flag|NonBlock, 0)
}

func (g guestFS) Mkdir(name string) error { return g.m.Mkdir(g.ctx, g.path(name), 0o755) }

func (g guestFS) Rmdir(name string) error { return g.m.Remove(g.ctx, g.path(name)) }

func (g guestFS) ReadDir(name string) ([]string, error) { return g.m.ReadDir(g.ctx, g.path(name)) }

func (g guestFS) Stat(name string) error {
	_, err := g.m.Lstat(g.ctx, g.path(name))
	return err
}

func (g guestFS) Broken(err error) bool {
	var run *kernel.RunError
	return errors.As(err, &run) || errors.Is(err, os.ErrClosed) || g.ctx.Err() != nil
}

// complaint is a line by which the kernel says that something is wrong with it.
var complaint = regexp.MustCompile(`WARNING: |BUG: |Oops|ftrace bug|Kernel panic|Unable to handle|stall|Out of memory|INFO: task`)

// Random operations on the control files, valid and not, end each, and the kernel goes on without a complaint.
func TestSoak_RandomFileOperations(t *testing.T) {
	var complaints []string
	m, err := frozen(t).Start(func(line string) {
		if complaint.MatchString(line) {
			complaints = append(complaints, line)
		}
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	require.NoError(t, m.Mount(t.Context(), "sysfs", "/sys"))
	require.NoError(t, m.Mount(t.Context(), "tracefs", tracing))
	before := heap()
	var clients []*fileops.Client
	for i := range 4 {
		clients = append(clients, fileops.NewClient(guestFS{m, t.Context()}, *soakSeed<<8+uint64(i)))
	}
	for i := range *soakOperations {
		c := clients[i%len(clients)]
		count := m.Count()
		require.NoError(t, c.Do())
		if n := m.Count() - count; n > slowOperation {
			t.Logf("%d million instructions: %.200s", n/1e6, c.Last())
		}
		require.Empty(t, complaints, c.Last())
		if i%10_000 == 9_999 {
			t.Logf("%d operations, %d million instructions, %d MB", i+1, m.Count()/1e6, heap()>>20)
		}
	}
	for _, c := range clients {
		require.NoError(t, c.Close())
	}
	b, err := m.ReadFile(t.Context(), tracing+"/current_tracer")
	require.NoError(t, err)
	assert.NotEmpty(t, strings.TrimSpace(string(b)))
	assert.Less(t, heap(), before+64<<20)
}

// slowOperation is how many instructions an operation takes that is worth a line.
const slowOperation = 300_000_000

// heap is how much of Go's is in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

package mount

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/board/internal/fileops"
)

var (
	soakOperations = flag.Int("operations", 400, "how many random file operations TestSoak makes")
	soakSeed       = flag.Uint64("seed", 1, "of TestSoak's operations")
)

// hostFS is a mounted tracefs. Reads that would wait do not.
type hostFS string

func (h hostFS) path(name string) string { return filepath.Join(string(h), name) }

func (h hostFS) Open(name string, flag int) (fileops.File, error) {
	fd, err := syscall.Open(h.path(name), flag|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return hostFile(fd), nil
}

func (h hostFS) Mkdir(name string) error { return syscall.Mkdir(h.path(name), 0o755) }

func (h hostFS) Rmdir(name string) error { return syscall.Rmdir(h.path(name)) }

func (h hostFS) Stat(name string) error { return syscall.Lstat(h.path(name), &syscall.Stat_t{}) }

func (h hostFS) ReadDir(name string) (names []string, err error) {
	list, err := os.ReadDir(h.path(name))
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, err
}

// Broken implements [fileops.FS]: what is none of the guest's errors is EIO, and ENOTCONN once the server is gone.
func (h hostFS) Broken(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOTCONN)
}

// hostFile is a descriptor that Go's own poller knows nothing of.
type hostFile int

func (f hostFile) Read(p []byte) (int, error) {
	n, err := syscall.Read(int(f), p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

func (f hostFile) Write(p []byte) (int, error) {
	n, err := syscall.Write(int(f), p)
	return max(n, 0), err
}

func (f hostFile) Seek(off int64, whence int) (int64, error) {
	return syscall.Seek(int(f), off, whence)
}

func (f hostFile) Truncate(size int64) error { return syscall.Ftruncate(int(f), size) }

func (f hostFile) Close() error { return syscall.Close(int(f)) }

// Poll is poll(2) that does not wait.
func (f hostFile) Poll() error {
	request := struct {
		fd              int32
		events, revents int16
	}{int32(f), 1 | 2 | 4, 0} // POLLIN, POLLPRI, POLLOUT
	_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&request)), 1, uintptr(unsafe.Pointer(&syscall.Timespec{})), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// soakClients is how many goroutines make the operations.
const soakClients = 8

// hangs is after how long an operation counts as one that does not end.
const hangs = 10 * time.Minute

// Random operations by many goroutines on the mounted files, valid and not, end each, and leave the guest alive.
func TestSoak_RandomFileOperationsThroughTheMount(t *testing.T) {
	dir, m := mounted(t)
	before := heap()
	var wg sync.WaitGroup
	for i := range soakClients {
		wg.Go(func() {
			c := fileops.NewClient(hostFS(dir), *soakSeed<<8+uint64(i))
			for range *soakOperations / soakClients {
				hung := time.AfterFunc(hangs, func() { t.Errorf("client %d: an operation has not ended", i) })
				err := c.Do()
				hung.Stop()
				if !assert.NoError(t, err) {
					return
				}
			}
			assert.NoError(t, c.Close())
		})
	}
	wg.Wait()
	tracer, err := os.ReadFile(filepath.Join(dir, "current_tracer"))
	require.NoError(t, err)
	assert.NotEmpty(t, strings.TrimSpace(string(tracer)))
	assert.Less(t, heap(), before+64<<20)
	t.Logf("%d operations, %d million instructions, %d MB", *soakOperations, m.Count()/1e6, heap()>>20)
}

// heap is how much of Go's is in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

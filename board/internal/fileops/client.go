package fileops

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
)

// FS is a tracefs. Paths are relative to its root, and errors are the kernel's, but for what [FS.Broken] reports.
type FS interface {
	Open(name string, flag int) (File, error)
	Mkdir(name string) error
	Rmdir(name string) error
	ReadDir(name string) ([]string, error)
	Stat(name string) error

	// Broken reports whether an error is none that a file operation may have: the kernel is dead, or something on the way to it is.
	Broken(err error) bool
}

// File is an open file.
type File interface {
	io.ReadWriteSeeker
	io.Closer
	Truncate(size int64) error
}

// Poller is a File that can be polled.
type Poller interface {
	Poll() error // returns at once, ready or not
}

// maxOpen is how many files a client has open at most.
const maxOpen = 6

// Client makes operations, one after the other. Several clients may share an FS that is for several goroutines.
type Client struct {
	fs   FS
	rand *rand.Rand
	open []opened
	dirs map[string][]string // what was in them
	n    int
	last string
}

type opened struct {
	File
	name string
}

// NewClient makes a client whose operations follow from seed, and from what it finds.
func NewClient(fs FS, seed uint64) *Client {
	return &Client{fs: fs, rand: rand.New(rand.NewPCG(seed, 0)), dirs: make(map[string][]string)}
}

// operations are what a client does, with how often of 100.
var operations = []struct {
	often int
	name  string
	do    func(c *Client) error
}{
	{14, "open", (*Client).openOne},
	{20, "read", (*Client).read},
	{18, "write", (*Client).write},
	{5, "seek", (*Client).seek},
	{3, "truncate", (*Client).truncate},
	{4, "poll", (*Client).poll},
	{8, "close", (*Client).close},
	{12, "echo", (*Client).echo},
	{6, "cat", (*Client).cat},
	{3, "stat", (*Client).stat},
	{3, "readdir", (*Client).readDir},
	{2, "mkdir", (*Client).mkdir},
	{2, "rmdir", (*Client).rmdir},
}

// calmEvery is how many operations lie between two that turn everything off: tracing that all clients have turned on
// together takes more time than the operations.
const calmEvery = 200

// Do makes an operation. What the kernel answers is no error; what is broken is.
func (c *Client) Do() error {
	c.n++
	if c.n%calmEvery == 0 {
		c.last = "calm"
		return c.calm()
	}
	at := c.rand.IntN(100)
	for _, op := range operations {
		if at -= op.often; at < 0 {
			c.last = op.name
			return c.check(op.do(c))
		}
	}
	return nil
}

// Last tells the last operation, for messages.
func (c *Client) Last() string { return fmt.Sprintf("operation %d: %s", c.n, c.last) }

// Close closes what is open.
func (c *Client) Close() error {
	for _, f := range c.open {
		if err := c.check(f.Close()); err != nil {
			return err
		}
	}
	c.open = nil
	return nil
}

// check forgets the kernel's errors.
func (c *Client) check(err error) error {
	if err == nil || !c.fs.Broken(err) {
		return nil
	}
	return fmt.Errorf("%s: %w", c.Last(), err)
}

// note says what the operation is about to do.
func (c *Client) note(format string, args ...any) { c.last += " " + fmt.Sprintf(format, args...) }

func (c *Client) openOne() error {
	if len(c.open) == maxOpen {
		return c.close()
	}
	_, err := c.openFile(c.file(), c.flags())
	return err
}

func (c *Client) openFile(name string, flag int) (opened, error) {
	c.note("%s, flags %#x", name, flag)
	f, err := c.fs.Open(name, flag)
	if err != nil {
		return opened{}, err
	}
	o := opened{f, name}
	c.open = append(c.open, o)
	return o, nil
}

func (c *Client) flags() int {
	flag := pick(c.rand, []int{os.O_RDONLY, os.O_RDONLY, os.O_WRONLY, os.O_RDWR})
	if flag != os.O_RDONLY {
		flag |= pick(c.rand, []int{0, os.O_TRUNC, os.O_APPEND, os.O_APPEND | os.O_TRUNC})
	}
	return flag
}

// some is an open file; one is opened where there is none.
func (c *Client) some(flag int) (opened, error) {
	if len(c.open) == 0 {
		return c.openFile(c.file(), flag)
	}
	f := pick(c.rand, c.open)
	c.note("%s", f.name)
	return f, nil
}

func (c *Client) read() error {
	f, err := c.some(os.O_RDONLY)
	if err != nil {
		return err
	}
	_, err = f.Read(make([]byte, pick(c.rand, []int{1, 7, 100, 4096, 65536})))
	return err
}

func (c *Client) write() error {
	f, err := c.some(os.O_WRONLY | os.O_APPEND)
	if err != nil {
		return err
	}
	text := textFor(c.rand, f.name)
	c.note("%.80q", text)
	_, err = io.WriteString(f, text)
	return err
}

func (c *Client) seek() error {
	f, err := c.some(os.O_RDONLY)
	if err != nil {
		return err
	}
	_, err = f.Seek(pick(c.rand, []int64{0, 0, 1, 100, -1, 1 << 40}), c.rand.IntN(3))
	return err
}

func (c *Client) truncate() error {
	f, err := c.some(os.O_WRONLY)
	if err != nil {
		return err
	}
	return f.Truncate(pick(c.rand, []int64{0, 0, 1, 1 << 30}))
}

func (c *Client) poll() error {
	f, err := c.some(os.O_RDONLY)
	if err != nil {
		return err
	}
	if p, ok := f.File.(Poller); ok {
		return p.Poll()
	}
	return nil
}

func (c *Client) close() error {
	if len(c.open) == 0 {
		return nil
	}
	i := c.rand.IntN(len(c.open))
	f := c.open[i]
	c.note("%s", f.name)
	c.open = slices.Delete(c.open, i, i+1)
	return f.Close()
}

// echo writes to a file as a shell does.
func (c *Client) echo() error {
	name := c.file()
	text := textFor(c.rand, name)
	return c.writeFile(name, pick(c.rand, []int{os.O_TRUNC, os.O_APPEND}), text)
}

func (c *Client) writeFile(name string, flag int, text string) error {
	c.note("%s, flags %#x: %.80q", name, flag, text)
	f, err := c.fs.Open(name, os.O_WRONLY|flag)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if c.fs.Broken(err) {
		return err
	}
	return f.Close()
}

// catReads bounds how much is read of a file: one that grows as it is read has no end.
const catReads = 8

func (c *Client) cat() error {
	name := c.file()
	c.note("%s", name)
	f, err := c.fs.Open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	for range catReads {
		if _, err = f.Read(b); err != nil {
			break
		}
	}
	if c.fs.Broken(err) {
		return err
	}
	return f.Close()
}

func (c *Client) stat() error {
	name := c.file()
	c.note("%s", name)
	return c.fs.Stat(name)
}

func (c *Client) readDir() error {
	name := path.Dir(c.file())
	c.note("%s", name)
	_, err := c.list(name, true)
	return err
}

// list returns what is in a folder, or was when it was listed last.
func (c *Client) list(name string, again bool) ([]string, error) {
	if names, ok := c.dirs[name]; ok && !again {
		return names, nil
	}
	names, err := c.fs.ReadDir(name)
	if err == nil {
		c.dirs[name] = names
	}
	return names, err
}

func (c *Client) mkdir() error {
	name := pick(c.rand, folders)
	c.note("%.40s", name)
	return c.fs.Mkdir(name)
}

func (c *Client) rmdir() error {
	name := pick(c.rand, folders)
	c.note("%.40s", name)
	return c.fs.Rmdir(name)
}

// calm turns off what makes the kernel slow.
func (c *Client) calm() error {
	for _, w := range []struct{ name, text string }{
		{"current_tracer", "nop\n"},
		{"events/enable", "0\n"},
		{"set_event_pid", ""},
		{"set_ftrace_filter", ""},
		{"set_ftrace_notrace", ""},
		{"kprobe_events", ""},
		{"synthetic_events", ""},
		{"buffer_size_kb", "100\n"},
		{"options/func_stack_trace", "0\n"},
		{"options/stacktrace", "0\n"},
		{"tracing_on", "1\n"},
	} {
		if err := c.check(c.writeFile(w.name, os.O_TRUNC, w.text)); err != nil {
			return err
		}
	}
	return nil
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"callops/emu"
	"callops/internal/errno"
	"callops/kernelimage"
)

const commSize = 16 // TASK_COMM_LEN

// Task is a task_struct and its kernel stack, which lies between two unmapped
// pages.
type Task struct {
	Addr  uint64
	Stack kernelimage.Range
}

// tasks are the places in the task area.
type tasks struct {
	mu       sync.Mutex // guards what follows
	made     uint64     // tasks, ever
	taken    uint64     // places
	live     map[*Task]bool
	freed    []*Task
	watchers []TaskNotifier
}

// TaskNotifier is called for a task that was made, and once more (gone) before its memory goes to
// another. It must not make or free a task. An error refuses a task that is made.
type TaskNotifier func(t *Task, gone bool) error

// WatchTasks has n told of every task from now on, and first of those that there are, in the order
// of their addresses. The first error ends that.
func (k *Kernel) WatchTasks(n TaskNotifier) error {
	k.tasks.mu.Lock()
	defer k.tasks.mu.Unlock()
	for _, t := range slices.SortedFunc(maps.Keys(k.tasks.live), func(a, b *Task) int { return cmp.Compare(a.Addr, b.Addr) }) {
		if err := n(t, false); err != nil {
			return err
		}
	}
	k.tasks.watchers = append(k.tasks.watchers, n)
	return nil
}

// NewTask makes a task with the given name (comm) that is on the given CPU:
// preemption is enabled, no recursion bit is taken. The first task of each CPU
// is made by Boot. ENOMEM when there is no room for one more, EINVAL for a CPU that is
// not there.
func (k *Kernel) NewTask(name string, cpu int) (*Task, error) {
	if cpu < 0 || cpu > len(k.CPUs) { // Boot makes a CPU's task before the CPU
		return nil, fmt.Errorf("task %s on CPU %d of %d: %w", name, cpu, len(k.CPUs), errno.EINVAL)
	}
	k.tasks.mu.Lock()
	defer k.tasks.mu.Unlock()
	t, err := k.placeTask()
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", name, err)
	}
	l := &k.Layout.Task
	comm := make([]byte, commSize)
	copy(comm[:commSize-1], name)
	k.tasks.made++
	err = errors.Join(
		k.put64(t.Addr, l.PreemptCount, preemptEnabled),
		k.put32(t.Addr, l.CPU, uint32(cpu)),
		k.put64(t.Addr, l.Stack, t.Stack.Start),
		k.put32(t.Addr, l.Pid, firstPid+uint32(k.tasks.made-1)),
		k.put64(t.Addr, l.StackCanary, canary),
		k.put32(t.Addr, l.Usage, taskUsage),
		k.put(t.Addr, l.Comm, comm),
	)
	if k.tasks.live == nil {
		k.tasks.live = make(map[*Task]bool)
	}
	k.tasks.live[t] = true
	for _, n := range k.tasks.watchers {
		err = errors.Join(err, n(t, false))
	}
	return t, err
}

// placeTask finds zeroed memory for a task: of the task area a task, a guard
// page, the stack, two guard pages; or that of a task which is gone.
func (k *Kernel) placeTask() (*Task, error) {
	size, stack := k.pages(uint64(k.Layout.Task.Size)), k.Image.ThreadSize()
	if n := len(k.tasks.freed); n > 0 {
		t := k.tasks.freed[n-1]
		k.tasks.freed = k.tasks.freed[:n-1]
		return t, errors.Join(k.Mem.Write(t.Addr, make([]byte, size)), k.Mem.Write(t.Stack.Start, make([]byte, stack)))
	}
	stride := k.pages(size + stack + 3*guardSize)
	n := k.tasks.taken
	if (n+1)*stride > heapArea-taskArea {
		return nil, errno.ENOMEM
	}
	k.tasks.taken++
	t := &Task{Addr: k.areas + taskArea + n*stride}
	t.Stack.Start = t.Addr + size + guardSize
	t.Stack.End = t.Stack.Start + stack
	if _, err := k.Mem.Map(fmt.Sprintf("task%d", n), t.Addr, size, emu.Read|emu.Write); err != nil {
		return nil, err
	}
	_, err := k.Mem.Map(fmt.Sprintf("stack%d", n), t.Stack.Start, stack, emu.Read|emu.Write)
	return t, err
}

// FreeTask gives the memory of a task that NewTask made to the next one.
func (k *Kernel) FreeTask(t *Task) {
	k.tasks.mu.Lock()
	defer k.tasks.mu.Unlock()
	if t != nil && k.tasks.live[t] {
		for _, n := range k.tasks.watchers {
			_ = n(t, true)
		}
		delete(k.tasks.live, t)
		k.tasks.freed = append(k.tasks.freed, t)
	}
}

// TaskName reads the PID and the name (comm) of the task_struct at addr.
func (k *Kernel) TaskName(addr uint64) (pid uint32, comm string, err error) {
	l := &k.Layout.Task
	if pid, err = k.Mem.Load32(addr + uint64(l.Pid)); err != nil {
		return 0, "", err
	}
	name := make([]byte, commSize)
	if err := k.Mem.Read(addr+uint64(l.Comm), name); err != nil {
		return 0, "", err
	}
	comm, _, _ = strings.Cut(string(name), "\x00")
	return pid, comm, nil
}

// TaskState is what a function that is cut short leaves wrong in its task.
type TaskState []savedWord

type savedWord struct{ addr, value uint64 }

// SaveTask reads the preemption count, the recursion bits and the state of the
// task_struct at addr.
func (k *Kernel) SaveTask(addr uint64) (TaskState, error) {
	var words TaskState
	for _, off := range []int{k.Layout.Task.PreemptCount, k.Layout.Task.TraceRecursion, k.Layout.Task.State} {
		if off == kernelimage.Absent {
			continue
		}
		at := (addr + uint64(off)) &^ 7 // the state has 32 bits
		v, err := k.Mem.Load64(at)
		if err != nil {
			return nil, err
		}
		words = append(words, savedWord{at, v})
	}
	return words, nil
}

// RestoreTask writes them back.
func (k *Kernel) RestoreTask(s TaskState) error {
	var errs []error
	for _, w := range s {
		errs = append(errs, k.Mem.Store64(w.addr, w.value))
	}
	return errors.Join(errs...)
}

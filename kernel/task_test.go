package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/kernelimage"
)

func TestNewTask_HasMemoryOfItsOwn(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := Boot(img, interp.New, &BootOptions{CPUs: 2})
	require.NoError(t, err)
	defer k.Close()
	a, err := k.NewTask("a", 1)
	require.NoError(t, err)
	b, err := k.NewTask("b", 0)
	require.NoError(t, err)

	l := &k.Layout.Task
	seen := map[uint64]bool{k.CPUs[0].Task: true, k.CPUs[1].Task: true}
	for _, task := range []*Task{a, b} {
		require.False(t, seen[task.Addr])
		seen[task.Addr] = true
		assert.EqualValues(t, 16<<10, task.Stack.End-task.Stack.Start)
		assert.Nil(t, k.Mem.Region(task.Stack.Start-1), "guard page below the stack")
		assert.Nil(t, k.Mem.Region(task.Stack.End), "and above")
		count, err := k.Mem.Load64(task.Addr + uint64(l.PreemptCount))
		require.NoError(t, err)
		assert.EqualValues(t, preemptEnabled, count)
	}
	cpu, err := k.Mem.Load32(a.Addr + uint64(l.CPU))
	require.NoError(t, err)
	assert.EqualValues(t, 1, cpu)

	// What is freed comes back, zeroed and with another pid.
	pid := func(task *Task) uint32 {
		v, err := k.Mem.Load32(task.Addr + uint64(l.Pid))
		require.NoError(t, err)
		return v
	}
	old := pid(a)
	require.NoError(t, k.Mem.Store64(a.Stack.Start, 7))
	k.FreeTask(a)
	k.FreeTask(a)
	again, err := k.NewTask("again", 0)
	require.NoError(t, err)
	assert.Same(t, a, again)
	assert.NotEqual(t, old, pid(again))
	v, err := k.Mem.Load64(again.Stack.Start)
	require.NoError(t, err)
	assert.Zero(t, v)
	other, err := k.NewTask("other", 0)
	require.NoError(t, err)
	assert.NotSame(t, a, other)
}

func TestSaveTask_RestoresWhatACallLeavesWrong(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer k.Close()
	task := k.CPUs[0].Task
	saved, err := k.SaveTask(task)
	require.NoError(t, err)
	at := task + uint64(k.Layout.Task.TraceRecursion)
	require.NoError(t, k.Mem.Store64(at, 8))
	require.NoError(t, k.RestoreTask(saved))
	v, err := k.Mem.Load64(at)
	require.NoError(t, err)
	assert.Zero(t, v)
	_, err = k.SaveTask(0x10)
	var fault *emu.Fault
	require.ErrorAs(t, err, &fault)
}

package mount

import (
	"encoding/binary"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShell_TasksAreTheCommandsProcesses(t *testing.T) {
	m := machine(t)
	require.NoError(t, m.Mount(t.Context(), "proc", "/proc"))
	out, err := script(t, m, `
		cd /sys/kernel/tracing
		echo $$; echo $$ > set_event_pid
		echo 1 > events/sched/sched_process_fork/enable
		echo 1 > events/sched/sched_process_exit/enable
		(:)
		sh -c 'cat set_event_pid'
		cat trace`, &ShellOptions{Tasks: true})
	require.NoError(t, err)
	pid := regexp.MustCompile(`^\d+`).FindString(out)
	require.NotEmpty(t, pid, out)
	forks := regexp.MustCompile(` sh-`+pid+` .* sched_process_fork: comm=sh pid=`+pid+` child_comm=sh child_pid=\d+\n`).FindAllString(out, -1)
	assert.Len(t, forks, 3, out)
	assert.NotContains(t, out, "sched_process_exit", "the others are not traced")
	_, err = m.ReadFile(t.Context(), "/proc/"+pid+"/comm")
	require.Error(t, err, "it has exited in the guest too")
}

func FuzzEvent(f *testing.F) {
	fork := make([]byte, headerSize+eventHeader+16)
	binary.LittleEndian.PutUint32(fork[headerSize:], eventFork)
	f.Add(fork)
	f.Fuzz(func(t *testing.T, msg []byte) {
		p := &processes{} // none is ours, so nothing is done
		assert.NoError(t, p.event(t.Context(), msg))
	})
}

package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func times(events []Event) (list []uint64) {
	for _, e := range events {
		list = append(list, e.Time)
	}
	return list
}

func TestLog_OverwritesTheOldest(t *testing.T) {
	l := NewLog(2, 3)
	for i := range uint64(5) {
		l.Add(Event{CPU: uint32(i % 2), Time: i})
	}
	r := &Recording{Lost: []uint64{10}}
	r.Merge(l)
	assert.Equal(t, []uint64{2, 3, 4}, times(r.Events))
	assert.Equal(t, []uint64{11, 1}, r.Lost)
	assert.EqualValues(t, 12, r.Overrun())
	assert.Equal(t, 2, r.CPUs)
}

// A task has what its CPU did between two switches; of events at the same time the switch is first.
func TestRecording_MergeTellsWhoseEventsTheyAre(t *testing.T) {
	l := NewLog(2, 100)
	l.Begin(0, 100, "swapper/0")
	l.Begin(1, 101, "swapper/1")
	l.Switch(0, 10, 0, 7, "sh")
	l.Switch(1, 10, 0, 8, "cat")
	l.Switch(0, 30, 1, 8, "cat")
	r := &Recording{CPUs: 2, Events: []Event{
		{CPU: 0, Time: 5}, {CPU: 0, Time: 10}, {CPU: 1, Time: 12}, {CPU: 0, Time: 29}, {CPU: 0, Time: 31}, {CPU: 0, Time: 32, PID: 99},
	}, Tasks: map[uint32]string{99: "own"}}
	r.Merge(l)
	var pids []uint32
	for _, e := range r.Events {
		if e.Kind == KindFunction {
			pids = append(pids, e.PID)
		} else {
			assert.NotZero(t, e.Next)
		}
	}
	assert.Equal(t, []uint32{100, 7, 8, 7, 8, 99}, pids)
	assert.Equal(t, []uint64{5, 10, 10, 10, 12, 29, 30, 31, 32}, times(r.Events))
	assert.Equal(t, map[uint32]string{100: "swapper/0", 101: "swapper/1", 7: "sh", 8: "cat", 99: "own"}, r.Tasks)
}

func TestMergeByTime_PutsInOrderWhatAnInterruptTraced(t *testing.T) {
	got := mergeByTime([]Event{{Time: 1}, {Time: 9}, {Time: 8}}, nil, []Event{{Time: 2, CPU: 1}, {Time: 8, CPU: 1}})
	assert.Equal(t, []Event{{Time: 1}, {Time: 2, CPU: 1}, {Time: 8}, {Time: 8, CPU: 1}, {Time: 9}}, got)
}

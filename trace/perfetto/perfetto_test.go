package perfetto

import (
	"bytes"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/tools"
	"callops/trace/timeline"
)

var some = &timeline.Timeline{
	Tracks: []timeline.Track{{Name: "CPU 0", Parent: -1}, {Name: "sh 7", Parent: 0}},
	Events: slices.Values([]timeline.Event{
		{Track: 0, Phase: timeline.Begin, Name: "sh 7", Category: "sched"},
		{Track: 1, Phase: timeline.Begin, Time: 10, Name: "vfs_read", Category: "graph", Args: []timeline.Arg{{Name: "x0", Value: "1"}, {Name: "x1", Value: "2"}}},
		{Track: 1, Phase: timeline.Instant, Time: 11, Name: "vfs_read", Category: "function", Args: []timeline.Arg{{Name: "x0", Value: "\x00"}}},
		{Track: 1, Phase: timeline.End, Time: 1 << 40},
		{Track: 0, Phase: timeline.End, Time: 1 << 40},
	}),
}

// decode is what protoc makes of a file, by Perfetto's own numbers.
func decode(t *testing.T, file []byte) string {
	t.Helper()
	cmd := exec.Command(tools.Need(t, "protoc", "protobuf-compiler"), "--decode=perfetto.protos.Trace", "-Itestdata", "trace.proto")
	cmd.Stdin = bytes.NewReader(file)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

func TestWrite_ProtocDecodesIt(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Write(&b, some))
	got := decode(t, b.Bytes())
	assert.NotRegexp(t, `(?m)^ *\d+[:{ ]`, got, "fields that Perfetto has not")
	packets := strings.Split(strings.TrimSuffix(strings.TrimPrefix(got, "packet {\n"), "}\n"), "}\npacket {\n")
	require.Len(t, packets, 8)
	assert.Equal(t, `  clock_snapshot {
    clocks {
      clock_id: 6
      timestamp: 0
    }
    primary_trace_clock: BUILTIN_CLOCK_BOOTTIME
  }
  timestamp: 0
  trusted_packet_sequence_id: 1
  sequence_flags: 1
  first_packet_on_sequence: true
`, packets[0])
	assert.Equal(t, `  trusted_packet_sequence_id: 1
  track_descriptor {
    uuid: 2
    name: "sh 7"
    parent_uuid: 1
    child_ordering: EXPLICIT
    sibling_order_rank: 1
    sibling_merge_behavior: SIBLING_MERGE_BEHAVIOR_NONE
  }
`, packets[2])
	assert.Equal(t, `  timestamp: 10
  trusted_packet_sequence_id: 1
  track_event {
    category_iids: 2
    debug_annotations {
      name_iid: 1
      string_value: "1"
    }
    debug_annotations {
      name_iid: 2
      string_value: "2"
    }
    type: TYPE_SLICE_BEGIN
    name_iid: 2
    track_uuid: 2
  }
  interned_data {
    event_categories {
      iid: 2
      name: "graph"
    }
    event_names {
      iid: 2
      name: "vfs_read"
    }
    debug_annotation_names {
      iid: 1
      name: "x0"
    }
    debug_annotation_names {
      iid: 2
      name: "x1"
    }
  }
  sequence_flags: 2
  timestamp_clock_id: 6
`, packets[4])
	assert.NotContains(t, packets[5], "vfs_read", "which is known by then")
	assert.Contains(t, packets[5], "type: TYPE_INSTANT\n    name_iid: 2\n")
	assert.Contains(t, packets[6], "timestamp: 1099511627776\n")
	assert.Contains(t, packets[6], "type: TYPE_SLICE_END\n")
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWrite_TellsOfAFailedWrite(t *testing.T) {
	assert.ErrorIs(t, Write(full{}, some), errFull)
	many := *some
	many.Events = func(yield func(timeline.Event) bool) {
		for i := 0; yield(timeline.Event{Time: uint64(i), Name: "x"}); i++ {
			require.Less(t, i, 1_000_000, "goes on after the error")
		}
	}
	assert.ErrorIs(t, Write(full{}, &many), errFull)
}

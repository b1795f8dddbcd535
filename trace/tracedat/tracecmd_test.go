package tracedat

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/tools"
	"callops/kernelimage"
	"callops/trace"
)

// report is what trace-cmd says of a recording.
func report(t *testing.T, r *trace.Recording, opts *Options, args ...string) string {
	t.Helper()
	tools.Need(t, "trace-cmd", "trace-cmd")
	file := filepath.Join(t.TempDir(), "trace.dat")
	var b bytes.Buffer
	require.NoError(t, Write(&b, r, opts))
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	cmd := exec.Command("trace-cmd", append([]string{"report", "-i", file}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", stderr.String())
	assert.Empty(t, stderr.String())
	return string(out)
}

var symbols = []kernelimage.Symbol{
	{Name: "vfs_read", Addr: 0xffff800080001000, Func: true, Type: 'T'},
	{Name: "ksys_read", Addr: 0xffff800080002000, Func: true},
	{Name: "table", Addr: 0xffff800080003000},
	{Name: "in a module", Addr: 0xffff800000001000, Func: true}, // no name that kallsyms can have
	{Name: "ext4_sync", Addr: 0xffff800000002000, Func: true, Type: 't', Module: "ext4"},
}

const (
	vfsRead  = 0xffff800080001000
	ksysRead = 0xffff800080002000
	ext4Sync = 0xffff800000002000
)

func forVersions(t *testing.T, f func(t *testing.T, opts *Options)) {
	t.Helper()
	for _, v := range []int{6, 7} {
		t.Run(fmt.Sprint("version ", v), func(t *testing.T) {
			f(t, &Options{Version: v, Symbols: symbols, System: "Linux callops 6.12 aarch64"})
		})
	}
}

func TestWrite_TraceCmdPrintsEveryKind(t *testing.T) {
	r := &trace.Recording{
		CPUs:  2,
		Tasks: map[uint32]string{100: "callops/0", 101: "callops/1"},
		Events: []trace.Event{
			{Kind: trace.KindPatch, CPU: 0, PID: 100, Time: 3, IP: vfsRead + 4, Size: 4, Old: 0xd503201f, Value: 0x94000000, Text: "vfs_read+0x4: nop -> bl ftrace_caller"},
			{Kind: trace.KindFunction, CPU: 0, PID: 100, Time: 10, IP: vfsRead + 4, ParentIP: ksysRead + 8},
			{Kind: trace.KindFunction, CPU: 1, PID: 101, Time: 12, IP: ext4Sync, ParentIP: 0x1234, Args: &[8]uint64{1, 2, 3}},
			{Kind: trace.KindInsn, CPU: 1, PID: 101, Time: 14, IP: vfsRead + 8, Value: 0xd65f03c0, Text: "ret"},
			{Kind: trace.KindPrintk, CPU: 1, PID: 101, Time: 15, Text: "two\nlines"},
			{Kind: trace.KindSwitch, CPU: 1, PID: 101, Time: 1 << 30, Next: 0, Depth: 1},
			{Kind: trace.KindSwitch, CPU: 0, PID: 100, Time: 1 << 61, Next: 101},
		},
	}
	const want = `cpus=2
       callops/0-100   [000]           3: patch:                ffff800080001004 vfs_read+0x4: nop -> bl ftrace_caller
       callops/0-100   [000]          10: function:             vfs_read <-- ksys_read
       callops/1-101   [001]          12: function:             ext4_sync <-- 0x1234
       callops/1-101   [001]          14: insn:                 vfs_read+0x8 d65f03c0 ret
       callops/1-101   [001]          15: console:              two lines
       callops/1-101   [001]  1073741824: sched_switch:         callops/1:101 [120] S ==> swapper/0:0 [120]
       callops/0-100   [000]2305843009213693952: sched_switch:         callops/0:100 [120] R ==> callops/1:101 [120]
`
	forVersions(t, func(t *testing.T, opts *Options) {
		assert.Equal(t, want, report(t, r, opts, "-O", "parent"))
		assert.Contains(t, report(t, r, opts, "--uname"), "Linux callops 6.12 aarch64")
	})
}

// The format alone, without trace-cmd's own way of printing an event, says the same.
func TestWrite_TraceCmdKnowsTheFormats(t *testing.T) {
	r := &trace.Recording{CPUs: 1, Events: []trace.Event{
		{Kind: trace.KindFunction, Time: 1, IP: vfsRead, ParentIP: ksysRead, Args: &[8]uint64{7, 8, 9, 10, 11, 12, 13, 14}},
		{Kind: trace.KindGraphEntry, Time: 2, IP: vfsRead, ParentIP: ksysRead, Depth: 3},
		{Kind: trace.KindGraphReturn, Time: 20, IP: vfsRead, Depth: 3, Start: 2, Value: 0xdead},
		{Kind: trace.KindSwitch, Time: 21, PID: 5, Next: 6, Depth: 0x21},
		{Kind: trace.KindPatch, Time: 22, IP: 1, Old: 2, Value: 3, Size: 8, Text: "t"},
	}}
	forVersions(t, func(t *testing.T, opts *Options) {
		raw := report(t, r, opts, "-R")
		for _, want := range []string{
			"function:              ip=vfs_read parent_ip=ksys_read",
			"funcgraph_entry:       func=vfs_read depth=3",
			"funcgraph_exit:        func=vfs_read retval=dead depth=3 overrun=0 calltime=0x2 rettime=0x14",
			"sched_switch:          prev_comm= prev_pid=5 prev_prio=120 prev_state=33 next_comm= next_pid=6 next_prio=120",
			"patch:                 ip=1 old=0x2 new=0x3 size=8 text=t",
		} {
			assert.Contains(t, raw, want)
		}
		assert.Contains(t, report(t, r, opts, "-N"), "prev_state=S|Z ==>", "by the format")
	})
}

func TestWrite_TraceCmdPrintsAGraph(t *testing.T) {
	r := &trace.Recording{CPUs: 1, Tasks: map[uint32]string{7: "sh"}, Events: []trace.Event{
		{Kind: trace.KindGraphEntry, PID: 7, Time: 100, IP: ksysRead},
		{Kind: trace.KindGraphEntry, PID: 7, Time: 110, IP: vfsRead, Depth: 1},
		{Kind: trace.KindGraphReturn, PID: 7, Time: 1365, IP: vfsRead, Start: 110, Depth: 1},
		{Kind: trace.KindGraphReturn, PID: 7, Time: 13000, IP: ksysRead, Start: 100},
	}}
	forVersions(t, func(t *testing.T, opts *Options) {
		assert.Equal(t, `cpus=1
              sh-7     [000]         100: funcgraph_entry:                   |  ksys_read() {
              sh-7     [000]         110: funcgraph_entry:        1.255 us   |    vfs_read();
              sh-7     [000]       13000: funcgraph_exit:       + 12.900 us  |  }
`, report(t, r, opts))
	})
}

func TestWrite_TraceCmdTellsOfLostEvents(t *testing.T) {
	r := &trace.Recording{CPUs: 2, Lost: []uint64{0, 123}, Events: []trace.Event{
		{Kind: trace.KindFunction, CPU: 0, Time: 1, IP: vfsRead},
		{Kind: trace.KindFunction, CPU: 1, Time: 2, IP: vfsRead},
	}}
	forVersions(t, func(t *testing.T, opts *Options) {
		got := report(t, r, opts)
		assert.Contains(t, got, "CPU:1 [123 EVENTS DROPPED]\n")
		assert.Equal(t, 1, strings.Count(got, "DROPPED"))
		stat := report(t, r, opts, "--stat")
		assert.Contains(t, stat, "overrun: 123\n")
		assert.Contains(t, stat, "read events: 1\n")
	})
}

// Thousands of pages and chunks, on CPUs of which one has nothing.
func TestWrite_TraceCmdReadsAllOfALongOne(t *testing.T) {
	const n = 60_000
	r := &trace.Recording{CPUs: 3}
	for i := range uint64(n) {
		r.Events = append(r.Events, trace.Event{CPU: uint32(i%2) * 2, Time: i * 3, IP: vfsRead, ParentIP: ksysRead})
	}
	forVersions(t, func(t *testing.T, opts *Options) {
		got := strings.Split(strings.TrimSpace(report(t, r, opts)), "\n")
		require.GreaterOrEqual(t, len(got), n)
		for i, line := range got[len(got)-n:] {
			require.Equal(t, fmt.Sprintf("          <idle>-0     [%03d]%12d: function:             vfs_read", i%2*2, i*3), line)
		}
	})
}

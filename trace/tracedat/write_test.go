package tracedat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/trace"
	"callops/trace/ringbuffer"
)

// Arguments follow the fields, as FUNCTION_TRACE_ARGS of 6.15 has them: trace-cmd 3.1 does not print them.
func TestEncode_ArgumentsFollowTheFields(t *testing.T) {
	pages, err := encode(&trace.Recording{CPUs: 1, Events: []trace.Event{
		{Kind: trace.KindFunction, PID: 9, IP: 1, ParentIP: 2, Args: &[8]uint64{10, 11, 12, 13, 14, 15, 16, 17}},
		{Kind: trace.KindGraphEntry, IP: 3, Depth: 4, Args: &[8]uint64{20}},
		{Kind: trace.KindFunction, IP: 5},
	}})
	require.NoError(t, err)
	p, err := ringbuffer.Decode(pages[0])
	require.NoError(t, err)
	words := func(i int) (list []uint64) {
		for b := p.Events[i].Data; len(b) >= 8; b = b[8:] {
			list = append(list, binary.LittleEndian.Uint64(b))
		}
		return list
	}
	assert.Equal(t, []uint64{1 | 9<<32, 1, 2, 10, 11, 12, 13, 14, 15, 16, 17}, words(0))
	assert.Equal(t, []uint64{11, 3, 4, 20, 0, 0, 0, 0, 0, 0, 0}, words(1))
	assert.Equal(t, []uint64{1, 5, 0}, words(2))
}

func TestFormats_EveryKindHasOne(t *testing.T) {
	seen := make(map[uint16]string)
	for i := range formats {
		f := &formats[i]
		assert.Equal(t, f, byKind[f.kind].format)
		assert.NotContains(t, seen, f.id)
		seen[f.id] = f.name
	}
	for kind := trace.KindFunction; kind <= trace.KindSwitch; kind++ {
		assert.NotNil(t, byKind[kind], "kind %d", kind)
	}
	assert.Len(t, formats, int(trace.KindSwitch)+1)
}

// The text is that of Linux 6.12 for an event that has not changed since.
func TestFormat_IsTracefsText(t *testing.T) {
	assert.Equal(t, `name: console
ID: 301
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:__data_loc char[] msg;	offset:8;	size:4;	signed:0;

print fmt: "%s", __get_str(msg)
`, byKind[trace.KindPrintk].String())
}

func TestWrite_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		r    *trace.Recording
		opts *Options
	}{
		"nothing":         {nil, nil},
		"no CPUs":         {&trace.Recording{}, nil},
		"a version":       {&trace.Recording{CPUs: 1}, &Options{Version: 5}},
		"another CPU":     {&trace.Recording{CPUs: 1, Events: []trace.Event{{CPU: 1}}}, nil},
		"another kind":    {&trace.Recording{CPUs: 1, Events: []trace.Event{{Kind: 200}}}, nil},
		"time going back": {&trace.Recording{CPUs: 1, Events: []trace.Event{{Time: 2}, {Time: 1}}}, nil},
	} {
		var b bytes.Buffer
		assert.ErrorIs(t, Write(&b, c.r, c.opts), errno.EINVAL, name)
		assert.Zero(t, b.Len(), name)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWrite_TellsOfAFailedWrite(t *testing.T) {
	for _, v := range []int{6, 7} {
		assert.ErrorIs(t, Write(full{}, &trace.Recording{CPUs: 1}, &Options{Version: v}), errFull)
	}
}

func TestWrite_CutsLongTexts(t *testing.T) {
	pages, err := encode(&trace.Recording{CPUs: 1, Events: []trace.Event{{Kind: trace.KindPrintk, Text: strings.Repeat("x", 5000)}}})
	require.NoError(t, err)
	p, err := ringbuffer.Decode(pages[0])
	require.NoError(t, err)
	assert.Len(t, p.Events[0].Data, commonSize+4+maxText)
	assert.Equal(t, "x\x00", string(p.Events[0].Data[len(p.Events[0].Data)-2:]))
}

func BenchmarkWrite(b *testing.B) {
	const n = 1 << 20
	r := &trace.Recording{CPUs: 1, Events: make([]trace.Event, n)}
	for i := range r.Events {
		r.Events[i] = trace.Event{Time: uint64(i) * 60, IP: vfsRead + uint64(i*77%4096)*16, ParentIP: ksysRead + uint64(i*31%512)*8, PID: 100}
	}
	for _, v := range []int{6, 7} {
		b.Run(map[int]string{6: "version 6", 7: "version 7"}[v], func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, Write(io.Discard, r, &Options{Version: v}))
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}

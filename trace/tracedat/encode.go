package tracedat

import (
	"encoding/binary"
	"fmt"
	"strings"

	"callops/internal/errno"
	"callops/trace"
	"callops/trace/ringbuffer"
)

// encoder makes the ring buffer of each CPU.
type encoder struct {
	r    *trace.Recording
	cpus []*ringbuffer.Encoder
}

// maxText bounds a string in an event, with its NUL.
const maxText = 1024

// typicalEvent is what an event takes in a page, in bytes: a guess for the first allocation.
const typicalEvent = 32

// encode returns each CPU's pages.
func encode(r *trace.Recording) ([][]byte, error) {
	enc := encoder{r: r, cpus: make([]*ringbuffer.Encoder, r.CPUs)}
	counts := make([]int, r.CPUs)
	for i := range r.Events {
		e := &r.Events[i]
		if uint64(e.CPU) >= uint64(r.CPUs) || int(e.Kind) >= len(byKind) || byKind[e.Kind] == nil {
			return nil, fmt.Errorf("event %d: kind %d on CPU %d of %d: %w", i, e.Kind, e.CPU, r.CPUs, errno.EINVAL)
		}
		counts[e.CPU]++
	}
	for cpu, n := range counts {
		enc.cpus[cpu] = ringbuffer.NewEncoder((n*typicalEvent/ringbuffer.Capacity + 2) * ringbuffer.PageSize)
		if cpu < len(r.Lost) {
			enc.cpus[cpu].Lost(r.Lost[cpu])
		}
	}
	for i := range r.Events {
		if err := enc.event(&r.Events[i]); err != nil {
			return nil, fmt.Errorf("event %d, on CPU %d: %w", i, r.Events[i].CPU, err)
		}
	}
	pages := make([][]byte, len(enc.cpus))
	for cpu, c := range enc.cpus {
		pages[cpu] = c.Pages()
	}
	return pages, nil
}

// layout is a format as it is encoded.
type layout struct {
	*format
	size   int // of the fields
	hasLoc bool
}

// byKind are the formats by the kind of event.
var byKind = func() (list [16]*layout) {
	for i := range formats {
		l := &layout{format: &formats[i], size: commonSize}
		for _, f := range l.fields {
			l.size += f.size
			l.hasLoc = l.hasLoc || f.isDataLoc()
		}
		list[l.kind] = l
	}
	return list
}()

func (enc *encoder) event(e *trace.Event) error {
	l := byKind[e.Kind]
	size := l.size
	if l.hasLoc {
		size += min(len(e.Text)+1, maxText)
	}
	var rest []uint64
	if l.rest != nil {
		rest = l.rest(e)
		size += 8 * len(rest)
	}
	b, err := enc.cpus[e.CPU].Add(e.Time, size)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	le.PutUint16(b, l.id)
	le.PutUint32(b[4:], e.PID)
	at := commonSize
	for i := range l.fields {
		f := &l.fields[i]
		switch {
		case f.value != nil && f.size == 8:
			le.PutUint64(b[at:], f.value(enc, e))
		case f.value != nil:
			le.PutUint32(b[at:], uint32(f.value(enc, e)))
		case f.isDataLoc():
			length := size - l.size
			le.PutUint32(b[at:], uint32(length)<<16|uint32(l.size))
			copy(b[l.size:size-1], oneLine(f.text(enc, e)))
		case f.text != nil:
			copy(b[at:at+f.size-1], f.text(enc, e))
		}
		at += f.size
	}
	for i, v := range rest {
		le.PutUint64(b[at+8*i:], v)
	}
	return nil
}

// oneLine is text with the bytes replaced that would end a line, or the string.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\n\x00") {
		return text
	}
	return strings.NewReplacer("\n", " ", "\x00", " ").Replace(text)
}

// comm is the name of a task.
func (enc *encoder) comm(pid uint32) string {
	if pid == 0 {
		return "swapper/0"
	}
	return enc.r.Tasks[pid]
}

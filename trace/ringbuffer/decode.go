package ringbuffer

import (
	"encoding/binary"
	"fmt"

	"callops/internal/errno"
)

// Event is an event of a page.
type Event struct {
	Time uint64
	Data []byte // within the page; rounded up to words
}

// Page is a page that was read.
type Page struct {
	Time   uint64
	Missed bool   // events were lost before it
	Lost   uint64 // how many; 0: not told
	Events []Event
}

// Decode reads a page. What it returns refers to page. EINVAL where it is none: its
// error says at which offset.
func Decode(page []byte) (*Page, error) {
	if len(page) < HeaderSize {
		return nil, fmt.Errorf("page of %d bytes: %w", len(page), errno.EINVAL)
	}
	commit := binary.LittleEndian.Uint64(page[8:])
	data := page[HeaderSize:]
	size := commit &^ missedMask
	if size > uint64(len(data)) || size%wordSize != 0 {
		return nil, fmt.Errorf("page with %d bytes of events, of %d: %w", size, len(data), errno.EINVAL)
	}
	p := &Page{Time: binary.LittleEndian.Uint64(page), Missed: commit&missedEvents != 0}
	if p.Missed && commit&missedStored != 0 {
		if uint64(len(data))-size < countSize {
			return nil, fmt.Errorf("page with no room for how many events it missed: %w", errno.EINVAL)
		}
		p.Lost = binary.LittleEndian.Uint64(data[size:])
	}
	d := decoder{data: data[:size], time: p.Time}
	for len(d.data) > d.at {
		if err := d.event(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

type decoder struct {
	data []byte
	at   int
	time uint64
}

// event reads one event, which may be none: padding, or only time.
func (d *decoder) event(p *Page) error {
	start := d.at
	word, _ := d.word()
	kind, delta := word&typeMask, uint64(word>>typeBits)
	words := int(kind)
	switch kind {
	case timeExtend, timeStamp:
		high, ok := d.word()
		if !ok {
			return d.short(start)
		}
		delta |= uint64(high) << deltaBits
		if kind == timeExtend {
			d.time += delta
		} else {
			// The highest bits are those of the last time (rb_fix_abs_ts).
			d.time = delta&(1<<stampBits-1) | d.time&^(1<<stampBits-1)
		}
		return nil
	case padding:
		if delta == 0 {
			d.at = len(d.data) // the rest of the page
			return nil
		}
		length, ok := d.word()
		if !ok || length < wordSize || length%wordSize != 0 || !d.skip(int64(length)-wordSize) {
			return d.short(start)
		}
		if delta != discarded {
			d.time += delta
		}
		return nil
	case 0:
		length, ok := d.word()
		if !ok || length < wordSize || length%wordSize != 0 || int64(length)-wordSize > int64(len(d.data)-d.at) {
			return d.short(start)
		}
		words = int(length-wordSize) / wordSize
	}
	d.time += delta
	from := d.at
	if !d.skip(int64(words) * wordSize) {
		return d.short(start)
	}
	p.Events = append(p.Events, Event{Time: d.time, Data: d.data[from:d.at:d.at]})
	return nil
}

func (d *decoder) word() (uint32, bool) {
	if len(d.data)-d.at < wordSize {
		return 0, false
	}
	v := binary.LittleEndian.Uint32(d.data[d.at:])
	d.at += wordSize
	return v, true
}

func (d *decoder) skip(n int64) bool {
	if n > int64(len(d.data)-d.at) {
		return false
	}
	d.at += int(n)
	return true
}

func (d *decoder) short(start int) error {
	return fmt.Errorf("event at offset %d of the page: it does not end within it: %w", HeaderSize+start, errno.EINVAL)
}

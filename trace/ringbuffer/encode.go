package ringbuffer

import (
	"encoding/binary"
	"fmt"

	"callops/internal/errno"
)

// Encoder makes the pages of one CPU's events.
type Encoder struct {
	pages []byte // all of them; the last one is open
	at    int    // of the open page: where the next event goes, from its start
	end   int    // of the open page: where its events have to end
	last  uint64 // time of the last event
	lost  uint64 // before the page that is opened next
}

// NewEncoder returns an encoder with room for the given bytes of pages, to which it
// is not bound.
func NewEncoder(room int) *Encoder { return &Encoder{pages: make([]byte, 0, room)} }

// Add makes an event of n bytes of data, for the caller to fill in before the next call:
// they are zero. Times must not decrease, and data is at most [MaxData] long: EINVAL otherwise.
func (e *Encoder) Add(time uint64, n int) ([]byte, error) {
	if n < 0 || n > MaxData {
		return nil, fmt.Errorf("event with %d bytes of data, of %d at most: %w", n, MaxData, errno.EINVAL)
	}
	if time < e.last {
		return nil, fmt.Errorf("event at time %d after one at %d: %w", time, e.last, errno.EINVAL)
	}
	words := (n + wordSize - 1) / wordSize
	size := eventHeader + max(words, 1)*wordSize // an event has one word at least
	if words > maxTypeLen {
		size = eventHeader + wordSize + words*wordSize
	}
	delta := time - e.last
	extended := delta > deltaMask
	need := size
	if extended {
		need += extendSize
	}
	if e.at+need > e.end || delta>>stampBits != 0 || len(e.pages) == 0 {
		e.open(time)
		delta, extended = 0, false
	}
	e.last = time
	page := e.pages[len(e.pages)-PageSize:]
	if extended {
		binary.LittleEndian.PutUint32(page[e.at:], uint32(delta&deltaMask)<<typeBits|timeExtend)
		binary.LittleEndian.PutUint32(page[e.at+4:], uint32(delta>>deltaBits))
		e.at += extendSize
		delta = 0
	}
	header := page[e.at:]
	data := e.at + eventHeader
	if words > maxTypeLen {
		binary.LittleEndian.PutUint32(header, uint32(delta)<<typeBits)
		binary.LittleEndian.PutUint32(header[4:], uint32(wordSize+words*wordSize)) // with itself
		data += wordSize
	} else {
		binary.LittleEndian.PutUint32(header, uint32(delta)<<typeBits|uint32(max(words, 1)))
	}
	e.at += size
	return page[data : data+n : data+n], nil
}

// Lost tells that n more events were lost before the next one.
func (e *Encoder) Lost(n uint64) {
	if n == 0 {
		return
	}
	e.close()
	e.at, e.end = 0, 0 // the next event opens a page, which says so
	e.lost += n
}

// Pages closes the last page and returns all of them. Nothing can be added after.
func (e *Encoder) Pages() []byte {
	e.close()
	return e.pages
}

// open begins a page whose first event is at the given time.
func (e *Encoder) open(time uint64) {
	e.close()
	n := len(e.pages)
	if cap(e.pages)-n < PageSize {
		grown := make([]byte, n, max(2*cap(e.pages), 16*PageSize))
		copy(grown, e.pages)
		e.pages = grown
	}
	e.pages = e.pages[:n+PageSize]
	e.at, e.end = HeaderSize, PageSize
	if e.lost > 0 {
		e.end -= countSize
	}
	binary.LittleEndian.PutUint64(e.pages[n:], time)
}

// close writes how much of the open page is used. User space is given no padding at
// the end of a page (real_end in ring_buffer_read_page).
func (e *Encoder) close() {
	if e.at == 0 {
		return
	}
	page := e.pages[len(e.pages)-PageSize:]
	commit := uint64(e.at - HeaderSize)
	if e.end < PageSize {
		binary.LittleEndian.PutUint64(page[e.at:], e.lost)
		commit |= missedMask
		e.lost = 0
	}
	binary.LittleEndian.PutUint64(page[8:], commit)
	e.at = 0
}

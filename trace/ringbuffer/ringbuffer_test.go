package ringbuffer

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

// decodeAll reads pages, and fails the test where one is broken.
func decodeAll(t *testing.T, pages []byte) (all []*Page) {
	t.Helper()
	require.Zero(t, len(pages)%PageSize)
	for ; len(pages) > 0; pages = pages[PageSize:] {
		p, err := Decode(pages[:PageSize])
		require.NoError(t, err)
		all = append(all, p)
	}
	return all
}

func add(t *testing.T, e *Encoder, time uint64, data string) {
	t.Helper()
	to, err := e.Add(time, len(data))
	require.NoError(t, err)
	copy(to, data)
}

// The words are those that the macros of ring_buffer.h make.
func TestEncoder_WritesWords(t *testing.T) {
	e := NewEncoder(0)
	add(t, e, 100, "abcdef")
	add(t, e, 103, "ghij")
	add(t, e, 103+1<<27, "kl")
	long := make([]byte, 113)
	long[0] = 0xaa
	add(t, e, 103+1<<27, string(long))
	page := e.Pages()
	require.Len(t, page, PageSize)
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(page[at:]) }
	assert.EqualValues(t, 100, binary.LittleEndian.Uint64(page))
	assert.EqualValues(t, 12+8+8+8+4+4+116, binary.LittleEndian.Uint64(page[8:]), "commit")
	assert.EqualValues(t, 2, word(16), "two words, no delta")
	assert.Equal(t, "abcdef\x00\x00", string(page[20:28]))
	assert.EqualValues(t, 1|3<<5, word(28), "one word, 3 later")
	assert.EqualValues(t, 30, word(36), "TIME_EXTEND: the low bits of the delta are 0")
	assert.EqualValues(t, 1, word(40), "1<<27")
	assert.EqualValues(t, 1, word(44), "its delta is in the one before it")
	assert.EqualValues(t, 0, word(52), "a length of its own")
	assert.EqualValues(t, 4+116, word(56), "with itself")
	assert.EqualValues(t, 0xaa, word(60))
}

func TestEncoder_DecodeGivesBack(t *testing.T) {
	type event struct {
		time uint64
		size int
	}
	for name, events := range map[string][]event{
		"none":            nil,
		"one":             {{0, 0}},
		"sizes":           {{1, 1}, {1, 4}, {2, 111}, {3, 112}, {4, 113}, {5, 117}, {6, MaxData}, {7, MaxData}, {8, 3}},
		"deltas":          {{5, 8}, {5, 8}, {5 + deltaMask, 8}, {6 + 2*deltaMask, 8}, {1 << 58, 8}, {1<<60 + 3, 8}, {1 << 63, 8}, {1<<64 - 1, 8}},
		"first is late":   {{1 << 62, 8}},
		"end of the page": {{1, MaxData - 40}, {2, 24}, {3, 24}, {1 << 40, 24}, {1 << 41, MaxData - 20}, {1 << 50, 24}},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewEncoder(0)
			for i, ev := range events {
				data, err := e.Add(ev.time, ev.size)
				require.NoError(t, err)
				require.Len(t, data, ev.size)
				for n := range data {
					data[n] = byte(i + n)
				}
			}
			i := 0
			for _, p := range decodeAll(t, e.Pages()) {
				require.NotEmpty(t, p.Events)
				assert.Equal(t, p.Time, p.Events[0].Time)
				assert.False(t, p.Missed)
				for _, got := range p.Events {
					want := events[i]
					assert.Equal(t, want.time, got.Time, "event %d", i)
					assert.Len(t, got.Data, max((want.size+3)/4*4, 4))
					for n := range want.size {
						require.Equal(t, byte(i+n), got.Data[n], "event %d", i)
					}
					i++
				}
			}
			assert.Equal(t, len(events), i)
		})
	}
}

func TestEncoder_TellsOfLostEvents(t *testing.T) {
	e := NewEncoder(0)
	e.Lost(0)
	e.Lost(120)
	e.Lost(3)
	add(t, e, 1, "a")
	add(t, e, 2, "b")
	e.Lost(1 << 40)
	add(t, e, 3, string(make([]byte, MaxData)))
	add(t, e, 4, string(make([]byte, MaxData)))
	pages := decodeAll(t, e.Pages())
	require.Len(t, pages, 3)
	for i, want := range []struct {
		lost   uint64
		events int
	}{{123, 2}, {1 << 40, 1}, {0, 1}} {
		assert.Equal(t, want.lost, pages[i].Lost)
		assert.Equal(t, want.lost > 0, pages[i].Missed)
		assert.Len(t, pages[i].Events, want.events)
	}
}

func TestEncoder_Refuses(t *testing.T) {
	e := NewEncoder(0)
	for _, n := range []int{-1, MaxData + 1} {
		_, err := e.Add(1, n)
		assert.ErrorIs(t, err, errno.EINVAL, "%d bytes", n)
	}
	add(t, e, 10, "a")
	_, err := e.Add(9, 1)
	assert.ErrorIs(t, err, errno.EINVAL, "back in time")
	pages := decodeAll(t, e.Pages())
	assert.Len(t, pages[0].Events, 1, "the others left nothing")
}

// page is one with the given words of events.
func page(stamp uint64, words ...uint32) []byte {
	p := make([]byte, PageSize)
	binary.LittleEndian.PutUint64(p, stamp)
	binary.LittleEndian.PutUint64(p[8:], uint64(len(words))*4)
	for i, w := range words {
		binary.LittleEndian.PutUint32(p[16+4*i:], w)
	}
	return p
}

// What callops does not write, and Linux does.
func TestDecode_WhatElseLinuxWrites(t *testing.T) {
	const high = 5 << stampBits
	for name, c := range map[string]struct {
		page []byte
		want []uint64 // times
	}{
		"padding to the end":      {page(7, 1, 0xaa, padding, 99, 99), []uint64{7}},
		"a discarded event":       {page(7, padding|3<<typeBits, 8, 0xff, 1|2<<typeBits, 0xaa), []uint64{12}},
		"discarded at once":       {page(7, padding|1<<typeBits, 8, 0xff, 1|2<<typeBits, 0xaa), []uint64{9}},
		"an absolute time":        {page(high|7, timeStamp|9<<typeBits, 2, 1, 0xaa, 1|1<<typeBits, 0xaa), []uint64{high | 2<<27 | 9, high | 2<<27 | 10}},
		"time at the end":         {page(7, 1, 0xaa, timeExtend, 5), []uint64{7}},
		"no data and its length":  {page(7, 0|4<<typeBits, 4, 1, 0xaa), []uint64{11, 11}},
		"no events":               {page(7), nil},
		"a page of another size":  {page(7, 1, 0xaa)[:24], []uint64{7}},
		"missed, how many unsaid": {withCommit(page(7, 1, 0xaa), 8|missedEvents), []uint64{7}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Decode(c.page)
			require.NoError(t, err)
			var got []uint64
			for _, e := range p.Events {
				got = append(got, e.Time)
			}
			assert.Equal(t, c.want, got)
			assert.Zero(t, p.Lost)
		})
	}
}

func withCommit(p []byte, commit uint64) []byte {
	binary.LittleEndian.PutUint64(p[8:], commit)
	return p
}

func TestDecode_RefusesWhatIsNoPage(t *testing.T) {
	for name, p := range map[string][]byte{
		"empty":                   nil,
		"half a header":           make([]byte, 15),
		"more than it is long":    withCommit(page(0), Capacity+4),
		"not in words":            withCommit(page(0), 3),
		"unknown flags":           withCommit(page(0), 1<<40),
		"data past the end":       page(0, 2, 1),
		"length past the end":     page(0, 0, 12, 1),
		"length without itself":   page(0, 0, 3, 1),
		"huge length":             page(0, 0, 0xffff_fffc, 1),
		"no length":               page(0, 0),
		"half a time":             page(0, timeExtend),
		"padding past the end":    page(0, padding|1<<typeBits, 0xffff_fffc),
		"padding without length":  page(0, padding|1<<typeBits),
		"no room for the missing": withCommit(page(0), Capacity-4|missedMask),
	} {
		_, err := Decode(p)
		assert.ErrorIs(t, err, errno.EINVAL, name)
	}
}

func FuzzDecode(f *testing.F) {
	e := NewEncoder(0)
	e.Lost(3)
	for i := range uint64(20) {
		if data, err := e.Add(i<<(3*i), int(i*7)); err == nil {
			_ = data
		}
		if i == 11 {
			e.Lost(9)
		}
	}
	for pages := e.Pages(); len(pages) > 0; pages = pages[PageSize:] {
		f.Add(pages[:PageSize])
	}
	f.Add(page(7, padding|3<<typeBits, 8, 0xff, timeStamp|9<<typeBits, 2, 1, 0xaa, padding))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Decode(raw)
		if err != nil {
			assert.Nil(t, p)
			assert.ErrorIs(t, err, errno.EINVAL)
			return
		}
		total := 0
		for _, e := range p.Events {
			total += len(e.Data) + eventHeader
		}
		assert.LessOrEqual(t, total, len(raw))
		assert.Zero(t, map[bool]uint64{false: p.Lost}[p.Missed])
	})
}

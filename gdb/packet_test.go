package gdb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadMessage(t *testing.T) {
	for _, r := range []struct {
		in   string
		want []message
		err  error
	}{
		{"", nil, io.EOF},
		{"junk", nil, io.EOF},
		{"+-\x03", []message{{single: ack}, {single: nak}, {single: interrupt}}, io.EOF},
		{"$#00", []message{{}}, io.EOF},
		{"$g#67", []message{{data: "g"}}, io.EOF},
		{"$OK#9a$OK#9A", []message{{data: "OK"}, {data: "OK"}}, io.EOF},
		{"$X0,1:}\x03#61", []message{{data: "X0,1:#"}}, nil},
		{"$lost$g#67", []message{{data: "g"}}, io.EOF},
		{"$g#68", nil, errChecksum},
		{"$g#zz", nil, errChecksum},
		{"$g", nil, io.ErrUnexpectedEOF},
		{"$g#6", nil, io.ErrUnexpectedEOF},
		{"$" + strings.Repeat("a", packetSize), nil, io.ErrUnexpectedEOF},
		{"$" + strings.Repeat("a", packetSize+1), nil, errTooLong},
	} {
		reader := bufio.NewReader(strings.NewReader(r.in))
		for _, want := range r.want {
			m, err := readMessage(reader)
			if r.err == nil {
				continue
			}
			require.NoError(t, err, "%.40q", r.in)
			assert.Equal(t, want, m, "%.40q", r.in)
		}
		if r.err != nil {
			_, err := readMessage(reader)
			assert.ErrorIs(t, err, r.err, "%.40q", r.in)
		}
	}
}

func TestFrame_IsReadAsItWas(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, data := range []string{"", "OK", string(all), "#$}*"} {
		b := frame(data)
		assert.Equal(t, 1, bytes.Count(b, []byte("#")), "what would end the packet is escaped")
		m, err := readMessage(bufio.NewReader(bytes.NewReader(b)))
		require.NoError(t, err)
		assert.Equal(t, message{data: data}, m)
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, seed := range []string{"$g#67", "+$OK#9a", "$X0,1:}\x03#00", "\x03", "$$#00", "$}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			m, err := readMessage(r)
			if errors.Is(err, errChecksum) {
				continue
			}
			if err != nil {
				return
			}
			if m.single != 0 {
				continue
			}
			again, err := readMessage(bufio.NewReader(bytes.NewReader(frame(m.data))))
			if err != nil || again != m {
				t.Fatalf("%q is read as %q: %v", m.data, again.data, err)
			}
		}
	})
}

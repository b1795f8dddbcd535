package gdb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// packetSize is how many bytes of a packet the debugger may send, between $ and #, as PacketSize tells it.
const packetSize = 1 << 16

// What a client sends that is no packet.
const (
	ack       = '+'
	nak       = '-'
	interrupt = 0x03
	bad       = 1 // no byte that is sent: a packet whose checksum is wrong
)

var (
	errChecksum = errors.New("gdb: a packet's checksum is wrong")
	errTooLong  = fmt.Errorf("gdb: a packet is longer than the %d bytes that PacketSize allows", packetSize)
)

// message is what a client has sent: a packet, or one of the bytes beside.
type message struct {
	single byte // ack, nak or interrupt; 0: a packet
	data   string
}

// readMessage reads the next message, without the escapes of a packet. Bytes between messages are
// passed over. After errChecksum the next message can be read.
func readMessage(r *bufio.Reader) (message, error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return message{}, err
		}
		switch b {
		case ack, nak, interrupt:
			return message{single: b}, nil
		case '$':
			data, err := readPacket(r)
			return message{data: data}, err
		}
	}
}

// readPacket reads what follows the $. A $ within begins the packet anew: the rest of the one before was
// lost.
func readPacket(r *bufio.Reader) (string, error) {
	var data []byte
	var sum byte
	for escaped, size := false, 0; ; size++ {
		b, err := r.ReadByte()
		if err != nil {
			return "", truncated(err)
		}
		switch {
		case b == '#':
			want, err := readSum(r)
			if err != nil {
				return "", err
			}
			if want != sum {
				return "", errChecksum
			}
			return string(data), nil
		case size == packetSize:
			return "", errTooLong
		case b == '$':
			data, sum, escaped, size = data[:0], 0, false, -1
			continue
		}
		sum += b
		switch {
		case escaped:
			data, escaped = append(data, b^0x20), false
		case b == '}':
			escaped = true
		default:
			data = append(data, b)
		}
	}
}

func readSum(r *bufio.Reader) (byte, error) {
	var digits [2]byte
	if _, err := io.ReadFull(r, digits[:]); err != nil {
		return 0, truncated(err)
	}
	high, ok := hexDigit(digits[0])
	low, ok2 := hexDigit(digits[1])
	if !ok || !ok2 {
		return 0, errChecksum
	}
	return high<<4 | low, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case b >= '0' && b <= '9':
		return b - '0', true
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return b | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// frame is data as a packet, with what can't stand in one escaped.
func frame(data string) []byte {
	const digits = "0123456789abcdef"
	out := append(make([]byte, 0, len(data)+4), '$')
	var sum byte
	put := func(b byte) { out, sum = append(out, b), sum+b }
	for i := range len(data) {
		switch b := data[i]; b {
		case '#', '$', '}', '*':
			put('}')
			put(b ^ 0x20)
		default:
			put(b)
		}
	}
	return append(out, '#', digits[sum>>4], digits[sum&15])
}

package board

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"

	"callops/internal/errno"
	"callops/internal/hostmem"
)

// A snapshot's file is a header of headerSize bytes, and behind it the parts of the RAM that are not zero, one after the other.
// The header is magic, the length (32 bits) and the hash (XXH64) of what follows, and a snapshotHeader in JSON.
const (
	snapshotMagic = "callops board 3\n"
	headerSize    = 256 << 10
	chunkSize     = 64 << 10 // what parts begin and end at: the largest page of a host
)

// snapshotHeader is what a snapshot tells of its RAM.
type snapshotHeader struct {
	Key   string // what it was made of
	Parts []part // by address
	Sum   uint64 // XXH64 of the parts
	State *state
}

// part is memory of the board's that is in a snapshot, by its offset.
type part struct{ At, Size int }

// dataSize is how many bytes the parts have in the file.
func (h *snapshotHeader) dataSize() (n int) {
	for _, p := range h.Parts {
		n += p.Size
	}
	return n
}

// write writes the board to an empty file.
func (m *Machine) write(f *os.File, key string) (*snapshotHeader, error) {
	if m.err != nil || m.init == nil || m.calling || m.tasks != nil {
		return nil, fmt.Errorf("the board does not stand still after its boot: %w", errno.EBUSY)
	}
	h := &snapshotHeader{Key: key, Parts: partsOf(m.ram), State: m.save()}
	sum := xxhash.New()
	if _, err := f.Seek(headerSize, io.SeekStart); err != nil {
		return nil, err
	}
	for _, p := range h.Parts {
		b := m.ram[p.At:][:p.Size]
		_, _ = sum.Write(b)
		if _, err := f.Write(b); err != nil {
			return nil, err
		}
	}
	h.Sum = sum.Sum64()
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if b = append(snapshotHead(b), b...); len(b) > headerSize {
		return nil, fmt.Errorf("a header of %d bytes: %w", len(b), errno.E2BIG)
	}
	_, err = f.WriteAt(b, 0)
	return h, err
}

// snapshotHead is what stands before a header's JSON.
func snapshotHead(json []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(snapshotMagic), uint32(len(json)))
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(json))
}

// partsOf are the parts of a RAM that are not zero.
func partsOf(ram []byte) (parts []part) {
	var zeros [chunkSize]byte
	for at := 0; at < len(ram); at += chunkSize {
		if bytes.Equal(ram[at:at+chunkSize], zeros[:]) {
			continue
		}
		if n := len(parts); n > 0 && parts[n-1].At+parts[n-1].Size == at {
			parts[n-1].Size += chunkSize
		} else {
			parts = append(parts, part{at, chunkSize})
		}
	}
	return parts
}

// readSnapshot reads a snapshot's header, and checks it and all of the RAM: ESTALE where it is of something else than key
// says, EINVAL where it is none, or damaged. It is untrusted.
func readSnapshot(f *os.File, key string) (*snapshotHeader, error) {
	h, err := readHeader(io.NewSectionReader(f, 0, headerSize))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	size := headerSize + int64(h.dataSize())
	switch {
	case err != nil:
		return nil, err
	case h.Key != key:
		return nil, fmt.Errorf("it is of another kernel, board or version: %w", errno.ESTALE)
	case info.Size() != size:
		return nil, fmt.Errorf("it has %d bytes, and not %d: %w", info.Size(), size, errno.EINVAL)
	}
	b, err := hostmem.Map(f, int(size), false)
	if err != nil {
		return nil, err
	}
	sum := xxhash.Sum64(b[headerSize:])
	if err := hostmem.Free(b); err != nil {
		return nil, err
	}
	if sum != h.Sum {
		return nil, fmt.Errorf("its RAM has hash %#x, and not %#x: %w", sum, h.Sum, errno.EINVAL)
	}
	return h, nil
}

// readHeader reads what a snapshot begins with.
func readHeader(r io.Reader) (*snapshotHeader, error) {
	head := make([]byte, len(snapshotHead(nil)))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[len(snapshotMagic):])
	if string(head[:len(snapshotMagic)]) != snapshotMagic || n > headerSize {
		return nil, fmt.Errorf("it is no snapshot of a board: %w", errno.EINVAL)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if !bytes.Equal(head, snapshotHead(b)) {
		return nil, fmt.Errorf("its header has hash %#x, and another is in front of it: %w", xxhash.Sum64(b), errno.EINVAL)
	}
	var h snapshotHeader
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("its header: %w", errors.Join(err, errno.EINVAL))
	}
	if h.State == nil {
		return nil, fmt.Errorf("its header has no state: %w", errno.EINVAL)
	}
	end := 0
	for _, p := range h.Parts {
		if p.At < end || p.At%chunkSize != 0 || p.Size <= 0 || p.Size%chunkSize != 0 || p.Size > ramSize+windowSize-p.At {
			return nil, fmt.Errorf("its header has %#x bytes of RAM at %#x: %w", p.Size, p.At, errno.EINVAL)
		}
		end = p.At + p.Size
	}
	return &h, nil
}

// overlay maps the parts in a snapshot's file over a RAM that is zero, copy on write.
func overlay(ram []byte, f *os.File, parts []part) error {
	at := int64(headerSize)
	for _, p := range parts {
		if err := hostmem.Overlay(ram[p.At:][:p.Size], f, at); err != nil {
			return err
		}
		at += int64(p.Size)
	}
	return nil
}

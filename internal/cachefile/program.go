package cachefile

import (
	"crypto/sha256"
	"debug/elf"
	"errors"
	"io"
	"os"
	"sync"
)

// Program tells the running program from any other: by the build ID that the go command gave it, a hash of all that it was
// built from. Where there is none, in other formats than ELF, it is the file's SHA-256.
func Program() (string, error) { return program() }

var program = sync.OnceValues(func() (id string, err error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if id := buildID(f); id != "" {
		return id, nil
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return string(h.Sum(nil)), err
})

// buildID is what `go tool buildid` prints; "" where there is none.
func buildID(r io.ReaderAt) string {
	f, err := elf.NewFile(r)
	if err != nil {
		return ""
	}
	s := f.Section(".note.go.buildid")
	if s == nil {
		return ""
	}
	note, err := s.Data()
	const header = 3*4 + len("Go\x00\x00")
	if err != nil || len(note) < header {
		return ""
	}
	return string(note[header:min(header+int(f.ByteOrder.Uint32(note[4:])), len(note))])
}

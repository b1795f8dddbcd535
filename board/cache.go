package board

import (
	"context"
	"fmt"
	"hash"
	"os"

	"github.com/cespare/xxhash/v2"

	"callops/internal/cachefile"
	"callops/kernelimage"
)

// keptSnapshots is how many snapshots stay in the cache folder: the newest.
const keptSnapshots = 4

// snapshotFile is where the snapshot of a kernel lies that was booted with the options, and the key that it
// has: what is not the same for another kernel, other options or another program.
func snapshotFile(ctx context.Context, img *kernelimage.Image, opts *Options) (path, key string, err error) {
	program, err := cachefile.Program()
	if err != nil {
		return "", "", err
	}
	digest := img.Digest()
	if digest == "" {
		h := xxhash.New()
		if err := sumImage(ctx, h, img); err != nil {
			return "", "", err
		}
		digest = fmt.Sprintf("%#x", h.Sum64())
	}
	key = fmt.Sprintf("%s %q %d %q %x %q", digest, img.Banner(), max(opts.CPUs, 1), opts.Append, opts.Sites, program)
	path, err = cachefile.Path("boards", key, ".board")
	return path, key, err
}

// sumImage hashes the bytes that the board is given.
func sumImage(ctx context.Context, h hash.Hash, img *kernelimage.Image) error {
	b := make([]byte, 1<<20)
	for _, s := range img.Segments() {
		fmt.Fprintf(h, "%#x %#x\n", s.Addr, s.End())
		for at := s.Addr; at < s.End(); {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := img.ReadAt(b[:min(uint64(len(b)), s.End()-at)], at)
			if err != nil {
				return err
			}
			if n == 0 {
				break // the rest is zero
			}
			h.Write(b[:n])
			at += uint64(n)
		}
	}
	return nil
}

// saveTo writes the board to a file of the cache folder.
func (m *Machine) saveTo(path, key string) error {
	return cachefile.Save(path, func(f *os.File) error {
		_, err := m.write(f, key)
		return err
	})
}

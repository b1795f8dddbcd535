package board

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"callops/kernelimage"
)

// keptSnapshots is how many snapshots stay in the cache folder: the newest.
const keptSnapshots = 4

// snapshotFile is where the snapshot of a kernel lies that was booted with the options, and the key that it
// has: what is not the same for another kernel, other options or another program.
func snapshotFile(ctx context.Context, img *kernelimage.Image, opts *Options) (path, key string, err error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", "", err
	}
	program, err := program()
	if err != nil {
		return "", "", err
	}
	h := xxhash.New()
	if err := sumImage(ctx, h, img); err != nil {
		return "", "", err
	}
	key = fmt.Sprintf("%#x %q %d %q %q", h.Sum64(), img.Banner(), max(opts.CPUs, 1), opts.Append, program)
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, "callops", "boards", hex.EncodeToString(sum[:16])+".board"), key, nil
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

// saveTo writes the board to a file of the cache folder, which is there whole or not at all.
func (m *Machine) saveTo(path, key string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = m.write(f, key)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// unfinished is how a file begins that is being saved.
const unfinished = "new-"

// abandoned is the age at which nobody writes to such a file any more.
const abandoned = time.Hour

// prune removes all but the newest snapshots of a folder, and what programs left that were killed as they saved one.
func prune(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.board"))
	if err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if err != nil {
		return err
	}
	type snapshot struct {
		path string
		made int64
	}
	var list []snapshot
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			list = append(list, snapshot{p, info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(list, func(a, b snapshot) int { return cmp.Compare(b.made, a.made) })
	old := list[min(keptSnapshots, len(list)):]
	for _, p := range left {
		if info, err := os.Stat(p); err == nil && time.Since(info.ModTime()) > abandoned {
			old = append(old, snapshot{path: p})
		}
	}
	for _, s := range old {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

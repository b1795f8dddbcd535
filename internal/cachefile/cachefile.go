// Package cachefile keeps files in the user's cache folder: what can be made anew, and takes time to be. Any number of
// processes may use the same one at a time. A file there is untrusted, as any other is.
package cachefile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"callops/internal/errno"
)

// Path is where the file of a key lies in callops' folder of that name. The key says all that the file depends on; ext is
// with the dot.
func Path(folder, key, ext string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, "callops", folder, hex.EncodeToString(sum[:16])+ext), nil
}

// Open opens a file for reading, if it is a file: a pipe in its place would have it wait.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: path, Err: errno.EINVAL}
	}
	return os.Open(path)
}

// unfinished is how a file begins that is being saved.
const unfinished = "new-"

// abandoned is the age at which nobody writes to such a file any more.
const abandoned = time.Hour

// Save makes a file of what write writes, which is there whole or not at all. Who has the one before it open keeps that.
func Save(path string, write func(f *os.File) error) (err error) {
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
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Prune removes all but so many of the files beside path that have its extension, the newest of them, and what programs left
// that were killed as they saved one.
func Prune(path string, keep int) error {
	dir := filepath.Dir(path)
	paths, err := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(path)))
	if err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if err != nil {
		return err
	}
	type saved struct {
		path string
		made int64
	}
	var list []saved
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			list = append(list, saved{p, info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(list, func(a, b saved) int { return cmp.Compare(b.made, a.made) })
	old := list[min(keep, len(list)):]
	for _, p := range left {
		if info, err := os.Stat(p); err == nil && time.Since(info.ModTime()) > abandoned {
			old = append(old, saved{path: p})
		}
	}
	for _, s := range old {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

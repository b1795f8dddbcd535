package board

import (
	"context"
	"encoding/binary"
)

// Info is what stat says of a file; Mode is Linux's st_mode.
type Info struct {
	Inode uint64
	Mode  uint32
	Links uint32
	UID   uint32
	GID   uint32
	Size  int64
}

// atSymlinkNofollow is AT_SYMLINK_NOFOLLOW.
const atSymlinkNofollow = 0x100

// Lstat returns what the kernel knows of a file, without following a symbolic link.
func (m *Machine) Lstat(ctx context.Context, name string) (Info, error) {
	const behindName = windowBase + 2*maxPath
	if _, err := m.onPath(ctx, "newfstatat", name, behindName, atSymlinkNofollow); err != nil {
		return Info{}, pathError("lstat", name, err)
	}
	le, b := binary.LittleEndian, m.window()[2*maxPath:] // struct stat (include/uapi/asm-generic/stat.h)
	return Info{
		Inode: le.Uint64(b[8:]), Mode: le.Uint32(b[16:]), Links: le.Uint32(b[20:]), UID: le.Uint32(b[24:]), GID: le.Uint32(b[28:]),
		Size: int64(le.Uint64(b[48:])),
	}, nil
}

// Chmod sets a file's permissions: mode is Linux's st_mode, whose type does not count.
func (m *Machine) Chmod(ctx context.Context, name string, mode uint32) error {
	_, err := m.onPath(ctx, "fchmodat", name, uint64(mode))
	return pathError("chmod", name, err)
}

// Lchown sets a file's owner and group, without following a symbolic link. -1 leaves one as it is.
func (m *Machine) Lchown(ctx context.Context, name string, uid, gid int) error {
	_, err := m.onPath(ctx, "fchownat", name, uint64(uid), uint64(gid), atSymlinkNofollow)
	return pathError("lchown", name, err)
}

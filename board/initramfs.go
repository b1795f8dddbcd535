package board

import (
	"bytes"
	"fmt"
)

// initPath is the program that the kernel starts as its first process. The board stops there: it has no
// user mode, and the host stands in for it.
const initPath = "/init"

// initramfs is the root file system: directories to mount on, and the first process' program.
func initramfs() []byte {
	const dir, program = 0o040755, 0o100755
	var b bytes.Buffer
	for i, e := range []struct {
		name string
		mode int
		data string
	}{
		{"dev", dir, ""}, {"proc", dir, ""}, {"sys", dir, ""}, {"tmp", dir, ""}, {"init", program, "#!callops\n"}, {"TRAILER!!!", 0, ""},
	} {
		entry(&b, i+1, e.name, e.mode, e.data)
	}
	return b.Bytes()
}

// entry writes one file of a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).
func entry(b *bytes.Buffer, inode int, name string, mode int, data string) {
	fmt.Fprintf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	for _, part := range []string{name + "\x00", data} {
		b.WriteString(part)
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
}

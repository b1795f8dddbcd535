package kernelimage

import (
	"bytes"
	"strconv"
	"strings"
)

// Vermagic is the kernel's VERMAGIC_STRING (include/linux/vermagic.h); only its
// release where the image has no such string, and "" where it does not say even
// that. It searches the image.
func (img *Image) Vermagic() (magic string) {
	if img.reading(func() { magic = img.vermagic() }) != nil {
		return ""
	}
	return magic
}

// major is the first number of the version that the image states; 0 if it does not.
func (img *Image) major() int {
	rest, ok := strings.CutPrefix(img.banner(), "Linux version ")
	if !ok {
		return 0
	}
	if n, err := strconv.Atoi(rest[:max(0, strings.IndexByte(rest, '.'))]); err == nil {
		return n
	}
	return 0
}

func (img *Image) vermagic() string {
	const banner, arch, most = "Linux version ", " aarch64", 256
	rest, ok := strings.CutPrefix(img.banner(), banner)
	release, _, _ := strings.Cut(rest, " ")
	if !ok || release == "" {
		return ""
	}
	for i := range img.segments {
		for b := img.segments[i].data; ; b = b[1:] {
			at := bytes.Index(b, []byte(release+" "))
			if at < 0 {
				break
			}
			b = b[at:]
			if s, _, ok := bytes.Cut(b[:min(most, len(b))], []byte{0}); ok && bytes.HasSuffix(s, []byte(arch)) {
				return string(s)
			}
		}
	}
	return release
}

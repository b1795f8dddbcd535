package kernelimage

import "callops/kernelimage/internal/format"

// FormatError is a file that cannot be loaded: what is wrong, and where. For
// errors.Is it is the errno that the kernel's module loader would return:
// ENOEXEC for a file that is no loadable image, ENOENT for a symbol that
// nothing defines, EINVAL for call sites that cannot be patched.
type FormatError = format.Error

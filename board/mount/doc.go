// Package mount shows a folder of a booted kernel on the host, by FUSE.
//
// Each operation on it is the guest's own: a file is opened, read and written by the kernel's VFS, and errors are
// its errno. Nothing is cached that an operation could change, and files have the size that the guest says, 0 for control files. One
// operation runs at a time; a read that has to wait (trace_pipe) lets others run, and can be interrupted. Folders are made and removed after
// what others ask meanwhile.
//
// Start at [Mount], or at [Shell] for a command of the host that is to find the files where the host has its own. It is for Linux hosts.
package mount

// Package fileops makes random operations on tracefs, by seed: files are opened, read, written, truncated, polled and closed, folders
// listed, instances made and removed, with what control files take and with what they must refuse. Tests drive the
// same operations through a mount and without one.
package fileops

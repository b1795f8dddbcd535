//go:build !unix

package hostmem

// OpenNoWait is an open flag that asks for nothing: there are no FIFOs to wait at.
const OpenNoWait = 0

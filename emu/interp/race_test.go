//go:build race

package interp

// raceFactor is by how much the race detector may slow things down.
const raceFactor = 20

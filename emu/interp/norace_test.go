//go:build !race

package interp

const raceFactor = 1

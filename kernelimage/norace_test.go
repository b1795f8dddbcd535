//go:build !race

package kernelimage

const raceEnabled = false

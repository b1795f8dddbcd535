//go:build race

package kernelimage

const raceEnabled = true

//go:build !race

package unicorn

const raceEnabled = false

//go:build race

package ftrace

const raceEnabled = true

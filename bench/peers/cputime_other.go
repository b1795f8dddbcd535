//go:build !unix

package main

import "time"

var began = time.Now()

// cpuTime is the time since the process began: this host does not tell that of its CPUs in the same way.
func cpuTime() time.Duration { return time.Since(began) }

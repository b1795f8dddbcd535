//go:build !linux

package linear

import "time"

var began = time.Now()

// threadTime is the time that has passed: the host does not tell a thread's.
func threadTime() time.Duration { return time.Since(began) }

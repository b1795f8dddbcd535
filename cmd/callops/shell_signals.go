//go:build !js

package main

import (
	"os"
	"syscall"
)

// passedOn are the signals that the command of callops shell is given.
var passedOn = []os.Signal{syscall.SIGTERM, syscall.SIGHUP}

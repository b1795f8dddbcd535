//go:build !cgo

package main

import "testing"

// Scripts of a build without an engine: what executes guest code says so.
func TestScripts_NoEngine(t *testing.T) { runScripts(t, "testdata/noengine") }

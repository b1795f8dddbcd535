package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRun_ReportsResultThatCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{{"image"}, {"sites"}, {"help"}, {"sites", "--filter", "*", "--enabled"}} {
		var errs strings.Builder
		code := run(args, nil, fullDisk{}, &errs)
		assert.Equal(t, exitFailed, code, args)
		assert.Equal(t, "callops: disk full\n", errs.String(), args)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
)

func TestCheckFormat_DrawsHowSearchesGrew(t *testing.T) {
	draw := func(format string, args ...string) string {
		code, out, errs := runIn(nil, append([]string{"check", "--scenario", "enable", "--scenario", "enable-strict-fixed", "--format", format}, args...)...)
		require.Equal(t, exitDone, code, errs)
		return out
	}
	svg := draw("svg")
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
	for _, want := range []string{">enable<", ">enable-strict-fixed<", ">States found, by depth<", ">states<"} {
		assert.Contains(t, svg, want)
	}
	picture, err := png.Decode(bytes.NewReader([]byte(draw("png"))))
	require.NoError(t, err)
	assert.Greater(t, picture.Bounds().Dx(), 1000)
	page := draw("html")
	assert.Contains(t, page, "<svg ")
	assert.Contains(t, page, "<td>enable-strict-fixed</td><td>holds</td>")
	assert.NotRegexp(t, `(src|href)=`, page, "nothing is loaded")
}

func TestGrowth_IsThatOfTheLastSearch(t *testing.T) {
	var g growth
	for _, depth := range []int{1, 2, 3, 1, 2, 1, 2, 3, 4} {
		g.add(check.Progress{States: 10 * depth, Depth: depth})
	}
	assert.Equal(t, growth{{States: 10, Depth: 1}, {States: 20, Depth: 2}, {States: 30, Depth: 3}, {States: 40, Depth: 4}}, g)
}

func TestCheckFormat_PicturesAreOfSearches(t *testing.T) {
	for _, args := range [][]string{{"--list"}, {"--replay", "x"}} {
		code, _, errs := runIn(nil, append([]string{"check", "--format", "svg"}, args...)...)
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, errs, "draws searches")
	}
}

package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRevision_IsTheCommitOrElseTheModulesVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "6ce7b9b4"}
	for _, tt := range []struct {
		want string
		info debug.BuildInfo
	}{
		{"6ce7b9b4", debug.BuildInfo{Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}}},
		{"6ce7b9b4, with changes", debug.BuildInfo{Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}}},
		{"v1.2.3", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}},
		{"of an unknown commit", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}},
		{"of an unknown commit", debug.BuildInfo{}},
	} {
		assert.Equal(t, tt.want, revision(&tt.info))
	}
}

func TestVersion_NamesTheEngines(t *testing.T) {
	code, out, _ := runIn(nil, "--version")
	assert.Equal(t, exitDone, code)
	assert.Regexp(t, `^callops version .+ \(go\S+ \w+/\w+; engines: .*interp.*\)\n$`, out)
}

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"callops/emu/engines"
)

// version describes the build: the commit, where go build recorded one, or else
// the module's version; the compiler, the host and the engines.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	var names []string
	for _, e := range engines.All() {
		names = append(names, e.Name)
	}
	return fmt.Sprintf("%s (%s %s/%s; engines: %s)", revision(info), runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.Join(names, ", "))
}

func revision(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	switch commit := settings["vcs.revision"]; {
	case commit != "" && settings["vcs.modified"] == "true":
		return commit + ", with changes"
	case commit != "":
		return commit
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	default:
		return "of an unknown commit"
	}
}

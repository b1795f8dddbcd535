package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/check/property"
	"callops/internal/kernels"
)

// outcomeOf is what a search found that broke a property, or none where that is None.
func outcomeOf(finding check.Finding, broke property.Property, complete bool) *outcome {
	r := &check.Result{Complete: complete, Bound: "memory", Finding: finding}
	if broke != property.None {
		r.Violations = []*check.Counterexample{{Property: broke, Claim: broke.Claim()}}
	}
	return &outcome{result: r}
}

func TestOutcome_OfAScenario(t *testing.T) {
	const (
		none, lost        = check.NoFinding, check.ProtectionLost
		ok, broken, other = property.None, property.Protected, property.NoFault
	)
	for _, c := range []struct {
		verdict        string
		finding        check.Finding
		broke          property.Property
		complete       bool
		broken, unlike bool
	}{
		{"holds", none, ok, true, false, false},
		{"bounded by memory", none, ok, false, false, false},
		{"BROKEN", none, broken, true, true, true},
		{"finding", lost, broken, true, true, false},
		{"BROKEN", lost, other, true, true, true},
		{"NO FINDING", lost, ok, true, false, true},
		{"bounded by memory", lost, ok, false, false, false},
	} {
		o := outcomeOf(c.finding, c.broke, c.complete)
		assert.Equal(t, c.verdict, o.verdict())
		assert.Equal(t, c.broken, o.broken(), c.verdict)
		assert.Equal(t, c.unlike, o.unexpected(), c.verdict)
	}
}

func TestOutcome_OfAMutation(t *testing.T) {
	for _, c := range []struct {
		found, claim string
		harmless     string
		broke        property.Property
		complete     bool
		missed       bool
	}{
		{"yes", "frame records chain", "", property.FramesChain, true, false},
		{"NO", "", "", property.None, true, true},
		{"bounded", "", "", property.None, false, true},
		{"harmless", "why", "why", property.None, true, false},
		{"YES", "frame records chain", "why", property.FramesChain, true, true},
	} {
		o := outcomeOf(check.NoFinding, c.broke, c.complete)
		o.mutation = &check.Mutation{Harmless: c.harmless}
		found, claim := o.found()
		assert.Equal(t, c.found, found)
		assert.Equal(t, c.claim, claim)
		assert.Equal(t, c.missed, o.missed(), c.found)
	}
}

// Without names, what is known is expected; what is named must not break at all.
func TestJudge(t *testing.T) {
	finding, broken, bounded := *outcomeOf(check.ProtectionLost, property.Protected, true), *outcomeOf(check.NoFinding, property.Protected, true), *outcomeOf(check.NoFinding, property.None, false)
	finding.scenario, broken.scenario = "known", "new"
	everything, named := &checkFlags{}, &checkFlags{scenarios: []string{"known"}}
	assert.NoError(t, everything.judge([]outcome{finding, bounded}))
	assert.EqualError(t, everything.judge([]outcome{finding, broken, bounded}), "broken: new")
	assert.EqualError(t, named.judge([]outcome{finding, bounded}), "broken: known")

	found, missed := broken, *outcomeOf(check.NoFinding, property.None, true)
	found.mutation, missed.mutation = &check.Mutation{Name: "found"}, &check.Mutation{Name: "missed"}
	each, one := &checkFlags{mutation: all}, &checkFlags{mutation: "found"}
	assert.NoError(t, each.judge([]outcome{found}))
	assert.EqualError(t, each.judge([]outcome{found, missed}), "unexpected result: missed")
	assert.EqualError(t, one.judge([]outcome{found}), "broken: found")
	assert.NoError(t, one.judge([]outcome{missed}))
}

func TestPick(t *testing.T) {
	known := []string{"enable", "enable-strict", "disable", "disable-idle", "replace"}
	for _, tt := range []struct {
		patterns []string
		want     []string
		err      string
	}{
		{nil, nil, ""},
		{[]string{"disable"}, []string{"disable"}, ""},
		{[]string{"replace", "en*"}, []string{"replace", "enable", "enable-strict"}, ""},
		{[]string{"enable", "*able"}, []string{"enable", "disable"}, ""},
		{[]string{"enabel"}, nil, `no scenario "enabel"; is one of these meant: enable?`},
		{[]string{"strict"}, nil, `no scenario "strict"; is one of these meant: enable-strict?`},
		{[]string{"filter-*"}, nil, `no scenario "filter-*"; there are enable, enable-strict, disable, disable-idle, replace`},
		{[]string{"[a"}, nil, `scenario "[a": a pattern that has no end: a ] or what follows a backslash is missing`},
	} {
		got, err := pick("scenario", tt.patterns, known)
		assert.Equal(t, tt.want, got)
		if tt.err != "" {
			assert.EqualError(t, err, tt.err)
			continue
		}
		assert.NoError(t, err)
	}
}

// What is named has to fit the kernel; what a pattern or all of them choose may be
// left out.
func TestJobs_NamedOnesAreNotLeftOut(t *testing.T) {
	for _, tt := range []struct {
		flags checkFlags
		named bool
	}{
		{checkFlags{}, false},
		{checkFlags{scenarios: []string{"enable"}}, true},
		{checkFlags{scenarios: []string{"enabl[e]"}}, false},
		{checkFlags{mutation: all}, false},
		{checkFlags{mutation: "lose-*"}, false},
		{checkFlags{mutation: "lose-x8"}, true},
	} {
		jobs, err := tt.flags.jobs()
		require.NoError(t, err)
		assert.Equal(t, tt.named, jobs[0].named, "%v %q", tt.flags.scenarios, tt.flags.mutation)
	}
}

// The token that one run prints is what another one takes.
func TestCheck_ReplaysItsOwnTokens(t *testing.T) {
	code, out, _ := runIn(nil, "check", "--mutation", "load-literal-twice", "--format", "json")
	require.Equal(t, exitFailed, code)
	var found struct{ Mutations []mutationInfo }
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.Len(t, found.Mutations, 1)
	m := found.Mutations[0]
	assert.True(t, m.Found)

	code, out, errs := runIn(nil, "check", "--replay", m.Token, "--format", "json")
	assert.Equal(t, exitFailed, code)
	assert.Equal(t, "callops: broken: enable\n", errs)
	var way check.Counterexample
	require.NoError(t, json.Unmarshal([]byte(out), &way))
	assert.Equal(t, m.Property, way.Property)
	assert.Len(t, way.Steps, m.Steps)
	assert.Equal(t, m.Token, way.Token)

	code, out, _ = runIn(nil, "check", "--replay", m.Token)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "enable with load-literal-twice, 2 CPUs, 7 steps; --replay "+m.Token+"\n")
}

// A kernel without CALL_OPS has none of the faults of CALL_OPS: that is no success.
func TestCheck_NothingFits(t *testing.T) {
	for _, format := range []string{formatText, formatJSON} {
		code, out, errs := runIn(nil, "check", "--image", kernels.Path(t, kernels.Linux61), "--mutation", "all", "--format", format)
		assert.Equal(t, exitFailed, code)
		assert.Empty(t, out)
		assert.Regexp(t, `^callops: all \d+ are left out: vmlinuz-6\.1\S* has no room for literals \(\d+\); .*\(\d+\): not for this kernel\n$`, errs)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]uint64{"1": 1, "4G": 4 << 30, "500M": 500 << 20, "1536K": 1536 << 10, "0x10": 16} {
		var s size
		require.NoError(t, s.Set(text))
		assert.Equal(t, want, s.bytes, text)
	}
	assert.Equal(t, "4G", (&size{4 << 30}).String())
	assert.Equal(t, "1536K", (&size{1536 << 10}).String())
	assert.Equal(t, "5", (&size{5}).String())
	for _, text := range []string{"", "K", "0", "-1", "4T", "1.5G", "9999999999G"} {
		var s size
		assert.Error(t, s.Set(text), text)
	}
}

package play_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage"
	"callops/play"
)

// run plays a script of gcd on the built-in kernel.
func run(t *testing.T, s play.Script) *play.Recording {
	t.Helper()
	if s.Func == "" {
		s.Func, s.Args = "gcd", []uint64{84, 36}
	}
	rec, err := play.Run(t.Context(), nil, &s)
	require.NoError(t, err)
	return rec
}

func register(at int, ops, filter string) play.Action {
	return play.Action{At: at, Do: play.Register, Ops: ops, Filter: filter}
}

func unregister(at int, ops string) play.Action {
	return play.Action{At: at, Do: play.Unregister, Ops: ops}
}

// texts are the frames of the patcher, in order.
func texts(rec *play.Recording) []string {
	var list []string
	for _, f := range rec.Frames {
		switch f.Kind {
		case play.Insn, play.Return:
		case play.Store:
			list = append(list, f.Where+": "+f.Old+" -> "+f.New)
		default:
			list = append(list, f.Text)
		}
	}
	return list
}

// parts are what the ftrace part of a call takes, as bench counts it.
func parts(c play.Call) int { return c.Parts[play.Caller] + c.Parts[play.List] + c.Parts[play.Tracer] }

func TestRun_CountsWhatEachPartOfACallTakes(t *testing.T) {
	on := []play.Action{register(0, "A", "gcd")}
	two := append(on, register(0, "B", "gcd"))
	beside := append(on, register(0, "B", "fib"))
	for name, tc := range map[string]struct {
		actions []play.Action
		scheme  string
		want    map[play.Part]int // 3 instructions more a tracer than the nop of bench
	}{
		"nothing":                 {nil, "callops", map[play.Part]int{}},
		"one ops":                 {on, "callops", map[play.Part]int{play.Caller: 31, play.Tracer: 6}},
		"one ops, before":         {on, "global", map[play.Part]int{play.Caller: 26, play.List: 73, play.Tracer: 6}},
		"two ops":                 {two, "callops", map[play.Part]int{play.Caller: 31, play.List: 101, play.Tracer: 12}},
		"two ops, a set":          {two, "sets", map[play.Part]int{play.Caller: 31, play.List: 21, play.Tracer: 12}},
		"one beside":              {beside, "callops", map[play.Part]int{play.Caller: 31, play.Tracer: 6}},
		"one beside, before":      {beside, "global", map[play.Part]int{play.Caller: 26, play.List: 95, play.Tracer: 6}},
		"registered and gone":     {append(on, unregister(0, "A")), "callops", map[play.Part]int{}},
		"registered on others":    {[]play.Action{register(0, "A", "fib")}, "callops", map[play.Part]int{}},
		"registered after a call": {[]play.Action{register(1000, "A", "gcd")}, "callops", map[play.Part]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := run(t, play.Script{Scheme: tc.scheme, Actions: tc.actions})
			require.Empty(t, rec.Error)
			require.Equal(t, "0xc", rec.Result)
			got := rec.Calls[0].Parts
			delete(got, play.Traced)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestRun_PatchesWhileTheCallStandsBetweenTwoInstructions(t *testing.T) {
	// After 20 instructions the call is in ftrace_caller, with ops A loaded.
	rec := run(t, play.Script{Calls: 2, Actions: []play.Action{register(0, "A", "gcd"), register(20, "B", "gcd"), unregister(22, "A")}})
	require.Equal(t, []string{
		"register A on gcd",
		"literal of gcd: ftrace_nop_ops -> ops A",
		"gcd+0x4: nop -> bl ffff800078001000 <ftrace_caller>",
		"register A on gcd returns",
		"register B on gcd",
		"literal of gcd: ops A -> ftrace_list_ops",
		"gcd+0x4: bl ffff800078001000 <ftrace_caller> -> bl ffff800078001000 <ftrace_caller>",
		"register B on gcd returns",
		"unregister A",
		"literal of gcd: ftrace_list_ops -> ops B",
		"gcd+0x4: bl ffff800078001000 <ftrace_caller> -> bl ffff800078001000 <ftrace_caller>",
		"synchronize_rcu_tasks_rude waits: a task is in traced code",
		"synchronize_rcu_tasks_rude returns: the task has left",
		"synchronize_rcu_tasks returns at once: no task is in the kernel",
		"frees ops A",
		"unregister A returns",
	}, texts(rec))
	for i, ops := range []string{"ops A", "ops B"} { // the first call had loaded A by then
		require.Equal(t, 37, parts(rec.Calls[i]))
		require.Contains(t, reads(rec, i), play.Access{What: ops, Value: "ops_func_count"})
	}
	waits, left := index(rec, " waits: "), index(rec, "gcd returns 0x")
	require.Less(t, waits, left)
	require.Less(t, left, index(rec, "frees ops A"), "an ops is freed after the task that may use it has left")
}

// reads are what the instructions of a call loaded.
func reads(rec *play.Recording, call int) (list []play.Access) {
	end := len(rec.Frames)
	if call+1 < len(rec.Calls) {
		end = rec.Calls[call+1].First
	}
	for _, f := range rec.Frames[rec.Calls[call].First:end] {
		list = append(list, f.Reads...)
	}
	return list
}

// index is that of the first frame whose text contains this.
func index(rec *play.Recording, text string) int {
	for i, f := range rec.Frames {
		if strings.Contains(f.Text, text) {
			return i
		}
	}
	return -1
}

func TestRun_AnOperationWaitsForTheOneThatHoldsTheLock(t *testing.T) {
	rec := run(t, play.Script{Actions: []play.Action{register(0, "A", "gcd"), unregister(10, "A"), register(12, "B", "gcd")}})
	waits := index(rec, "register B on gcd waits for ftrace_lock")
	require.Equal(t, 12, rec.Frames[waits].N)
	require.Less(t, index(rec, "unregister A returns"), index(rec, "register B on gcd returns"))
}

func TestRun_IsTheSameEachTime(t *testing.T) {
	script := play.Script{Calls: 3, Actions: []play.Action{register(0, "A", "*"), register(7, "B", "gcd"), unregister(40, "A")}}
	first, err := json.Marshal(run(t, script))
	require.NoError(t, err)
	again, err := json.Marshal(run(t, script))
	require.NoError(t, err)
	require.Equal(t, string(first), string(again))
}

// An action put in at an instruction leaves all frames before it as they were: a page can show the
// same instruction, and go on from there.
func TestRun_AnActionChangesNothingBeforeIt(t *testing.T) {
	before := run(t, play.Script{Calls: 2, Actions: []play.Action{register(0, "A", "gcd")}})
	for at := 1; at < 60; at += 7 {
		after := run(t, play.Script{Calls: 2, Actions: []play.Action{register(0, "A", "gcd"), register(at, "B", "gcd")}})
		for i := 0; before.Frames[i].N <= at && before.Frames[i].Kind != play.Return; i++ {
			require.Equal(t, before.Frames[i], after.Frames[i])
		}
		require.Equal(t, before.Code[0], after.Code[0])
		require.Equal(t, before.Site, after.Site)
	}
}

func TestRun_ListsCodeAsItWasBeforeTheFirstFrame(t *testing.T) {
	rec := run(t, play.Script{Actions: []play.Action{register(0, "A", "gcd")}})
	require.Equal(t, "gcd", rec.Code[0].Name)
	require.Equal(t, ".quad ftrace_nop_ops", rec.Code[0].Lines[0].Text)
	require.Equal(t, "nop", rec.Code[0].Lines[2].Text)
	require.Equal(t, "ftrace_nop_ops", rec.Site.Literal)
	var names []string
	for _, b := range rec.Code {
		names = append(names, b.Name)
	}
	require.Equal(t, []string{"gcd", "ftrace_caller", "ops_func_count"}, names)
}

func TestRun_WhatFailsIsPartOfTheRecording(t *testing.T) {
	for name, tc := range map[string]struct {
		script play.Script
		text   string
	}{
		"a call that faults": {play.Script{Func: "do_fault", Args: []uint64{8}}, "do_fault"},
		"an endless call":    {play.Script{Func: "spin_forever"}, "more than 20000 instructions"},
		"an unknown filter":  {play.Script{Func: "gcd", Actions: []play.Action{register(0, "A", "gcdd")}}, "gcdd"},
		"never registered":   {play.Script{Func: "gcd", Actions: []play.Action{unregister(0, "A")}}, "never been registered"},
		"registered twice":   {play.Script{Func: "gcd", Actions: []play.Action{register(0, "A", "gcd"), register(0, "A", "gcd")}}, "registered already"},
		"a fault while an operation waits": {play.Script{Func: "do_fault", Args: []uint64{8},
			Actions: []play.Action{register(0, "A", "do_fault"), unregister(9, "A")}}, "do_fault"},
	} {
		t.Run(name, func(t *testing.T) {
			rec, err := play.Run(t.Context(), nil, &tc.script)
			require.NoError(t, err)
			if rec.Error == "" {
				require.GreaterOrEqual(t, index(rec, tc.text), 0)
				return
			}
			require.Contains(t, rec.Error, tc.text)
		})
	}
}

func TestRun_RefusesAScriptThatIsNone(t *testing.T) {
	many := make([]play.Action, play.MaxActions+1)
	for name, tc := range map[string]struct {
		script play.Script
		want   error
	}{
		"no function":       {play.Script{Func: "gcdd"}, errno.ENOENT},
		"too many actions":  {play.Script{Func: "gcd", Actions: many}, errno.EINVAL},
		"too many calls":    {play.Script{Func: "gcd", Calls: 9}, errno.EINVAL},
		"less than a call":  {play.Script{Func: "gcd", Calls: -1}, errno.EINVAL},
		"an unknown scheme": {play.Script{Func: "gcd", Scheme: "x"}, errno.EINVAL},
		"an unknown verb":   {play.Script{Func: "gcd", Actions: []play.Action{{Do: "swap"}}}, errno.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := play.Run(t.Context(), nil, &tc.script)
			require.ErrorIs(t, err, tc.want)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := play.Run(ctx, nil, &play.Script{Func: "gcd", Args: []uint64{84, 36}})
	require.ErrorIs(t, err, context.Canceled)
}

// An action on all functions has a frame for each of their sites.
func TestRun_RefusesMoreFramesThanItHolds(t *testing.T) {
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, img.Close()) }()
	var s play.Script
	s.Func = "int_sqrt"
	for i := range play.MaxActions / 2 {
		name := fmt.Sprint(i)
		s.Actions = append(s.Actions, register(0, name, "*"), unregister(0, name))
	}
	_, err = play.Run(t.Context(), img, &s)
	require.ErrorIs(t, err, errno.E2BIG)
}

// What is searched for takes memory and time, so a question may name what the list has, and nothing else.
func TestAnswer_SearchesForListedFilmsAlone(t *testing.T) {
	var s play.Server
	for _, film := range []string{`{"scenario":"disable"}`, `{"scenario":"disable","mutation":"no-rude-wait"}`, `{"scenario":"nosuch"}`, `null`} {
		_, err := s.Answer(t.Context(), "film", []byte(film))
		require.ErrorIs(t, err, play.ErrQuestion, film)
		require.ErrorIs(t, err, errno.ENOENT, film)
	}
}

package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"callops/check"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage"
)

// Server answers what the page asks.
type Server struct {
	Image *kernelimage.Image // nil: the built-in kernel
}

// ErrQuestion is a question that there is no answer to.
var ErrQuestion = errors.New("no such question")

// maxFunctions is how many functions an answer lists.
const maxFunctions = 50

// filmMemory bounds the search for a counterexample, in bytes.
const filmMemory = 1 << 29

// About is the answer to "about": what there is to play.
type About struct {
	Image   string   `json:"image"`
	Schemes []string `json:"schemes"` // that it can be played under
	Func    string   `json:"func"`    // the one to begin with
	Args    []uint64 `json:"args"`
	Other   string   `json:"other"` // a function that no call of Func reaches, for irrelevant ops
	Films   []Film   `json:"films"`
}

// Film is a counterexample to ask for: of a scenario with a mutation, or of one that Linux breaks.
type Film struct {
	Scenario string `json:"scenario"`
	Mutation string `json:"mutation,omitempty"`
	About    string `json:"about"`
}

// Answer answers a question, in JSON as it was asked. An error that is the asker's matches EINVAL or
// ENOENT.
func (s *Server) Answer(ctx context.Context, question string, request []byte) ([]byte, error) {
	answer, err := s.answer(ctx, question, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (s *Server) answer(ctx context.Context, question string, request []byte) (any, error) {
	switch question {
	case "about":
		return s.about()
	case "functions":
		return ask(request, func(prefix *string) (any, error) { return s.functions(*prefix) })
	case "play":
		return ask(request, func(script *Script) (any, error) { return Run(ctx, s.Image, script) })
	case "film":
		return ask(request, func(f *Film) (any, error) { return film(ctx, f) })
	}
	return nil, fmt.Errorf("%q: %w: %w", question, ErrQuestion, errno.ENOENT)
}

// ask decodes a request for the function that answers it.
func ask[T any](request []byte, answer func(*T) (any, error)) (any, error) {
	var v T
	if err := json.Unmarshal(request, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errno.EINVAL)
	}
	return answer(&v)
}

func (s *Server) image() (*kernelimage.Image, error) {
	if s.Image != nil {
		return s.Image, nil
	}
	return kernelimage.Builtin(nil)
}

func (s *Server) about() (*About, error) {
	img, err := s.image()
	if err != nil {
		return nil, err
	}
	a := &About{Image: img.Name(), Schemes: []string{ftrace.Global.String()}, Args: []uint64{}, Films: films()}
	if img.CallOps() {
		a.Schemes = []string{ftrace.Global.String(), ftrace.CallOps.String(), ftrace.Sets.String()}
	}
	names := siteNames(img)
	empty := img.EmptyFuncs(2)
	for _, sym := range empty {
		a.Other = sym.Name
	}
	for _, f := range preferred {
		if _, ok := slices.BinarySearch(names, f.name); ok {
			a.Func, a.Args = f.name, f.args
			return a, nil
		}
	}
	if len(empty) == 2 {
		a.Func = empty[0].Name
	} else if len(names) > 0 {
		a.Func = names[0]
	}
	return a, nil
}

// preferred are functions that do something, in a few instructions.
var preferred = []struct {
	name string
	args []uint64
}{{"gcd", []uint64{84, 36}}, {"int_sqrt", []uint64{1000}}}

// siteNames are the names of an image's functions with a call site, sorted.
func siteNames(img *kernelimage.Image) []string {
	funcs := map[uint64]bool{}
	for _, site := range img.Sites() {
		funcs[site.Func()] = true
	}
	var names []string
	for _, sym := range img.Symbols() {
		if sym.Func && funcs[sym.Addr] {
			names = append(names, sym.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// functions lists those that can be traced, and whose name begins so.
func (s *Server) functions(prefix string) ([]string, error) {
	img, err := s.image()
	if err != nil {
		return nil, err
	}
	names := siteNames(img)
	first, _ := slices.BinarySearch(names, prefix)
	list := []string{}
	for _, name := range names[first:] {
		if !strings.HasPrefix(name, prefix) || len(list) == maxFunctions {
			break
		}
		list = append(list, name)
	}
	return list, nil
}

// films are the counterexamples that there are.
func films() []Film {
	list := []Film{}
	for _, m := range check.Mutations() {
		if m.Harmless == "" && !m.OnlyImageCore() {
			list = append(list, Film{Scenario: m.Scenario, Mutation: m.Name, About: m.About})
		}
	}
	for _, sc := range check.Scenarios() {
		if sc.Finding != check.NoFinding {
			list = append(list, Film{Scenario: sc.Name, About: "Linux as it is: " + sc.Finding.String()})
		}
	}
	return list
}

// film is a counterexample, on the built-in kernel.
func film(ctx context.Context, f *Film) (*check.Counterexample, error) {
	listed := func(l Film) bool { return l.Scenario == f.Scenario && l.Mutation == f.Mutation }
	if !slices.ContainsFunc(films(), listed) {
		return nil, fmt.Errorf("film of %q with %q: %w: %w", f.Scenario, f.Mutation, ErrQuestion, errno.ENOENT)
	}
	res, err := check.Check(ctx, f.Scenario, f.Mutation, &check.Options{Memory: filmMemory})
	switch {
	case err != nil:
		return nil, err
	case len(res.Violations) == 0:
		return nil, fmt.Errorf("%s holds: %w", f.Scenario, errno.ENOENT)
	}
	return res.Violations[0], nil
}

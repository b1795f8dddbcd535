package check

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"callops/check/internal/model"
)

// ErrToken is a token that Replay can't use.
var ErrToken = errors.New("no token of a counterexample")

// A token is the scenario, the mutation, the mode, and the way. The mode is whose
// kernel, trampolines and core, whether the search was reduced, and the CPUs.
const (
	tokenParts   = 4
	tokenReduced = "r"
	tokenWhole   = "w"
	tokenKernel  = "k" // an image's kernel
	tokenOwn     = "o" // with its own trampolines
	tokenCore    = "c" // with its own core too
)

// kernelToken is the part of a mode that is the kernel.
func kernelToken(o *Options) string {
	switch {
	case o.ImageCore:
		return tokenCore
	case o.ImageCode:
		return tokenOwn
	case o.Image != nil:
		return tokenKernel
	}
	return ""
}

func (t *trial) token(cpus int, way model.Way) string {
	mode := tokenReduced
	if t.opts.NoReduce {
		mode = tokenWhole
	}
	return strings.Join([]string{
		t.sc.Name, t.mut.Name, kernelToken(&t.opts) + mode + strconv.Itoa(cpus), base64.RawURLEncoding.EncodeToString(way.Bytes()),
	}, ":")
}

// parseToken is the other way round, for the kernel that the way was on.
func parseToken(token string, on *Options) (*trial, model.Way, error) {
	bad := func(format string, args ...any) (*trial, model.Way, error) {
		return nil, nil, fmt.Errorf("%w: %w", ErrToken, fmt.Errorf(format, args...))
	}
	parts := strings.Split(token, ":")
	if len(parts) != tokenParts {
		return bad("the number of its parts is %d, not %d", len(parts), tokenParts)
	}
	sc, err := findScenario(parts[0])
	if err != nil {
		return bad("%w", err)
	}
	mut, err := findMutation(parts[1])
	if err != nil {
		return bad("%w", err)
	}
	t := &trial{sc, mut, Options{Image: on.Image, ImageCode: on.ImageCode, ImageCore: on.ImageCore}}
	mode, ok := strings.CutPrefix(parts[2], kernelToken(on))
	if !ok || strings.ContainsAny(mode, tokenKernel+tokenOwn+tokenCore) {
		return bad("mode %q is another kernel's, or for other trampolines or another core", parts[2])
	}
	cpus, reduced := strings.CutPrefix(mode, tokenReduced)
	if !reduced {
		if cpus, t.opts.NoReduce = strings.CutPrefix(mode, tokenWhole); !t.opts.NoReduce {
			return bad("mode %q", parts[2])
		}
	}
	if t.opts.CPUs, err = strconv.Atoi(cpus); err != nil || t.opts.CPUs < 1 || t.opts.CPUs > MaxCPUs {
		return bad("%q CPUs", cpus)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil {
		return bad("%w", err)
	}
	way, err := model.ParseWay(b, t.opts.CPUs)
	if err != nil {
		return bad("%w", err)
	}
	return t, way, nil
}

package check

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrToken is a token that Replay can't use.
var ErrToken = errors.New("no token of a counterexample")

// A token is the scenario, the mutation, the mode, and the choices: of each its
// kind, its CPU, and its argument. The mode is whose kernel and trampolines,
// whether the search was reduced, and the CPUs.
const (
	tokenParts   = 4
	maxChoices   = 10_000
	tokenReduced = "r"
	tokenWhole   = "w"
	tokenKernel  = "k" // an image's kernel
	tokenOwn     = "o" // with its own trampolines
)

func (b *base) token() string {
	switch {
	case b.own:
		return tokenOwn
	case b.image != nil:
		return tokenKernel
	}
	return ""
}

func (s *subject) token(way []choice) string {
	var b []byte
	for _, c := range way {
		b = append(b, byte(c.kind)|byte(c.cpu)<<4)
		if c.kind == patches || c.kind == callsBack || c.kind == sees {
			b = binary.AppendUvarint(b, uint64(c.arg))
		}
	}
	mode := tokenReduced
	if s.whole {
		mode = tokenWhole
	}
	return strings.Join([]string{
		s.sc.Name, s.m.mut.Name, s.base.token() + mode + strconv.Itoa(len(s.kinds)), base64.RawURLEncoding.EncodeToString(b),
	}, ":")
}

// parseToken is the other way round, for the kernel that the way was on.
func parseToken(token string, on *base) (sc *Scenario, mut *Mutation, opts Options, way []choice, err error) {
	bad := func(format string, args ...any) (*Scenario, *Mutation, Options, []choice, error) {
		return nil, nil, Options{}, nil, fmt.Errorf("%w: %s", ErrToken, fmt.Sprintf(format, args...))
	}
	parts := strings.Split(token, ":")
	if len(parts) != tokenParts {
		return bad("the number of its parts is %d, not %d", len(parts), tokenParts)
	}
	if sc, err = find(parts[0]); err != nil {
		return bad("%v", err)
	}
	mut = none
	if parts[1] != "" {
		if mut, err = findMutation(parts[1]); err != nil {
			return bad("%v", err)
		}
	}
	mode, ok := strings.CutPrefix(parts[2], on.token())
	if !ok || strings.HasPrefix(mode, tokenKernel) || strings.HasPrefix(mode, tokenOwn) {
		return bad("mode %q is another kernel's, or for other trampolines", parts[2])
	}
	cpus, reduced := strings.CutPrefix(mode, tokenReduced)
	if !reduced {
		if cpus, opts.NoReduce = strings.CutPrefix(mode, tokenWhole); !opts.NoReduce {
			return bad("mode %q", parts[2])
		}
	}
	if opts.CPUs, err = strconv.Atoi(cpus); err != nil || opts.CPUs < 1 || opts.CPUs > maxCPUs {
		return bad("%q CPUs", cpus)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil {
		return bad("%v", err)
	}
	for len(b) > 0 {
		if len(way) == maxChoices {
			return bad("more than %d choices", maxChoices)
		}
		c := choice{kind: choiceKind(b[0] & 15), cpu: int(b[0] >> 4)}
		b = b[1:]
		if c.kind >= numChoices || c.cpu >= opts.CPUs {
			return bad("choice %d is of kind %d, on CPU %d", len(way)+1, c.kind, c.cpu)
		}
		if c.kind == patches || c.kind == callsBack || c.kind == sees {
			v, n := binary.Uvarint(b)
			switch {
			case n == 0:
				return bad("it ends within choice %d", len(way)+1)
			case n < 0 || v > math.MaxUint32 || c.kind == patches && v > math.MaxUint16:
				return bad("choice %d is of %d", len(way)+1, v)
			}
			c.arg, b = int(v), b[n:]
		}
		way = append(way, c)
	}
	return sc, mut, opts, way, nil
}

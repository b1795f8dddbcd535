package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"callops/board"
)

// ErrToken is a token that is none, or of another kernel, workload or version.
var ErrToken = errors.New("no token of a schedule")

const tokenVersion = "s1"

// Token is a schedule as text: version, workload, fault, what the kernel is, and the CPUs' instructions in turn.
func (l *Lab) Token(schedule []Segment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s/%s/%08x/", tokenVersion, l.workload.Name, l.opts.Fault.name(), l.key)
	for i, s := range schedule {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d:%d", s.CPU, s.Instructions)
	}
	return b.String()
}

// TokenParts are what a token says of where it belongs.
type TokenParts struct {
	Workload, Fault string
	Key             uint32
	Schedule        []Segment
}

// maxSegments bounds a token's schedule.
const maxSegments = 1 << 20

// ParseToken reads a token, which is untrusted.
func ParseToken(token string) (*TokenParts, error) {
	parts := strings.Split(token, "/")
	if len(parts) != 5 || parts[0] != tokenVersion || parts[1] == "" {
		return nil, fmt.Errorf("%w: it is not %s/WORKLOAD/FAULT/KERNEL/SCHEDULE", ErrToken, tokenVersion)
	}
	key, err := strconv.ParseUint(parts[3], 16, 32)
	if err != nil || len(parts[3]) != 8 {
		return nil, fmt.Errorf("%w: key %q", ErrToken, parts[3])
	}
	t := &TokenParts{Workload: parts[1], Fault: parts[2], Key: uint32(key)}
	if parts[4] == "" {
		return t, nil
	}
	if strings.Count(parts[4], ",") >= maxSegments {
		return nil, fmt.Errorf("%w: more than %d segments", ErrToken, maxSegments)
	}
	for s := range strings.SplitSeq(parts[4], ",") {
		cpu, n, ok := strings.Cut(s, ":")
		c, errCPU := strconv.ParseUint(cpu, 10, 8)
		count, errCount := strconv.ParseUint(n, 10, 62)
		if !ok || errCPU != nil || errCount != nil || c >= board.MaxCPUs {
			return nil, fmt.Errorf("%w: segment %q", ErrToken, s)
		}
		t.Schedule = append(t.Schedule, Segment{int(c), count})
	}
	return t, nil
}

// Replay returns the policy of a token's schedule. It matches ErrToken where the token is of another kernel or workload.
func (l *Lab) Replay(token string) (Policy, error) {
	t, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Workload != l.workload.Name || t.Fault != l.opts.Fault.name():
		return nil, fmt.Errorf("%w: it is of workload %s, fault %q", ErrToken, t.Workload, t.Fault)
	case t.Key != l.key:
		return nil, fmt.Errorf("%w: it is of another kernel, or another version of callops", ErrToken)
	}
	for _, s := range t.Schedule {
		if s.CPU >= l.m.CPUs() {
			return nil, fmt.Errorf("%w: it has a CPU %d, the workload has %d CPUs", ErrToken, s.CPU, l.m.CPUs())
		}
	}
	return &Fixed{left: t.Schedule}, nil
}

// Fixed is a schedule that is given. Where it says nothing more, the CPUs go on in turn.
type Fixed struct {
	left []Segment
	rest roundRobin
}

// NewFixed returns the policy of a schedule.
func NewFixed(schedule []Segment) *Fixed { return &Fixed{left: append([]Segment(nil), schedule...)} }

// Next implements [Policy].
func (f *Fixed) Next(p *Point) (int, uint64) {
	if p.Last >= 0 && len(f.left) > 0 {
		f.left[0].Instructions -= min(f.left[0].Instructions, p.Executed)
	}
	for len(f.left) > 0 {
		s := &f.left[0]
		if p.Ready>>s.CPU&1 == 1 && s.Instructions > 0 {
			return s.CPU, s.Instructions
		}
		f.left = f.left[1:]
	}
	return f.rest.Next(p)
}

// roundRobin is the schedule without a choice: a CPU goes on until it waits, spins, or has ended a step, or for a long time.
type roundRobin struct{}

const longTurn = 1 << 20

// Next implements [Policy].
func (roundRobin) Next(p *Point) (int, uint64) {
	if p.Last >= 0 && p.Ready>>p.Last&1 == 1 && (p.End == board.TurnSpent || p.End == board.TurnPoint || p.End == board.TurnServed) && p.AtStep>>p.Last&1 == 0 && p.Run < longTurn {
		return p.Last, longTurn - p.Run
	}
	for i := range board.MaxCPUs {
		if cpu := (p.Last + 1 + i) % board.MaxCPUs; p.Ready>>cpu&1 == 1 {
			return cpu, longTurn
		}
	}
	return p.Last, longTurn
}

package ftrace

import (
	"fmt"
	"strings"

	"callops/internal/errno"
)

// Scheme is how a traced call finds the ops of its site.
type Scheme uint8

// The schemes.
const (
	// CallOps is Linux's from 6.3 on: a site's literal names its one ops, and
	// ftrace_list_ops where there are several or the one asks for protection. On
	// an image whose sites have no literals it is Global.
	CallOps Scheme = iota

	// Sets is CallOps with a set of a site's ops in the place of
	// ftrace_list_ops.
	Sets

	// List has every literal name ftrace_list_ops: CallOps without what it is
	// for. Each traced call pays for every registered ops.
	List

	// Global is Linux's before, and without CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS:
	// no literals, and one function for the calls of all sites.
	Global

	numSchemes
)

var schemeNames = [numSchemes]string{"callops", "sets", "list", "global"}

func (s Scheme) String() string {
	if s < numSchemes {
		return schemeNames[s]
	}
	return fmt.Sprintf("scheme %d", uint8(s))
}

// MarshalText is String.
func (s Scheme) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what ParseScheme takes.
func (s *Scheme) UnmarshalText(name []byte) (err error) {
	*s, err = ParseScheme(string(name))
	return err
}

// SchemeNames are the names that ParseScheme takes.
func SchemeNames() []string { return schemeNames[:] }

// ParseScheme returns the scheme of a name; EINVAL for any other.
func ParseScheme(name string) (Scheme, error) {
	for s := range numSchemes {
		if schemeNames[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("scheme %q, there are %s: %w", name, strings.Join(schemeNames[:], ", "), errno.EINVAL)
}

// check refuses a scheme that needs literals where there are none.
func (s Scheme) check(literals bool) error {
	if s >= numSchemes || !literals && (s == Sets || s == List) {
		return fmt.Errorf("%s, sites with literals %v: %w", s, literals, errno.EINVAL)
	}
	return nil
}

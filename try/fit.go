package try

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage"
)

// UnfitError is two images that can't be compared. It matches errno.EINVAL.
type UnfitError struct {
	Old, New string
	Why      string
}

func (e *UnfitError) Error() string {
	return fmt.Sprintf("%s and %s do not belong together: %s", e.Old, e.New, e.Why)
}

func (e *UnfitError) Is(target error) bool { return target == errno.EINVAL }

// fit reports whether two images can be compared, and returns what is noteworthy.
func fit(old, now *Build) (notes []string, err error) {
	unfit := func(format string, args ...any) error {
		return &UnfitError{old.Name, now.Name, fmt.Sprintf(format, args...)}
	}
	for _, b := range []*Build{old, now} {
		switch {
		case !b.Image.IsLinux():
			return nil, unfit("%s is not a Linux kernel", b.Name)
		case !hasFtrace(b.Image):
			return nil, unfit("%s has no ftrace_caller (CONFIG_DYNAMIC_FTRACE)", b.Name)
		}
	}
	a, b := old.Image, now.Image
	switch {
	case a.PageSize() != b.PageSize():
		return nil, unfit("one has pages of %d KiB, the other of %d KiB", a.PageSize()>>10, b.PageSize()>>10)
	case a.CallOps() && !b.CallOps():
		return nil, unfit("%s has CALL_OPS, %s has not", old.Name, now.Name)
	case !a.CallOps() && b.CallOps():
		return nil, unfit("%s has CALL_OPS, %s has not", now.Name, old.Name)
	}
	return noteworthy(a, b), nil
}

func hasFtrace(img *kernelimage.Image) bool {
	return slices.ContainsFunc(img.SymbolTable().Called("ftrace_caller"), func(s kernelimage.Symbol) bool { return s.Func })
}

// banner is what linux_banner begins with: release, builder, and the compiler in
// parentheses.
var banner = regexp.MustCompile(`^Linux version (\S+) \([^)]*\) \((.*)\) #`)

func noteworthy(old, now *kernelimage.Image) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if old.Banner() == now.Banner() {
		note("both say that they are the same build: %s", firstWords(old.Banner()))
	}
	a, b := banner.FindStringSubmatch(old.Banner()), banner.FindStringSubmatch(now.Banner())
	if a != nil && b != nil {
		if x, y := series(a[1]), series(b[1]); x != y {
			note("they are of two series, %s and %s", x, y)
		}
		if a[2] != b[2] {
			note("they were built by different compilers: functions may differ for no other reason")
		}
	}
	if old.BTI() != now.BTI() {
		note("one was built with BTI, the other without")
	}
	if x, y := old.Profile(), now.Profile(); x != y {
		note("their ftrace has the layout of %s and of %s", x, y)
	}
	if x, y := config(old), config(now); x != nil && y != nil {
		if diff := differ(x, y); len(diff) > 0 {
			note("they are configured differently: %s", strings.Join(diff, ", "))
		}
	}
	return notes
}

func firstWords(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// series is the first two numbers of a release.
func series(release string) string {
	parts := strings.SplitN(release, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// config is the options of an image that has them in it, as far as they concern ftrace.
func config(img *kernelimage.Image) map[string]string {
	l := img.Linux()
	if l == nil || l.Config == "" {
		return nil
	}
	options := make(map[string]string)
	for line := range strings.Lines(l.Config) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && concerns(name) {
			options[name] = value
		}
	}
	return options
}

// concerns reports whether an option decides how ftrace is built or runs.
func concerns(option string) bool {
	for _, part := range []string{"FTRACE", "FUNCTION_", "PREEMPT", "LIVEPATCH", "PAGE_SHIFT", "CFI", "LTO", "PTR_AUTH", "BTI", "DEBUG_LOCK_ALLOC"} {
		if strings.Contains(option, part) {
			return true
		}
	}
	return false
}

// differ lists the options that are not the same in both.
func differ(a, b map[string]string) (list []string) {
	seen := make(map[string]bool)
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			if !seen[name] && a[name] != b[name] {
				list = append(list, name)
			}
			seen[name] = true
		}
	}
	return sorted(list)
}

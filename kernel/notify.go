package kernel

import (
	"errors"
	"slices"

	"callops/kernelimage/module"
)

// Event is what happens to the text of a running kernel.
type Event int

// The events. Of a module they are those of the module notifier chain
// (MODULE_STATE_COMING and MODULE_STATE_GOING, include/linux/module.h).
const (
	ModuleComing Event = iota // it is in memory, and nothing of it has run
	ModuleGoing               // it is about to leave memory
	InitFreeing               // init text is about to be freed
)

func (e Event) String() string {
	return [...]string{"module coming", "module going", "freeing init text"}[e]
}

// Notifier is called for an event, with the module that it concerns; nil for the
// kernel itself. It may refuse ModuleComing and InitFreeing with an error; an
// error of ModuleGoing is passed on, and the module goes.
type Notifier func(e Event, m *module.Module) error

// Subscribe has n told of every event from now on, on the goroutine that causes
// it, after earlier subscribers. The function that it returns unsubscribes.
// A nil Notifier is none.
func (k *Kernel) Subscribe(n Notifier) (unsubscribe func()) {
	if n == nil {
		return func() {}
	}
	s := &n
	k.notifiers = append(k.notifiers, s)
	return func() {
		k.notifiers = slices.DeleteFunc(slices.Clone(k.notifiers), func(other *Notifier) bool { return other == s })
	}
}

// notify calls all subscribers. If one refuses a module that comes, those before
// it are notified that it goes.
func (k *Kernel) notify(e Event, m *module.Module) error {
	var errs []error
	told := k.notifiers
	for i, n := range told {
		err := (*n)(e, m)
		errs = append(errs, err)
		if err == nil || e == ModuleGoing {
			continue
		}
		if e == ModuleComing {
			for _, n := range slices.Backward(told[:i]) {
				errs = append(errs, (*n)(ModuleGoing, m))
			}
		}
		break
	}
	return errors.Join(errs...)
}

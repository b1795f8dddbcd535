package search

import "math"

// Model is what is searched. Its methods are called by one goroutine at a time.
type Model interface {
	// Kinds is the kind of each component, ascending.
	Kinds() []int

	// Alike reports whether it makes no difference which of the components of a
	// kind is where. Then states that differ in that only are one.
	Alike() bool

	// Begin is the state that all begins in: the control, and the part of each component.
	Begin() (Control, []Part)

	// Steps are what the control may do, and whether it has to do something before
	// all can be done.
	Steps(c Control) (steps []Step, waits bool)

	// After is what a component's part is after a step of the control.
	After(c Control, step, kind int, p Part) Part

	// Moves are the parts that a component may go on to at a control, Broken for a
	// move that breaks what must hold.
	Moves(c Control, kind int, p Part) ([]Part, error)

	// Marks are those of a part.
	Marks(kind int, p Part) Marks
}

// Control and Part are numbers that a model gives; a part's is one of its kind. Both are few.
type (
	Control uint32
	Part    uint32
)

// Broken is in the place of a part that a broken move leads to.
const Broken Part = math.MaxUint32

// Marks are what the control wants to know of parts, a bit each.
type Marks uint64

// Done marks parts of components that have nothing to do any more. Where all are, and
// the control does not wait either, nothing has to follow.
const Done Marks = 1 << 63

// Step is one thing that the control may do.
type Step struct {
	To     Control
	Unless Marks // while no component has any of these,
	Where  Marks // and, unless it is 0, one has one of these
}

// Open reports whether components that have these marks together let the step be made.
func (s *Step) Open(m Marks) bool { return s.Unless&m == 0 && (s.Where == 0 || s.Where&m != 0) }

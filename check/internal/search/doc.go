// Package search visits every state of a [Model] once, breadth first, on
// several cores, and finds a shortest path to a broken one.
//
// A state is a control and, for each component, a part. What a component may do
// depends on the control and on its own part alone. So that is found once for each part at
// each control (space.go), and the search goes by tables. The parts at a
// control are numbered from 0, and so are the states there: the set of those
// that were seen is bits (layout.go, set.go). No two states share one.
//
// What is found, and how many states, transitions and levels there are, does
// not depend on the number of workers.
package search

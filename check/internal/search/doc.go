// Package search visits every state of a [Model] once, breadth first, on
// several cores, and finds a shortest path to a broken one.
//
// States are compared whole, never by their hash alone: two states are one
// only if all their bytes are equal. What is found, and how many states,
// transitions and levels there are, does not depend on the number of workers.
package search

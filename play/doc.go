// Package play records a call of a traced function, instruction by instruction, with what is
// done to ftrace before it, while it stands between two instructions, and after it: what a page
// needs to show the call, forward and back.
//
// A Script is the whole input, and the same script gives the same Recording. So nothing is kept
// between two: whoever looks at instruction 17 and unregisters an ops there plays the script again,
// with one Action more.
//
// A Server answers requests for recordings, and for counterexamples of package check, in JSON. It
// does not know whether they come by HTTP or from JavaScript beside it.
package play

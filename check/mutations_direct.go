package check

// directMutations are faults in the designs of direct calls.
var directMutations = []Mutation{}

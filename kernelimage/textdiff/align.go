package textdiff

// maxEdits bounds the insertions and deletions that are looked for between two
// functions. With more, all between their common start and end counts as replaced.
const maxEdits = 1500

// align pairs the elements of two sequences by a shortest edit script (Myers, "An O(ND)
// difference algorithm and its variations", 1986). same(i, j) compares elements. It
// returns, for each of n, the element of m that it is paired with, or -1.
func align(n, m int, same func(i, j int) bool) []int {
	pairs := make([]int, n)
	for i := range pairs {
		pairs[i] = -1
	}
	start := 0
	for start < n && start < m && same(start, start) {
		pairs[start] = start
		start++
	}
	end := 0
	for end < n-start && end < m-start && same(n-1-end, m-1-end) {
		end++
		pairs[n-end] = m - end
	}
	middle(pairs[start:n-end], m-start-end, start, func(i, j int) bool { return same(start+i, start+j) })
	return pairs
}

// middle pairs what begins and ends differently; base is added to the results.
func middle(pairs []int, m, base int, same func(i, j int) bool) {
	n := len(pairs)
	limit := min(n+m, maxEdits)
	// far[k] is how far into n the furthest way on diagonal k (i-j) has come.
	far := make([]int, 2*limit+3)
	at := func(k int) *int { return &far[k+limit+1] }
	var trace [][]int // far before each number of edits, its used part
	for d := 0; d <= limit; d++ {
		trace = append(trace, append([]int(nil), far[limit+1-d:limit+2+d]...))
		for k := -d; k <= d; k += 2 {
			i := *at(k - 1) + 1
			if k == -d || k != d && *at(k - 1) < *at(k + 1) {
				i = *at(k + 1)
			}
			for i < n && i-k < m && same(i, i-k) {
				i++
			}
			*at(k) = i
			if i >= n && i-k >= m {
				backtrack(pairs, m, base, trace)
				return
			}
		}
	}
}

// backtrack goes the way found back, and notes the pairs on it. trace[d] is the furthest
// points with d-1 edits, on diagonals -d to d.
func backtrack(pairs []int, m, base int, trace [][]int) {
	i, j := len(pairs), m
	for d := len(trace) - 1; d > 0; d-- {
		before, k := trace[d], i-j
		var from, first int // the point before the edit, and the first one after it
		if k == -d || k != d && before[k-1+d] < before[k+1+d] {
			from, first = before[k+1+d], before[k+1+d]
			k++
		} else {
			from = before[k-1+d]
			first = from + 1
			k--
		}
		for i > first {
			i, j = i-1, j-1
			pairs[i] = base + j
		}
		i, j = from, from-k
	}
	for i > 0 {
		i, j = i-1, j-1
		pairs[i] = base + j
	}
}

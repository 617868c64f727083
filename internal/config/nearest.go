package config

// nearest returns the one of the known words that s is probably a misspelling
// of, or "".
func nearest(s string, known []string) string {
	const longest = 64
	if s == "" || len(s) > longest {
		return ""
	}
	best, bound := "", min(3, 1+len(s)/4)
	for _, k := range known {
		if d := distance(s, k); d <= bound {
			best, bound = k, d-1
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace, or of
// neighbours to swap, that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

//go:build !race

package rules

import "testing"

// Under the race detector pools drop some of what they are given, so what is allocated says nothing.

func TestAllocations(t *testing.T) {
	for _, b := range benchmarks(t) {
		if !decide(b.rules, b.req, b.write) {
			t.Errorf("%s: denied", b.name)
		}
		if n := testing.AllocsPerRun(100, func() { decide(b.rules, b.req, b.write) }); n > b.most {
			t.Errorf("%s: %v allocations, at most %v", b.name, n, b.most)
		}
	}
}

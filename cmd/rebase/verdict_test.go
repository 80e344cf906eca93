package main

import (
	"testing"

	"rebase/gateway/clusteradmin"
)

func TestVerdict(t *testing.T) {
	node := func(name string, at uint64, sum string) clusteradmin.Node {
		return clusteradmin.Node{Name: name, Role: "all", State: "up", DigestAt: at, Digest: sum}
	}
	for _, test := range []struct {
		nodes []clusteradmin.Node
		want  string
	}{
		{[]clusteradmin.Node{node("a", 7, "x"), node("b", 7, "x"), {Name: "l", Role: "log"}, {Name: "c", Role: "all", State: "left"}}, "Same state at position 7 (a, b: x)."},
		{[]clusteradmin.Node{node("a", 7, "x"), node("b", 6, "y")}, "Same state at position 7 (a: x). Not yet compared: b."},
		{[]clusteradmin.Node{node("a", 7, "x"), node("b", 7, "y"), node("c", 7, "x")}, "The replicas differ at position 7 (a, c: x; b: y)."},
		{[]clusteradmin.Node{node("a", 0, "")}, "No replica has summed up its state yet."},
	} {
		if got := verdict(test.nodes); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

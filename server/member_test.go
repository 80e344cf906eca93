package server

import (
	"testing"

	"rebase/cluster"
)

// A replica that was damaged is told of until it is removed, and not for as long as the others run.
func TestStraysThatRemain(t *testing.T) {
	member := func(id cluster.NodeID, s cluster.State) cluster.Member {
		return cluster.Member{Record: cluster.Record{ID: id, State: s}}
	}
	strays := map[cluster.NodeID]uint64{2: 10, 3: 10, 4: 10}
	members := []cluster.Member{member(1, cluster.Up), member(2, cluster.Left), member(3, cluster.Draining), member(5, cluster.Up)}
	if n := remaining(strays, members); n != 1 {
		t.Errorf("%d replicas are damaged, of which one is still there", n)
	}
}

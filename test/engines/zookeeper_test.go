package engines

import (
	"testing"
	"time"
)

func TestZooKeeperEnsemble(t *testing.T) {
	e := ZooKeeper(t, 3)
	leader := e.Leader()
	if leader == nil {
		t.Fatal("no leader")
	}
	leader.Kill()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if l := e.Leader(); l != nil && l != leader {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no other leader after the first was killed")
		}
	}
	leader.Restart()
	if mode := leader.mode(); mode != "follower" {
		t.Fatalf("after its restart it is %q", mode)
	}
}

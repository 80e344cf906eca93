package engines

import "testing"

// TestFetch makes or fetches all servers. The test command runs it before everything else: a compiler at work beside tests
// that wait for each other makes them slow, and what it takes would count as theirs.
func TestFetch(t *testing.T) {
	for _, file := range []string{etcdBinary(t), s3Binary(t), zooKeeperJars(t)} {
		t.Log(file)
	}
}

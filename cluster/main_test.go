package cluster

import (
	"flag"
	"os"
	"testing"
)

// The tests with sockets wait more than they compute: for etcd, which takes a member every five seconds, and for silences to be long enough. So
// more of them run at a time than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

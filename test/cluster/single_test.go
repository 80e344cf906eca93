package cluster

import (
	"testing"
	"time"

	"rebase/test/harness"
)

// TestSingleServer holds one server against the same, which shows that the rig itself finds nothing where nothing is.
func TestSingleServer(t *testing.T) {
	s := harness.Seed(t)
	c := single(t)
	n := c.nodes[0]
	c.under(t, "single server", s, func(l *load) {
		l.mark("kill -9")
		n.kill()
		n.launch()
		c.settled(n)
		c.serves(back, n)
		l.mark("pause")
		n.pause()
		time.Sleep(1500 * time.Millisecond)
		n.resume()
		c.serves(back, n)
		l.mark("slow disk")
		fast := harness.SlowDisk(t, n.process(), 100*time.Millisecond)
		time.Sleep(time.Second)
		fast()
		c.serves(back, n)
	})
}

package cluster

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/test/engines"
	"rebase/test/harness"
)

// reach makes an address of this machine reachable for the hosts of the network, under that of the test's own host.
func (c *cluster) reach(addr string) string {
	c.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(c.net.IP(""), "0"))
	if err != nil {
		c.t.Fatal(err)
	}
	var done sync.WaitGroup
	over := make(chan struct{})
	c.owner.Cleanup(func() {
		l.Close()
		close(over)
		done.Wait()
	})
	done.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			done.Go(func() {
				<-over
				in.Close()
				out.Close()
			})
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				done.Go(func() {
					io.Copy(way[0], way[1])
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
	return l.Addr().String()
}

// active is the kind of the loglet that takes what is written.
func (c *cluster) active() string {
	l := c.chain()
	return l.Segments[len(l.Segments)-1].Kind
}

// TestSwaps changes what the log stands on while clients write: nobody must notice.
func TestSwaps(t *testing.T) {
	s := harness.Seed(t)
	zookeeper := engines.ZooKeeper(t, 1)
	c := newCluster(t)
	c.found(3, nil)
	endpoint := c.reach(zookeeper.Servers()[0])
	var names []string
	for _, n := range c.all() {
		names = append(names, n.name)
	}
	to := func(l *load, kind string, more ...string) {
		c.t.Helper()
		l.mark("to %s %s", kind, strings.Join(more, " "))
		from := c.all()[loads%3]
		c.mustCLI(from, append([]string{"log", "reconfigure", "--to", kind}, more...)...)
		if is := c.active(); is != kind {
			c.t.Errorf("the log is in %s, not in %s", is, kind)
		}
		time.Sleep(held() / 2)
	}

	c.step("engines", func(t *testing.T) {
		l := c.under(t, "swap of engines", s, func(l *load) {
			to(l, "zookeeper", "--endpoints", endpoint)
			to(l, "native")
			to(l, "etcd")
			to(l, "native")
			to(l, "striped", "--stripes", "2")
			to(l, "native")
		})
		l.peaceful(t)
		c.sameState()
	})

	c.step("again and again", func(t *testing.T) {
		rounds := 10
		if soak() {
			rounds = 300
		}
		l := c.under(t, "to native again and again", s+1, func(l *load) {
			l.mark("to native, %d times", rounds)
			for i := range rounds {
				c.mustCLI(c.all()[i%3], "log", "reconfigure", "--to", "native", "--sequencer", names[i%3])
			}
		})
		l.peaceful(t)
	})

	c.step("disaggregated and back", func(t *testing.T) {
		var logs []string
		for _, name := range []string{"l1", "l2", "l3"} {
			n := c.add(name)
			n.log = true
			n.flags = []string{"--role", "log", "--join", c.all()[0].peer()}
			n.launch()
			logs = append(logs, name)
		}
		for _, name := range logs {
			c.inState(name, "up")
		}
		l := c.under(t, "disaggregated and back", s+2, func(l *load) {
			to(l, "native", "--servers", strings.Join(logs, ","))
			for _, n := range c.status().Nodes {
				if n.LogServer != (n.Role == "log") {
					t.Errorf("%s, of role %s, keeps the log: %v", n.Name, n.Role, n.LogServer)
				}
			}
			to(l, "native", "--servers", strings.Join(names, ","))
		})
		l.peaceful(t)
		c.under(t, "disaggregated, and a log server dies", s+3, func(l *load) {
			to(l, "native", "--servers", strings.Join(logs, ","))
			n := c.named("l2")
			l.mark("kill -9 of log server l2")
			n.kill()
			c.serves(back, c.all()...)
			time.Sleep(held())
			n.launch()
			l.mark("l2 is back")
			c.inState("l2", "up")
			c.serves(back, c.all()...)
		})
		c.sameState()
	})
}

package cluster

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rebase/test/harness"
)

// noSpace is how a node says that it cannot write any more; it also warns of what it can do without.
var noSpace = regexp.MustCompile(`level=ERROR .*no space left`)

// held is how long a fault lasts that does not end by itself.
func held() time.Duration {
	if soak() {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// away is a fault of one node: what is done to it, and how it comes back.
type away struct {
	name string
	on   func(c *cluster) *node // whom it befalls
	do   func(t *testing.T, c *cluster, n *node)
	mend func(t *testing.T, c *cluster, n *node)
	last time.Duration // how long; 0 is held()
	ends ending        // what becomes of its clients' sessions meanwhile
}

type ending int

const (
	whatever ending = iota
	ended           // by the others
	kept
)

func kill(t *testing.T, c *cluster, n *node) { n.kill() }

func restart(t *testing.T, c *cluster, n *node) {
	n.launch()
	c.settled(n)
}

func heal(t *testing.T, c *cluster, n *node) { c.net.Heal() }

func cut(t *testing.T, c *cluster, n *node)    { c.net.Partition(n.name) }
func deafen(t *testing.T, c *cluster, n *node) { c.net.Deafen(n.name) }
func mute(t *testing.T, c *cluster, n *node)   { c.net.Mute(n.name) }

// part has a node and one other not hear each other, while the third hears both.
func part(t *testing.T, c *cluster, n *node) {
	other := c.but(n, c.sequencer())[0]
	c.net.Set(n.name, other.name, harness.Link{Cut: true})
	c.net.Set(other.name, n.name, harness.Link{Cut: true})
}

func pause(t *testing.T, c *cluster, n *node)  { n.pause() }
func resume(t *testing.T, c *cluster, n *node) { n.resume() }

var aways = []away{
	{"kill -9 of the sequencer", (*cluster).sequencer, kill, restart, 0, ended},
	{"kill -9 of the registry's leader", (*cluster).metaLeader, kill, restart, 0, ended},
	{"kill -9 of a plain node", (*cluster).plain, kill, restart, 0, ended},
	{"partition of the sequencer", (*cluster).sequencer, cut, heal, 0, whatever},
	{"partition of the registry's leader", (*cluster).metaLeader, cut, heal, 0, whatever},
	{"partition of a plain node", (*cluster).plain, cut, heal, 0, whatever},
	{"the sequencer and another do not hear each other", (*cluster).sequencer, part, heal, 6 * time.Second, kept},
	{"two that are not the sequencer do not hear each other", (*cluster).plain, part, heal, 6 * time.Second, kept},
	{"sequencer hears nothing", (*cluster).sequencer, deafen, heal, 0, whatever},
	{"sequencer is not heard", (*cluster).sequencer, mute, heal, 0, whatever},
	{"registry's leader hears nothing", (*cluster).metaLeader, deafen, heal, 0, whatever},
	{"pause of the sequencer", (*cluster).sequencer, pause, resume, 10 * time.Second, whatever},
	{"pause of a plain node", (*cluster).plain, pause, resume, 3 * time.Second, whatever},
}

// TestFaults has one thing after the other happen to a cluster of three.
func TestFaults(t *testing.T) {
	s := harness.Seed(t)
	c := newCluster(t, "--node-timeout", "3s")
	disk := harness.NewDisk(t, "1g")
	c.found(3, func(n *node) {
		if n.name == "n3" {
			n.data = disk.Dir + "/data"
		}
	})
	for i, f := range aways {
		c.step(f.name, func(t *testing.T) { c.suffer(t, f, s+uint64(i)) })
	}
	c.step("slow disk", func(t *testing.T) {
		n := c.sequencer()
		c.under(t, "slow disk of "+n.name, s, func(l *load) {
			l.mark("slow disk of %s", n.name)
			fast := harness.SlowDisk(t, n.process(), 200*time.Millisecond)
			c.serves(back, c.but(n)...)
			time.Sleep(held())
			fast()
			l.mark("fast again")
			c.serves(back, c.all()...)
		})
	})
	c.step("full disk", func(t *testing.T) {
		n := c.named("n3")
		others := c.but(n)
		ballast := strconv.Quote(strings.Repeat("ballast ", 1<<17))
		c.under(t, "full disk of "+n.name, s, func(l *load) {
			l.mark("full disk of %s", n.name)
			// What it has is not used up at once: logs and stores have room in their files.
			full := func() bool {
				select {
				case <-n.process().Exited():
					return true
				default:
				}
				text, err := os.ReadFile(n.file.Name())
				return err == nil && noSpace.Match(text)
			}
			for begin := time.Now(); !full() || time.Since(begin) < held(); {
				disk.Fill(0)
				path := fmt.Sprintf("/ballast/%d.json?ns=%s&auth=%s&print=silent", time.Now().UnixNano()%20, namespace, secret)
				if _, status, err := request(others[0], http.MethodPut, path, "", ballast, back); err != nil || status/100 != 2 {
					t.Errorf("the others do not serve: %d, %v", status, err)
				}
				if time.Since(begin) > patience {
					t.Fatalf("%s has not noticed that its disk is full", n.name)
				}
			}
			c.serves(back, others...)
			disk.Relieve()
			ended := false
			select {
			case <-n.process().Exited():
				ended = true
				n.launch()
				c.settled(n)
			case <-time.After(time.Second):
			}
			t.Logf("the node ended by itself: %v", ended)
			if !ended { // its operator has it begin anew
				n.kill()
				n.launch()
				c.settled(n)
			}
			l.mark("space again on %s", n.name)
			c.serves(back, c.all()...)
		})
	})
	c.step("poor network", func(t *testing.T) {
		c.under(t, "poor network", s, func(l *load) {
			l.mark("1 %% of frames lost, 5 to 10 ms")
			c.net.Everywhere(harness.Link{Loss: 0.01, Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond})
			c.serves(back, c.all()...)
			time.Sleep(held())
			c.net.Heal()
			l.mark("good network")
			c.serves(back, c.all()...)
		})
	})
	c.step("restart of all", func(t *testing.T) {
		c.under(t, "restart of all", s, func(l *load) {
			l.mark("kill -9 of all")
			for _, n := range c.all() {
				n.kill()
			}
			for _, n := range c.all() {
				n.launch()
			}
			c.settled(c.all()...)
			c.serves(back, c.all()...)
		})
	})
	c.step("no majority", func(t *testing.T) {
		c.under(t, "no majority", s, func(l *load) {
			l.mark("each for itself")
			c.net.Everywhere(harness.Link{Cut: true})
			time.Sleep(held())
			c.net.Heal()
			l.mark("together again")
			c.serves(back, c.all()...)
		})
	})
	c.transactions(s)
	c.step("replicas", func(t *testing.T) { c.sameState() })
}

// suffer lets a fault befall a node, and the others do without it, and has it come back.
func (c *cluster) suffer(t *testing.T, f away, seed uint64) {
	n := f.on(c)
	others := c.but(n)
	c.under(t, f.name+", "+n.name, seed, func(l *load) {
		asleep := c.sleepers(t, n, 3)
		since := time.Now()
		l.mark("%s, %s", f.name, n.name)
		f.do(t, c, n)
		c.serves(back, others...)
		if f.ends == ended {
			t.Logf("its clients were seen off after %v", asleep.noticed(t, others[0], since))
		}
		last := f.last
		if last == 0 {
			last = held()
		}
		time.Sleep(time.Until(since.Add(last)))
		if f.ends == kept {
			c.serves(back, c.all()...)
			for _, at := range c.all() {
				if n, err := asleep.notes(t, at); err != nil || len(n) > 0 {
					t.Errorf("its clients were seen off, in the eyes of %s: %v, %v", at.name, n, err)
				}
			}
		}
		f.mend(t, c, n)
		l.mark("%s is back", n.name)
		c.serves(back, c.all()...)
	})
}

package rtdb

import "testing"

func TestOnlyTheJavaAdminSDKIsNotPinged(t *testing.T) {
	for agent, want := range map[string]bool{
		"": true,
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36": true,
		"Firebase/5/12.19.0/linux/Node":       true,
		"Firebase/5/13.10.0/linux/AdminNode":  true,
		"Firebase/5/21.0.0/34/Android":        true,
		"Firebase/5/9.11.0/17.0.15/AdminJava": false,
	} {
		if got := takesPings(agent); got != want {
			t.Errorf("takesPings(%q) = %v", agent, got)
		}
	}
}

// TestPingFollowsTheAnswer: as long as there is no proof of receipt, a client's same write after a reconnect counts as sent again. So
// the first ping after a pause leaves with the answer, and what is answered soon after waits for its turn.
func TestPingFollowsTheAnswer(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	c := r.client(p)
	waitFor(t, "the hello is sent", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return !c.queued })
	c.mu.Lock()
	ws := c.via.(*wsTransport)
	ws.draining, c.queued = true, true // nothing is taken from the outbox
	c.mu.Unlock()
	first := p.request("p", `{"p":"/n","d":1}`)
	var items []string
	waitFor(t, "the write is answered", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, it := range c.m.out.items {
			items = append(items, string(it.f[2:]))
		}
		return len(items) > 0
	})
	if len(items) != 2 || items[0] != ok(first) || items[1] != "1" {
		t.Fatalf("queued: %q", items)
	}
	c.mu.Lock()
	ws.draining, c.queued = false, false
	c.kick()
	c.mu.Unlock()
	p.expect(ok(first))
	for range 20 {
		p.expect(ok(p.request("p", `{"p":"/n","d":1}`)))
	}
	go p.tryRead() // answers the pings
	waitFor(t, "all answers are proven", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.m.live.confirmed == 21 })
}

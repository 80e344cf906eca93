package cluster

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"rebase/elle"
	"rebase/elle/drive"
)

// transactions run at all nodes while one after the other is killed, cut off or paused; package elle judges them.
func (c *cluster) transactions(s uint64) {
	var urls []string
	for _, n := range c.all() {
		urls = append(urls, "http://"+n.addr())
	}
	duration := 4 * time.Second
	if soak() {
		duration = time.Minute
	}
	for _, workload := range []string{"list-append", "rw-register"} {
		c.step("transactions: "+workload, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(s, 11))
			faults := 0
			h, err := drive.Run(t.Context(), drive.Options{URL: urls[0], Others: urls[1:], Namespace: namespace, Token: secret, Workload: workload,
				Duration: duration, Timeout: 2 * time.Second, Clients: 6, Keys: 4, MaxWrites: 24, Pause: 2 * time.Millisecond, Seed: s},
				func(ctx context.Context, note drive.Notes) {
					for ctx.Err() == nil {
						n := c.all()[rng.IntN(3)]
						f := []away{{"kill", nil, kill, restart, 0, whatever}, {"cut", nil, cut, heal, 0, whatever}, {"pause", nil, pause, resume, 0, whatever}}[rng.IntN(3)]
						note(f.name, n.name)
						f.do(t, c, n)
						time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
						f.mend(t, c, n)
						note("mend", n.name)
						c.serves(back, c.all()...)
						time.Sleep(300 * time.Millisecond)
						faults++
					}
				})
			if err != nil {
				t.Fatal(err)
			}
			r, err := elle.Check(t.Context(), h, elle.Options{Workload: elle.Workload(workload)})
			if err != nil {
				t.Fatal(err)
			}
			if r.Valid != elle.Consistent {
				t.Errorf("%s: valid is %v: %v %v", workload, r.Valid, r.Types, r.Unknown)
				for _, a := range r.Anomalies[:min(3, len(r.Anomalies))] {
					t.Logf("%s\n%s", a.Type, r.Explain(a))
				}
			}
			if faults == 0 || r.Stats.OK < 100 {
				t.Errorf("%d faults, and only %d operations went well", faults, r.Stats.OK)
			}
			t.Logf("%s: %d faults; %d ok, %d failed, %d in doubt; decided: %v", workload, faults, r.Stats.OK, r.Stats.Failed, r.Stats.InDoubt, r.Decided)
		})
	}
}

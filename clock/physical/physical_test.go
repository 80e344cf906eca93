package physical

import (
	"container/heap"
	"math"
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
)

func TestRules(t *testing.T) {
	c := New(1, 100, 5000)
	for i, s := range []struct {
		now, sent, minDelay int64 // sent 0: a local event
		want                int64
	}{
		{100, 0, 0, 5000},
		{100, 0, 0, 5001},     // the oscillator is too coarse for two events
		{110, 0, 0, 5011},     // set forward, it goes on from there
		{120, 4000, 50, 5021}, // a message from behind changes nothing
		{130, 6000, 50, 6050}, // one from ahead sets the clock to its time and μ
		{140, 0, 0, 6060},
		{140, 6060, 0, 6061}, // even without a known delay, after the sending
	} {
		var got Stamp
		if s.sent == 0 {
			got = c.Event(s.now)
		} else {
			got = c.Receive(s.now, Stamp{s.sent, 2}, s.minDelay)
		}
		if got != (Stamp{s.want, 1}) {
			t.Errorf("step %d: %+v, want %d", i, got, s.want)
		}
	}
	if got := c.Read(150); got != 6071 {
		t.Errorf("shows %d, want 6071", got)
	}
	if a, b := (Stamp{1, 2}), (Stamp{2, 1}); !a.Less(b) || b.Less(a) || !(Stamp{1, 1}).Less(a) || a.Compare(a) != 0 {
		t.Error("no total order")
	}
}

// event is what happens next in a simulated network: a message is sent or arrives.
type event struct {
	at       float64 // true time in ns
	from, to int
	arrives  bool
	sent     Stamp
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// The theorem: oscillators with rates of 1±κ, of which every arc of a strongly connected
// network carries a message each τ with a delay from μ to μ+ξ, drive clocks that are
// no further apart than Skew says, from d(τ+μ+ξ) on.
func TestSkewBound(t *testing.T) {
	worst := 0.0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "processes")
		net := Network{
			Kappa: rapid.SampledFrom([]float64{1e-6, 1e-4, 1e-2}).Draw(t, "kappa"),
			Tau:   1_000_000,
			Mu:    rapid.Int64Range(100, 20_000).Draw(t, "mu"),
			Xi:    rapid.Int64Range(1, 20_000).Draw(t, "xi"),
		}
		unit := func(name string) float64 { // extremes are where bounds are met
			return float64(rapid.SampledFrom([]int{0, 1000, 1, 2, 500, 998, 999}).Draw(t, name)) / 1000
		}
		reach := make([][]int, n)
		for i := range reach {
			reach[i] = make([]int, n)
			for j := range reach[i] {
				if i != j {
					reach[i][j] = 1000
				}
			}
		}
		var arcs [][2]int
		for i := range n {
			arcs = append(arcs, [2]int{i, (i + 1) % n}) // a ring, so that it is strongly connected
		}
		if rapid.Bool().Draw(t, "shortcut") {
			if i, j := rapid.IntRange(0, n-1).Draw(t, "i"), rapid.IntRange(0, n-1).Draw(t, "j"); i != j {
				arcs = append(arcs, [2]int{i, j})
			}
		}
		for _, a := range arcs {
			reach[a[0]][a[1]] = 1
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = min(reach[i][j], reach[i][k]+reach[k][j])
				}
			}
		}
		for _, row := range reach {
			for _, d := range row {
				net.Diameter = max(net.Diameter, d)
			}
		}
		rates := make([]float64, n)
		clocks := make([]*Clock, n)
		for i := range clocks {
			rates[i] = 1 + net.Kappa*(2*unit("rate")-1)*0.999
			// They begin far apart.
			clocks[i] = New(clock.Proc(i), 0, int64(unit("start")*1e9))
		}
		oscillator := func(i int, at float64) int64 { return int64(rates[i] * at) }
		minDelay := int64(float64(net.Mu) * (1 - net.Kappa))
		var queue events
		for _, a := range arcs {
			heap.Push(&queue, event{at: unit("phase") * float64(net.Tau), from: a[0], to: a[1]})
		}
		settled := float64(net.Diameter) * float64(net.Tau+net.Mu+net.Xi)
		end := 2*settled + 10*float64(net.Tau)
		rounding := float64(4 * (net.Diameter + 1)) // readings are whole ns, and every receipt takes one
		for queue[0].at < end {
			e := heap.Pop(&queue).(event)
			if e.arrives {
				clocks[e.to].Receive(oscillator(e.to, e.at), e.sent, minDelay)
			} else {
				sent := clocks[e.from].Event(oscillator(e.from, e.at))
				heap.Push(&queue, event{at: e.at + float64(net.Mu) + unit("delay")*float64(net.Xi), from: e.from, to: e.to, arrives: true, sent: sent})
				heap.Push(&queue, event{at: e.at + float64(net.Tau), from: e.from, to: e.to})
			}
			if e.at <= settled+1 { // the last message that settles it may arrive just now
				continue
			}
			low, high := int64(math.MaxInt64), int64(math.MinInt64)
			for i, c := range clocks {
				now := c.Read(oscillator(i, e.at))
				low, high = min(low, now), max(high, now)
			}
			if skew := float64(high - low); skew > net.Skew()+rounding {
				t.Fatalf("clocks are %v ns apart, the bound is %v: %+v", skew, net.Skew(), net)
			} else {
				worst = max(worst, skew/net.Skew())
			}
		}
	})
	if worst < 0.3 {
		t.Errorf("the worst skew was %.2f of the bound: the simulation is too tame to show anything", worst)
	}
}

func TestNetwork(t *testing.T) {
	n := Network{Diameter: 2, Kappa: 1e-3, Tau: 1_000_000, Mu: 100, Xi: 50}
	if got := n.Approximation(); math.Abs(got-2*(2000+50)) > 1e-6 {
		t.Errorf("approximation %v", got)
	}
	if got := n.Skew(); math.Abs(got-2*(2000.3+50)) > 1e-6 {
		t.Errorf("skew %v", got)
	}
	if n.Sound() {
		t.Error("clocks 4 µs apart cannot order what is 100 ns apart")
	}
	n.Mu = 5000
	if !n.Sound() {
		t.Error("clocks 4 µs apart do order what is 5 µs apart")
	}
}

package cycle

import (
	"fmt"
	"slices"
	"strings"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Options bound a search. The zero value bounds nothing but the budget.
type Options struct {
	// Witnesses is how many cycles of a type are explained; 0 is all. All are counted.
	Witnesses int
	// Budget is how many steps the search for cycles with exactly one rw may take in one
	// component: the only search that is not linear. 0 is a billion, some seconds, which
	// is far more than components of a hundred thousand transactions need.
	Budget int
	// Stop is asked now and then whether to give up; nil never does.
	Stop func() bool
}

// Outcome is what a search has found.
type Outcome struct {
	Found  []anomaly.Anomaly
	Counts map[model.Anomaly]int
	// Undecided are anomalies of which the search was given up.
	Undecided []model.Anomaly
	// Stopped says that Options.Stop gave up the search as a whole.
	Stopped bool
	// Components and Largest describe the components that have cycles.
	Components, Largest int
}

// kinds are the types of cycles at each level, the most severe of each family first.
var kinds = []model.Anomaly{model.G0, model.G1c, model.GSingle, model.GNonadjacent, model.G2Item}

// level is a set of relations, and what cycles that need the last of them are called.
type level struct {
	mask graph.Rel
	name func(model.Anomaly) model.Anomaly
}

var levels = []level{
	{graph.Data, func(a model.Anomaly) model.Anomaly { return a }},
	{graph.Data | graph.Process, model.Anomaly.Process},
	{graph.Data | graph.Process | graph.Realtime, model.Anomaly.Realtime},
}

// Needs tells which edges are needed to look for the anomalies of want.
func Needs(want map[model.Anomaly]bool) (sessions, realtime bool) {
	for a := range want {
		sessions = sessions || strings.HasSuffix(string(a), "-process")
		realtime = realtime || strings.HasSuffix(string(a), "-realtime")
	}
	return sessions || realtime, realtime
}

// search is a search in progress.
type search struct {
	h      *history.History
	g      *graph.Graph
	source anomaly.Source
	o      Options
	out    *Outcome

	names []model.Anomaly         // by number: level*len(kinds)+kind
	hides []uint32                // by number: the set of those that it implies
	hits  []struct{ v, n uint32 } // a vertex, and the number of what was found there
}

// Search finds the cycles of g that are or imply one of want, in a fixed order.
func Search(h *history.History, g *graph.Graph, source anomaly.Source, want map[model.Anomaly]bool, o Options) *Outcome {
	if o.Budget == 0 {
		o.Budget = 1_000_000_000
	}
	s := &search{h: h, g: g, source: source, o: o, out: &Outcome{Counts: map[model.Anomaly]int{}}}
	for _, l := range levels {
		for _, k := range kinds {
			s.names = append(s.names, l.name(k))
		}
	}
	wanted := uint32(0)
	for i, a := range s.names {
		implied := a.Implied()
		hides := uint32(0)
		for j, b := range s.names {
			if slices.Contains(implied, b) {
				hides |= 1 << j
			}
		}
		s.hides = append(s.hides, hides)
		if want[a] || slices.ContainsFunc(implied, func(b model.Anomaly) bool { return want[b] }) {
			wanted |= 1 << i
		}
	}
	top := 0
	sessions, realtime := Needs(want)
	switch {
	case realtime:
		top = 2
	case sessions:
		top = 1
	}
	// From the whole to its parts: where the whole has no cycle, nothing has.
	sccs := make([]*graph.SCCs, top+1)
	for l := top; l >= 0; l-- {
		var within *graph.SCCs
		if l < top {
			within = sccs[l+1]
		}
		if within != nil && within.Len() == 0 {
			sccs[l] = within
			continue
		}
		sccs[l] = g.SCC(levels[l].mask, within)
	}
	s.out.Components = sccs[top].Len()
	for l := range sccs {
		if !s.level(l, sccs[l], wanted) {
			s.out.Stopped = true
			break
		}
	}
	return s.out
}

// level searches the components of a level. It returns false if it was stopped.
func (s *search) level(l int, sccs *graph.SCCs, wanted uint32) bool {
	hidden := make([]uint32, sccs.Len()+1)
	for _, hit := range s.hits {
		hidden[sccs.Of[hit.v]] |= s.hides[hit.n]
	}
	hidden[0] = 0
	mask := levels[l].mask
	base := uint32(l * len(kinds))
	for c := 1; c <= sccs.Len(); c++ {
		if s.o.Stop != nil && s.o.Stop() {
			return false
		}
		s.out.Largest = max(s.out.Largest, len(sccs.Members(c)))
		todo := wanted &^ hidden[c] >> base & (1<<len(kinds) - 1)
		if todo == 0 {
			continue
		}
		k := s.g.Component(sccs, c, mask)
		for i := range kinds {
			n := base + uint32(i)
			if wanted&^hidden[c]>>n&1 == 0 {
				continue
			}
			walk, decided := s.find(k, i, mask)
			if !decided {
				s.undecided(s.names[n])
			}
			if walk == nil {
				continue
			}
			if rw, _ := graph.CountRW(walk); rw == 1 {
				// The search that is about these was given up, and another has met one.
				n = base + uint32(slices.Index(kinds, model.GSingle))
			}
			hidden[c] |= s.hides[n]
			s.hits = append(s.hits, struct{ v, n uint32 }{walk[0].From, n})
			s.report(s.names[n], walk)
		}
	}
	return true
}

// find looks for a cycle of a kind in a component where those that are more severe are not.
func (s *search) find(k *graph.Component, kind int, mask graph.Rel) (walk []graph.Hop, decided bool) {
	order := mask &^ graph.Data
	switch kinds[kind] {
	case model.G0:
		return k.Cycle(graph.WW | order), true
	case model.G1c:
		return k.Cycle(graph.WW | graph.WR | order), true
	case model.GSingle:
		return k.OneRW(graph.WW|graph.WR|order, s.o.Budget)
	case model.GNonadjacent:
		return k.NonadjacentRW(graph.WW | graph.WR | order), true
	}
	return k.AnyRW(mask), true
}

func (s *search) undecided(a model.Anomaly) {
	if !slices.Contains(s.out.Undecided, a) {
		s.out.Undecided = append(s.out.Undecided, a)
	}
}

func (s *search) report(a model.Anomaly, walk []graph.Hop) {
	s.out.Counts[a]++
	if s.o.Witnesses > 0 && s.out.Counts[a] > s.o.Witnesses {
		return
	}
	s.out.Found = append(s.out.Found, s.explain(a, walk))
}

// explain makes an anomaly of a cycle.
func (s *search) explain(a model.Anomaly, walk []graph.Hop) anomaly.Anomaly {
	// The searches begin with the edge that they are about. It reads best as the last,
	// where the story contradicts itself.
	walk = append(walk[1:len(walk):len(walk)], walk[0])
	found := anomaly.Anomaly{Type: a}
	for i, hop := range walk {
		from, to := int(hop.From), int(walk[(i+1)%len(walk)].From)
		found.Ops = append(found.Ops, from)
		found.Steps = append(found.Steps, s.step(from, to, hop.Rel))
	}
	return found
}

func (s *search) step(from, to int, rel graph.Rel) anomaly.Step {
	switch rel {
	case graph.Process:
		return anomaly.Step{Rel: rel, A: -1, B: -1, Because: func(t1, t2 string) string {
			return fmt.Sprintf("process %s executed %s before %s", s.h.ProcessName(from), t1, t2)
		}}
	case graph.Realtime:
		return anomaly.Step{Rel: rel, A: -1, B: -1, Because: func(t1, t2 string) string {
			return s.realtime(from, to, t1, t2)
		}}
	}
	if step, ok := s.source.Explain(from, to, rel); ok {
		return step
	}
	return anomaly.Step{Rel: rel, A: -1, B: -1, Because: func(t1, t2 string) string {
		return fmt.Sprintf("of a dependency %s between %s and %s", rel, t1, t2)
	}}
}

func (s *search) realtime(from, to int, t1, t2 string) string {
	end, begin := s.h.Ops[from].Complete, s.h.Ops[to].Invoke
	when := "before"
	if t0, ok := s.h.Time(end); ok {
		if t, _ := s.h.Time(begin); t > t0 {
			when = elapsed(t-t0) + " before"
		}
	}
	return fmt.Sprintf("%s completed at index %d, %s the invocation of %s, at index %d",
		t1, s.h.Index(end), when, t2, s.h.Index(begin))
}

// elapsed is a time in words, to three digits.
func elapsed(ns int64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.3f seconds", float64(ns)/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.1f ms", float64(ns)/1e6)
	case ns >= 1e3:
		return fmt.Sprintf("%.1f µs", float64(ns)/1e3)
	}
	return fmt.Sprintf("%d ns", ns)
}

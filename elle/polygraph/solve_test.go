package polygraph

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// problem draws a small problem.
func problem(t *rapid.T) *Problem {
	n := rapid.IntRange(2, 6).Draw(t, "transactions")
	vertex := rapid.Uint32Range(0, uint32(n-1))
	p := &Problem{Vertices: n, Snapshot: rapid.Bool().Draw(t, "snapshot")}
	for range rapid.IntRange(0, 4).Draw(t, "known") {
		p.Known = append(p.Known, Edge{vertex.Draw(t, "from"), vertex.Draw(t, "to"), rapid.Bool().Draw(t, "anti")})
	}
	for range rapid.IntRange(1, 3).Draw(t, "objects") {
		o := Object{Writers: rapid.SliceOfNDistinct(vertex, 1, min(n, 4), rapid.ID[uint32]).Draw(t, "writers")}
		read := map[uint32]bool{}
		for _, w := range o.Writers {
			var readers []uint32
			for _, r := range rapid.SliceOfNDistinct(vertex, 0, 3, rapid.ID[uint32]).Draw(t, "readers") {
				if r != w && !read[r] {
					read[r] = true // one version each
					readers = append(readers, r)
					p.Known = append(p.Known, Edge{From: w, To: r})
				}
			}
			o.Readers = append(o.Readers, readers)
		}
		p.Objects = append(p.Objects, o)
	}
	if rapid.Bool().Draw(t, "guess") {
		for i := range n {
			p.Likely = append(p.Likely, int64(i))
		}
	}
	return p
}

// possible tries all orders of all objects.
func possible(p *Problem) bool {
	var try func(o int, edges []Edge) bool
	try = func(o int, edges []Edge) bool {
		if o == len(p.Objects) {
			return !violated(p, edges)
		}
		places := make([]int, len(p.Objects[o].Writers))
		for i := range places {
			places[i] = i
		}
		return permutations(places, 0, func() bool {
			with := slices.Clone(edges)
			for i := range places {
				for j := range i {
					p.edges(o, places[j], places[i], func(e Edge) { with = append(with, e) })
				}
			}
			return try(o+1, with)
		})
	}
	return try(0, p.Known)
}

func permutations(list []int, from int, f func() bool) bool {
	if from == len(list) {
		return f()
	}
	for i := from; i < len(list); i++ {
		list[from], list[i] = list[i], list[from]
		found := permutations(list, from+1, f)
		list[from], list[i] = list[i], list[from]
		if found {
			return true
		}
	}
	return false
}

// violated looks for a cycle by the definition: of the relation itself, or of plain dependencies each followed
// by at most one anti-dependency, as matrices.
func violated(p *Problem, edges []Edge) bool {
	n := p.Vertices
	plain, anti := matrix(n), matrix(n)
	for _, e := range edges {
		if e.From == e.To {
			continue
		}
		if e.Anti {
			anti[e.From][e.To] = true
		} else {
			plain[e.From][e.To] = true
		}
	}
	rel := matrix(n)
	for i := range n {
		for j := range n {
			rel[i][j] = plain[i][j] || !p.Snapshot && anti[i][j]
			for k := range n {
				rel[i][j] = rel[i][j] || p.Snapshot && plain[i][k] && anti[k][j]
			}
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				rel[i][j] = rel[i][j] || rel[i][k] && rel[k][j]
			}
		}
	}
	for i := range n {
		if rel[i][i] {
			return true
		}
	}
	return false
}

func matrix(n int) [][]bool {
	m := make([][]bool, n)
	for i := range m {
		m[i] = make([]bool, n)
	}
	return m
}

func TestAgreesWithAllOrders(t *testing.T) {
	verdicts := map[Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		p := problem(t)
		r := Solve(p)
		verdicts[r.Verdict]++
		want := Refuted
		if possible(p) {
			want = Proved
		}
		if r.Verdict != want {
			t.Fatalf("%v instead of %v: %+v", r.Verdict, want, p)
		}
		if r.Verdict == Refuted && r.Tries == 0 {
			checkCycle(t, p, r.Cycle)
		}
	})
	if verdicts[Proved] == 0 || verdicts[Refuted] == 0 {
		t.Errorf("only %v", verdicts)
	}
}

// checkCycle holds a contradiction against the problem: the steps hang together, those that are
// called known are, and the model forbids such a cycle.
func checkCycle(t *rapid.T, p *Problem, cycle []Step) {
	if len(cycle) == 0 {
		t.Fatalf("refuted without a cycle: %+v", p)
	}
	for i, s := range cycle {
		next := cycle[(i+1)%len(cycle)]
		if s.To != next.From {
			t.Fatalf("step %d leads to %d, the next from %d", i, s.To, next.From)
		}
		if p.Snapshot && s.Anti && next.Anti {
			t.Fatalf("snapshot isolation allows two anti-dependencies in succession: %+v", cycle)
		}
		if s.Object < 0 && !slices.Contains(p.Known, Edge{s.From, s.To, s.Anti}) {
			t.Fatalf("step %d is not known: %+v", i, s)
		}
		if s.Otherwise != nil {
			checkCycle(t, p, s.Otherwise)
		}
	}
}

func TestSaysWhenItGivesUp(t *testing.T) {
	// Two writers that nothing orders, and a bound that does not let it look.
	p := &Problem{Vertices: 4, MaxBytes: 1, Likely: []int64{1, 0, 2, 3},
		Known:   []Edge{{From: 0, To: 2}, {From: 2, To: 1, Anti: true}},
		Objects: []Object{{Writers: []uint32{0, 1}, Readers: [][]uint32{{2}, {}}}}}
	if r := Solve(p); r.Verdict != NotDecided {
		t.Errorf("%v without having looked", r.Verdict)
	}
	p.MaxBytes = 0
	if r := Solve(p); r.Verdict != Proved {
		t.Errorf("%v", r.Verdict)
	}
}

func BenchmarkSaturate(b *testing.B) {
	// A long chain of updates of one object, whose order nobody told, and no good guess.
	const n = 2000
	p := &Problem{Vertices: n, Snapshot: true, Objects: []Object{{}}}
	for i := range uint32(n) {
		o := &p.Objects[0]
		o.Writers = append(o.Writers, i)
		var readers []uint32
		if i+1 < n {
			readers = []uint32{i + 1}
			p.Known = append(p.Known, Edge{From: i, To: i + 1})
		}
		o.Readers = append(o.Readers, readers)
		p.Likely = append(p.Likely, -int64(i))
	}
	for b.Loop() {
		if r := Solve(p); r.Verdict != Proved {
			b.Fatal(r)
		}
	}
}

// TestRepair holds what is done to large problems against small ones.
func TestRepair(t *testing.T) {
	verdicts := map[Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		p := problem(t)
		p.Likely, p.Began, p.Ended = nil, nil, nil
		for range p.Vertices {
			at := rapid.Int64Range(0, 60).Draw(t, "at")
			p.Likely, p.Began, p.Ended = append(p.Likely, at), append(p.Began, at-rapid.Int64Range(0, min(at, 9)).Draw(t, "long")), append(p.Ended, at)
		}
		if rapid.Bool().Draw(t, "timed") { // then what is known must say so
			p.Timed = true
			for a := range p.Vertices {
				for b := range p.Vertices {
					if p.Ended[a] < p.Began[b] {
						p.Known = append(p.Known, Edge{From: uint32(a), To: uint32(b)})
					}
				}
			}
		}
		p.MaxBytes = 1 << 20
		r := p.repair()
		verdicts[r.Verdict]++
		switch good := possible(p); {
		case r.Verdict == Proved && !good, r.Verdict == Refuted && good:
			t.Fatalf("%v: %+v", r.Verdict, p)
		case r.Verdict == Refuted && r.Cycle != nil:
			for i, s := range r.Cycle {
				if s.To != r.Cycle[(i+1)%len(r.Cycle)].From {
					t.Fatalf("the cycle is broken: %+v", r.Cycle)
				}
			}
		}
	})
	if verdicts[Proved] == 0 || verdicts[Refuted] == 0 {
		t.Errorf("only %v", verdicts)
	}
}

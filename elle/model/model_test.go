package model

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// lattice is what another checker answers when it is asked for its tables.
type lattice struct {
	Aliases  map[string]string    `json:"aliases"`
	Implied  map[string][]Anomaly `json:"implied-anomalies"`
	Implies  map[Model][]Model    `json:"model-implies"`
	Prohibit map[Model][]Anomaly  `json:"model-prohibits"`
	Boundary map[Anomaly]struct {
		Not     []Model `json:"not"`
		AlsoNot []Model `json:"also-not"`
	} `json:"anomaly-boundary"`
}

func load(t *testing.T) lattice {
	t.Helper()
	text, err := os.ReadFile("../../../shared/data/elle/lattice.json")
	if err != nil {
		t.Skip("the tables of another checker do not lie beside the project: ", err)
	}
	var l lattice
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTablesAgreeWithAnotherChecker(t *testing.T) {
	l := load(t)
	for m, want := range l.Implies {
		got := slices.Clone(implies[m])
		if !slices.Equal(got, want) {
			t.Errorf("%s implies %q, want %q", m, got, want)
		}
	}
	if len(implies) != len(l.Implies) {
		t.Errorf("%d models, want %d", len(implies), len(l.Implies))
	}
	for m, want := range l.Prohibit {
		got := slices.DeleteFunc(m.Prohibits(), func(a Anomaly) bool { return ours[a] })
		if !slices.Equal(got, want) {
			t.Errorf("%s prohibits\n%q, want\n%q", m, got, want)
		}
	}
	for a, want := range l.Boundary {
		not, alsoNot := Refuted([]Anomaly{a})
		if !slices.Equal(not, want.Not) || !slices.Equal(alsoNot, want.AlsoNot) {
			t.Errorf("%s rules out %q and %q, want %q and %q", a, not, alsoNot, want.Not, want.AlsoNot)
		}
	}
	for a, want := range l.Implied {
		if got := Anomaly(a).Implied(); !slices.Equal(got, want) {
			t.Errorf("%s implies %q, want %q", a, got, want)
		}
	}
	for name, canonical := range l.Aliases {
		m, err := Parse(name)
		other, err2 := Parse(canonical)
		if err != nil || err2 != nil || m != other {
			t.Errorf("%s is %q (%v), %s is %q (%v)", name, m, err, canonical, other, err2)
		}
	}
}

// ours are anomalies that the other checker has no name for.
var ours = map[Anomaly]bool{
	GarbageRead: true, FracturedRead: true, CausalCycle: true,
	FracturedRead.Process(): true, CausalCycle.Process(): true,
}

func TestOurAnomalies(t *testing.T) {
	for a, want := range map[Anomaly]Model{
		GarbageRead: "read-uncommitted", FracturedRead: "read-atomic", CausalCycle: "causal-cerone",
		FracturedRead.Process(): "strong-session-snapshot-isolation",
	} {
		not, _ := Refuted([]Anomaly{a})
		if !slices.Equal(not, []Model{want}) {
			t.Errorf("%s rules out %q, want %s", a, not, want)
		}
	}
}

func TestPossible(t *testing.T) {
	for _, c := range []struct {
		found []Anomaly
		want  []Model
	}{
		{nil, []Model{"strong-serializable"}},
		{[]Anomaly{G2Item}, []Model{"strong-snapshot-isolation", "update-serializable"}},
		{[]Anomaly{G2Item.Realtime()}, []Model{"strong-session-serializable", "strong-snapshot-isolation"}},
		{[]Anomaly{G1a}, []Model{"strong-read-uncommitted"}},
		{[]Anomaly{G0}, nil},
	} {
		if got := Possible(c.found, Strictest); !slices.Equal(got, c.want) {
			t.Errorf("%q leave %q, want %q", c.found, got, c.want)
		}
	}
}

// Of what nobody asked for nothing is said.
func TestPossibleOfWhatWasAsked(t *testing.T) {
	if got := Possible(nil, "snapshot-isolation"); !slices.Equal(got, []Model{"snapshot-isolation"}) {
		t.Errorf("%q", got)
	}
	if got := Possible([]Anomaly{G2Item}, "serializable"); !slices.Equal(got, []Model{"snapshot-isolation", "update-serializable"}) {
		t.Errorf("%q", got)
	}
	if got := Possible(nil); got != nil {
		t.Errorf("%q", got)
	}
}

// Whatever is found: a model is refuted or not, never both; the weakest refuted ones are
// implied by all others; and what is possible is not refuted, nor is anything stronger
// left.
func TestRefutedAndPossible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		found := rapid.SliceOfN(rapid.SampledFrom(Anomalies()), 0, 5).Draw(t, "found")
		not, alsoNot := Refuted(found)
		for _, m := range Models() {
			prohibits := m.Prohibits()
			refuted := slices.ContainsFunc(found, func(a Anomaly) bool { return slices.Contains(prohibits, a) })
			if told := slices.Contains(not, m) != slices.Contains(alsoNot, m); told != refuted {
				t.Errorf("%s: refuted %v, told %v", m, refuted, told)
			}
			if slices.Contains(alsoNot, m) && !slices.ContainsFunc(not, m.Implies) {
				t.Errorf("%s implies none of %q", m, not)
			}
		}
		for _, m := range Possible(found, Strictest) {
			for _, other := range Models() {
				if other != m && other.Implies(m) && !slices.Contains(not, other) && !slices.Contains(alsoNot, other) {
					t.Errorf("%s is not the strongest: %s", m, other)
				}
			}
		}
	})
}

func TestParse(t *testing.T) {
	for name, want := range map[string]Model{
		"strict-serializable": Strictest, "STRONG-serializable": Strictest, "PL-3": "serializable",
		"snapshot-isolation": "snapshot-isolation",
	} {
		if m, err := Parse(name); err != nil || m != want {
			t.Errorf("%s: %q, %v", name, m, err)
		}
	}
	if _, err := Parse("eventual"); err == nil {
		t.Error("eventual consistency is a model")
	}
}

// Whatever a checker can report must be explained to its reader.
func TestMeanings(t *testing.T) {
	for _, a := range []Anomaly{G0, G1a, G1b, G1c, GSingle, GNonadjacent, G2Item, LostUpdate, DirtyUpdate, Internal,
		FutureRead, Duplicates, IncompatibleOrder, CyclicVersions, GarbageRead, FracturedRead, CausalCycle, EmptyGraph,
		DuplicateWrites, NotDecided, "PL-SI-cycle-exists"} {
		if a.Meaning() == "" {
			t.Errorf("nobody says what %s is", a)
		}
	}
	for _, a := range []Anomaly{G0, G1c, GSingle, GNonadjacent, G2Item, FracturedRead, CausalCycle} {
		if a.Process().Meaning() == a.Meaning() || a.Realtime().Meaning() == "" {
			t.Errorf("nobody says what the variants of %s are", a)
		}
	}
}

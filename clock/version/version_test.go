package version

import (
	"errors"
	"slices"
	"testing"

	"rebase/clock"
	"rebase/clock/internal/codectest"
)

// The case that version vectors cannot tell, and the reason for dots: two clients
// read the same, and both write at one server.
func TestTwoClientsAtOneServer(t *testing.T) {
	var s Set[string]
	s = s.Update(Vector{}, 1, "old")
	read := s.Context()
	s = s.Update(read, 1, "first")
	s = s.Update(read, 1, "second")
	if got, want := SetText(s), `set()[1:3("second" "first")]`; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	// The vectors that the server would have given the values say: replaced.
	if got := read.Add(1).Compare(read.Add(1).Add(1)); got != clock.Before {
		t.Errorf("as version vectors they are %v", got)
	}
	// Their dotted ones say: conflict.
	first, second := NewDotted(Dot{1, 2}, read), NewDotted(Dot{1, 3}, read)
	if got := first.Compare(second); got != clock.Concurrent {
		t.Errorf("as dotted version vectors they are %v", got)
	}
	if got := second.Join().At(1); got != 3 {
		t.Errorf("Join covers %d writes, want 3", got)
	}
	// Who has read both replaces both. No explosion of siblings.
	s = s.Update(s.Context(), 1, "merged")
	if got, want := SetText(s), `set()[1:4("merged")]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func conflict() Set[string] {
	var s Set[string]
	for _, v := range []string{"b", "c", "a"} {
		s = s.Update(Vector{}, 1, v)
	}
	return s
}

func longest(values []string) string { return slices.Max(values) }

func TestReconcile(t *testing.T) {
	s := conflict()
	r := s.Reconcile(longest)
	if got, want := SetText(r), `set("c")[1:3()]`; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if l := s.LastWriterWins(func(a, b string) bool { return a < b }); !EqualSets(l, r) {
		t.Errorf("LastWriterWins: %s", SetText(l))
	}
	// Of values that less calls equal, all servers take the same.
	if l := s.LastWriterWins(func(a, b string) bool { return false }); !EqualSets(l, r) {
		t.Errorf("LastWriterWins without a decision: %s", SetText(l))
	}
	// With those who have not decided, and with those who have, and in both directions.
	for _, o := range []Set[string]{s, r, {}} {
		if got := Sync(r, o); !EqualSets(got, r) {
			t.Errorf("synced with %s: %s", SetText(o), SetText(got))
		}
		if got := Sync(o, r); !EqualSets(got, r) {
			t.Errorf("%s, synced: %s", SetText(o), SetText(got))
		}
	}
	roundTrip(fatal{t}, r)
	if got, want := SetText(r.Update(r.Context(), 2, "d")), `set()[1:3(),2:1("d")]`; got != want {
		t.Errorf("a client that had read the decision has %s, want %s", got, want)
	}
	if got, want := SetText(r.Update(Vector{}, 2, "d")), `set("c")[1:3(),2:1("d")]`; got != want {
		t.Errorf("a client that had read nothing has %s, want %s", got, want)
	}
	if one := r.Reconcile(func([]string) string { t.Error("asked about one value"); return "" }); !EqualSets(one, r) {
		t.Errorf("reconciled again: %s", SetText(one))
	}
}

type fatal struct{ *testing.T }

// What Reconcile's comment warns of.
func TestReconciledValueGivesWay(t *testing.T) {
	s := conflict()
	further := s.Update(Vector{}, 1, "d")
	if got, want := SetText(Sync(s.Reconcile(longest), further)), `set()[1:4("d")]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	written := s.Update(s.Context(), 2, "decision")
	if got, want := SetText(Sync(written, further)), `set()[1:4("d"),2:1("decision")]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSetsDoNotChange(t *testing.T) {
	s := conflict()
	text := SetText(s)
	s.Update(s.Context(), 1, "x")
	s.Update(Vector{}, 0, "x")
	Sync(s, Set[string]{}.Update(Vector{}, 0, "y")).Update(Vector{}, 0, "z")
	s.Reconcile(longest)
	if got := SetText(s); got != text {
		t.Errorf("%s became %s", text, got)
	}
}

func TestNoWriteReplacesItself(t *testing.T) {
	for _, d := range []Dot{{1, 0}, {1, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("dot %v was accepted", d)
				}
			}()
			NewDotted(d, Vector{}.Add(1))
		}()
	}
}

func TestForms(t *testing.T) {
	d := NewDotted(Dot{2, 5}, Vector{}.Add(1).Add(1).Add(3))
	data, _ := d.MarshalBinary()
	if d.String() != "dvv2:5[1:2,3:1]" || string(data) != "D\x02\x05\x02\x01\x02\x01\x01" {
		t.Errorf("%s, %x", d, data)
	}
	if got := d.Context().String(); got != "vv[1:2,3:1]" {
		t.Errorf("context %s", got)
	}
	for _, text := range []string{"dvv1:0[]", "dvv1:1[1:1]", "vv[1:1]", ""} {
		if err := new(Dotted).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as a dotted version vector", text)
		}
	}
	for _, text := range []string{
		`set("b" "a")[]`, `set("a" "a")[]`, `set()[1:1("a" "b")]`, `set()[1:0()]`, `set()[2:1(),1:1()]`,
		"set(`a`)[]", `set("\x61")[]`, `set("a"`, `set()[]x`,
	} {
		if s, err := ParseSet[string](text); err == nil {
			t.Errorf("%q was read as %s", text, SetText(s))
		}
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	v, w := Vector{}.Add(1), Vector{}.Add(1).Add(2)
	a, b := NewDotted(Dot{1, 1}, Vector{}), NewDotted(Dot{2, 1}, v)
	s := conflict()
	u := s.Update(Vector{}, 2, "x")
	if n := testing.AllocsPerRun(100, func() {
		if v.Compare(w) != clock.Before || a.Compare(b) != clock.Before || s.Compare(u) != clock.Before {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzVector(f *testing.F) {
	codectest.Fuzz[Vector](f, Vector{}, Vector{}.Add(1).Add(1).Add(1<<64-1))
}

func FuzzDotted(f *testing.F) {
	codectest.Fuzz[Dotted](f, NewDotted(Dot{7, 1}, Vector{}), NewDotted(Dot{1, 3}, Vector{}.Add(1).Add(300)))
}

func FuzzSet(f *testing.F) {
	for _, s := range []Set[string]{{}, conflict(), conflict().Reconcile(longest), conflict().Update(Vector{}, 1<<64-1, "\x00\"é")} {
		f.Add(AppendSet(nil, s))
		f.Add([]byte(SetText(s)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var e *clock.FormatError
		if s, err := DecodeSet[string](in); err == nil {
			if out := AppendSet(nil, s); string(out) != string(in) {
				t.Errorf("bytes %x are accepted, and written as %x", in, out)
			}
			roundTrip(fatal{t}, s)
		} else if !errors.As(err, &e) {
			t.Errorf("%x: error %v is no *clock.FormatError", in, err)
		}
		if s, err := ParseSet[string](string(in)); err == nil {
			if out := SetText(s); out != string(in) {
				t.Errorf("text %q is accepted, and written as %q", in, out)
			}
			roundTrip(fatal{t}, s)
		} else if !errors.As(err, &e) {
			t.Errorf("%q: error %v is no *clock.FormatError", in, err)
		}
	})
}

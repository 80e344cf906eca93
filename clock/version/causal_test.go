package version

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
)

// write is a write in the model: by its causal history, the set of all writes that
// came before it, spelt out.
type write struct {
	name    string
	history map[string]bool // without itself
	dotted  Dotted
}

// server is a server in the model, and the set that should agree with it.
type server struct {
	set  Set[string]
	live map[string]*write // no one in the history of another
}

func (s *server) seen() map[string]bool {
	all := map[string]bool{}
	for _, w := range s.live {
		all[w.name] = true
		maps.Copy(all, w.history)
	}
	return all
}

// Sets, and dotted version vectors, agree with causal histories under clients that write
// with old contexts, with new ones or without, at any server, and servers that sync in
// any order.
func TestAgainstCausalHistories(t *testing.T) {
	conflicts := 0
	rapid.Check(t, func(t *rapid.T) {
		servers := make([]server, rapid.IntRange(1, 4).Draw(t, "servers"))
		for i := range servers {
			servers[i].live = map[string]*write{}
		}
		type context struct {
			vector Vector
			seen   map[string]bool
		}
		contexts := []context{{seen: map[string]bool{}}}
		var writes []*write
		var sets []Set[string]
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			id := rapid.IntRange(0, len(servers)-1).Draw(t, "server")
			s := &servers[id]
			switch rapid.SampledFrom([]string{"read", "write", "write", "sync", "last"}).Draw(t, "step") {
			case "read":
				contexts = append(contexts, context{s.set.Context(), s.seen()})
			case "write", "last": // with the context read last, or with any
				c := contexts[len(contexts)-1]
				if rapid.Bool().Draw(t, "old context") {
					c = rapid.SampledFrom(contexts).Draw(t, "context")
				}
				w := &write{name: strconv.Itoa(len(writes)), history: c.seen}
				s.set = s.set.Update(c.vector, clock.Proc(id), w.name)
				for dot, v := range s.set.Dots() {
					if v == w.name {
						w.dotted = NewDotted(dot, c.vector)
					}
				}
				writes = append(writes, w)
				for name := range s.live {
					if c.seen[name] {
						delete(s.live, name)
					}
				}
				s.live[w.name] = w
			case "sync":
				o := &servers[rapid.IntRange(0, len(servers)-1).Draw(t, "other")]
				s.set = Sync(s.set, o.set)
				maps.Copy(s.live, o.live)
				seen := map[string]bool{}
				for _, w := range s.live {
					maps.Copy(seen, w.history)
				}
				for name := range s.live {
					if seen[name] {
						delete(s.live, name)
					}
				}
			}
			got, want := slices.Sorted(s.set.Values()), slices.Sorted(maps.Keys(s.live))
			if !slices.Equal(got, want) {
				t.Fatalf("server %d has %v, want %v: %s", id, got, want, SetText(s.set))
			}
			if len(want) > 1 {
				conflicts++
			}
			if n := len(maps.Collect(s.set.Context().All())); n > len(servers) {
				t.Fatalf("%d components for %d servers", n, len(servers))
			}
			seen := s.seen()
			for _, w := range writes {
				if got := s.set.Context().Covers(w.dotted.Dot()); got != seen[w.name] {
					t.Fatalf("server %d has seen write %s: %t", id, w.name, got)
				}
			}
			sets = append(sets, s.set)
		}

		for _, a := range writes {
			for _, b := range writes {
				want := clock.Concurrent
				switch {
				case a == b:
					want = clock.Equal
				case b.history[a.name]:
					want = clock.Before
				case a.history[b.name]:
					want = clock.After
				}
				if got := a.dotted.Compare(b.dotted); got != want {
					t.Fatalf("%v is %v %v, want %v", a.dotted, got, b.dotted, want)
				}
			}
		}

		if len(sets) > 0 {
			pick := rapid.SampledFrom(sets)
			a, b, c := pick.Draw(t, "a"), pick.Draw(t, "b"), pick.Draw(t, "c")
			ab := Sync(a, b)
			for law, holds := range map[string]bool{
				"commutative": EqualSets(ab, Sync(b, a)),
				"associative": EqualSets(Sync(ab, c), Sync(a, Sync(b, c))),
				"idempotent":  EqualSets(Sync(ab, a), ab) && EqualSets(Sync(a, a), a),
			} {
				if !holds {
					t.Fatalf("Sync is not %s: %s, %s, %s", law, SetText(a), SetText(b), SetText(c))
				}
			}
			if got, want := a.Compare(b), a.Context().Compare(b.Context()); got != want {
				t.Fatalf("Compare says %v, the contexts %v", got, want)
			}
			roundTrip(t, ab)
		}
	})
	if conflicts == 0 {
		t.Error("there was never a conflict: this has shown nothing")
	}
}

func roundTrip(t interface{ Fatalf(string, ...any) }, s Set[string]) {
	u, err := DecodeSet[string](AppendSet(nil, s))
	if err != nil || !EqualSets(u, s) {
		t.Fatalf("binary: %s became %s, %v", SetText(s), SetText(u), err)
	}
	u, err = ParseSet[string](SetText(s))
	if err != nil || !EqualSets(u, s) {
		t.Fatalf("text: %s became %s, %v", SetText(s), SetText(u), err)
	}
}

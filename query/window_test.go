package query

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/tree"
)

var (
	testKeys = []string{"-2147483648", "-1", "0", "00", "01", "9", "10", "2147483647", "-", "2147483648",
		"Z", "a", "aa", "b", "c", "d", "~", "\U0001F600", "\uFFFF"}
	genKey  = rapid.SampledFrom(testKeys)
	genLeaf = rapid.SampledFrom([]*tree.Node{
		tree.NewBool(false), tree.NewBool(true),
		tree.NewInt(-1), tree.NewInt(0), tree.NewInt(1), tree.NewInt(2), tree.NewInt(1<<53 + 1),
		tree.NewFloat(-1.5), tree.NewFloat(0.5), tree.NewFloat(1 << 53), tree.NewFloat(1e300),
		tree.NewString(""), tree.NewString("1"), tree.NewString("a"), tree.NewString("\uFFFF"), tree.NewString("\U0001F600"),
	})
	genChild = rapid.Custom(func(t *rapid.T) *tree.Node {
		n := genLeaf.Draw(t, "leaf")
		if rapid.Bool().Draw(t, "object") {
			n = (*tree.Node)(nil).Set("f", n).Set("present", tree.NewBool(true))
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				n = n.Set("f/deep", tree.NewInt(1))
			}
		}
		if rapid.Bool().Draw(t, "prioritised") {
			n = n.WithPriority(genLeaf.Filter(func(n *tree.Node) bool { return n.Kind() != tree.Bool }).Draw(t, "priority"))
		}
		return n
	})
	genData = rapid.Custom(func(t *rapid.T) *tree.Node {
		var n *tree.Node
		for _, key := range rapid.SliceOfNDistinct(genKey, 0, -1, rapid.ID[string]).Draw(t, "keys") {
			n = n.Set(tree.Path(key), genChild.Draw(t, key))
		}
		return n
	})
	genQuery = rapid.Custom(func(t *rapid.T) Query {
		q := Query{Index: rapid.SampledFrom([]Index{
			{}, {Kind: ByKey}, {Kind: ByValue}, {Kind: ByChild, Path: "f"}, {Kind: ByChild, Path: "f/deep"},
		}).Draw(t, "index")}
		bound := func(name string) *Bound {
			if rapid.Bool().Draw(t, "no "+name) {
				return nil
			}
			b := &Bound{Inclusive: rapid.Bool().Draw(t, name+" inclusive")}
			if q.Index.Kind != ByKey && rapid.IntRange(0, 5).Draw(t, name+" null") > 0 {
				b.Value = genLeaf.Draw(t, name)
			}
			if q.Index.Kind == ByKey || rapid.Bool().Draw(t, name+" keyed") {
				b.HasKey, b.Key = true, rapid.SampledFrom(append([]string{MinName, MaxName}, testKeys...)).Draw(t, name+" key")
			}
			return b
		}
		q.Start, q.End = bound("start"), bound("end")
		if rapid.Bool().Draw(t, "limited") {
			q.Limit, q.Last = rapid.IntRange(1, 8).Draw(t, "limit"), rapid.Bool().Draw(t, "last")
		}
		return q
	})
)

// shortReads gives fewer entries than asked for, which a Source may, and counts.
type shortReads struct {
	memory
	t     *rapid.T
	calls int
}

func (s *shortReads) Scan(from *Entry, reverse bool, n int) ([]Entry, error) {
	s.calls++
	return s.memory.Scan(from, reverse, rapid.IntRange(1, n).Draw(s.t, "read"))
}

// draw makes some changes to n.
func drawChanges(t *rapid.T, q *Query, n *tree.Node) (after *tree.Node, changes []Change) {
	after = n
	for _, key := range rapid.SliceOfNDistinct(genKey, 1, 8, rapid.ID[string]).Draw(t, "changed") {
		var child *tree.Node
		switch rapid.IntRange(0, 5).Draw(t, "how") {
		case 0: // deleted
		case 1: // reported, but as it was
			child = n.Child(key)
		default:
			child = genChild.Draw(t, "child")
		}
		after = after.Set(tree.Path(key), child)
		changes = append(changes, Change{Key: key, Exists: child != nil, Value: q.Index.ValueOf(key, child)})
	}
	return after, changes
}

func checkWindow(t *rapid.T, w *Window, n *tree.Node) {
	t.Helper()
	want := filteredKeys(&w.q, n)
	if !w.q.IsDefault() || n.IsObject() {
		if got := w.Keys(); !slices.Equal(got, want) {
			t.Fatalf("%s: window %q, filter %q", w.q.WireJSON(), got, want)
		}
	}
	if w.Len() != len(want) {
		t.Fatalf("Len %d, want %d", w.Len(), len(want))
	}
	for _, key := range testKeys {
		if w.Has(key) != slices.Contains(want, key) {
			t.Fatalf("Has(%q) = %v", key, w.Has(key))
		}
	}
}

// checkOften runs a cheap property more often than rapid's hundred times, which
// misses interleavings that want three coincidences.
func checkOften(t *testing.T, property func(*rapid.T)) {
	for range 12 {
		rapid.Check(t, property)
	}
}

func TestWindowIsAlwaysTheFilteredTree(t *testing.T) {
	checkOften(t, func(t *rapid.T) {
		q := genQuery.Draw(t, "query")
		n := genData.Draw(t, "data")
		w := NewWindow(q)
		if err := w.Load(&shortReads{memory: memory{&q, n}, t: t}); err != nil {
			t.Fatal(err)
		}
		checkWindow(t, w, n)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			before := w.Keys()
			var changes []Change
			n, changes = drawChanges(t, &q, n)
			src := &shortReads{memory: memory{&q, n}, t: t}
			d, err := w.Apply(changes, src)
			if err != nil {
				t.Fatal(err)
			}
			checkWindow(t, w, n)
			checkDelta(t, d, changes, before, w.Keys())
			if src.calls > 0 && (q.Limit == 0 || len(before) < q.Limit) {
				t.Fatalf("source consulted for %d of %d members", len(before), q.Limit)
			}
		}
	})
}

func checkDelta(t *rapid.T, d Delta, changes []Change, before, after []string) {
	t.Helper()
	var want Delta
	for _, key := range testKeys {
		was, is := slices.Contains(before, key), slices.Contains(after, key)
		changed := slices.ContainsFunc(changes, func(c Change) bool { return c.Key == key })
		switch {
		case !was && is:
			want.Entered = append(want.Entered, key)
		case was && !is:
			want.Left = append(want.Left, key)
		case was && changed:
			want.Kept = append(want.Kept, key)
		}
	}
	same := func(name string, got, want []string) {
		t.Helper()
		got = slices.Sorted(slices.Values(got))
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s %q, want %q (members %q -> %q)", name, got, want, before, after)
		}
	}
	same("entered", d.Entered, want.Entered)
	same("left", d.Left, want.Left)
	same("kept", d.Kept, want.Kept)
}

// A listener that starts behind the store applies old changes while its source
// reads the newest state.
func TestWindowConvergesWithASourceAhead(t *testing.T) {
	checkOften(t, func(t *rapid.T) {
		q := genQuery.Draw(t, "query")
		n := genData.Draw(t, "data")
		w := NewWindow(q)
		if err := w.Load(memory{&q, n}); err != nil {
			t.Fatal(err)
		}
		var states []*tree.Node
		var steps [][]Change
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			var changes []Change
			n, changes = drawChanges(t, &q, n)
			states, steps = append(states, n), append(steps, changes)
		}
		// The source moves on at its own pace, never behind the change.
		at := 0
		for i, changes := range steps {
			at = rapid.IntRange(max(at, i), len(states)-1).Draw(t, "source at")
			before := w.Keys()
			d, err := w.Apply(changes, memory{&q, states[at]})
			if err != nil {
				t.Fatal(err)
			}
			after := w.Keys()
			checkDelta(t, d, changes, before, after)
			slices.Sort(after)
			if distinct := len(slices.Compact(after)); distinct != w.Len() || q.Limit > 0 && distinct > q.Limit {
				t.Fatalf("%d distinct members, Len %d, limit %d", distinct, w.Len(), q.Limit)
			}
		}
		checkWindow(t, w, n)
	})
}

// The refill meets a member where a change that is still to come will put it.
func TestWindowRefillSkipsMembersOfASourceAhead(t *testing.T) {
	q := Query{Index: Index{Kind: ByValue}, Limit: 2}
	data := func(json string) memory {
		n, err := tree.ParseJSON([]byte(json))
		if err != nil {
			t.Fatal(err)
		}
		return memory{&q, n}
	}
	w := NewWindow(q)
	if err := w.Load(data(`{"a":1,"b":2,"c":5}`)); err != nil {
		t.Fatal(err)
	}
	ahead := data(`{"a":4,"c":5}`)
	d, err := w.Apply([]Change{{Key: "b"}}, ahead)
	if err != nil || !slices.Equal(d.Entered, []string{"c"}) || !slices.Equal(w.Keys(), []string{"a", "c"}) {
		t.Fatalf("%+v, %v, %q", d, err, w.Keys())
	}
	d, err = w.Apply([]Change{{"a", true, tree.NewInt(4)}}, ahead)
	if err != nil || !slices.Equal(d.Kept, []string{"a"}) || !slices.Equal(w.Keys(), []string{"a", "c"}) {
		t.Fatalf("%+v, %v, %q", d, err, w.Keys())
	}
}

func TestWindowTakesTheLastOfDuplicateChanges(t *testing.T) {
	w := NewWindow(Query{Index: Index{Kind: ByValue}, Limit: 2})
	d, err := w.Apply([]Change{
		{Key: "a", Exists: true, Value: tree.NewInt(1)},
		{Key: "b", Exists: true, Value: tree.NewInt(2)},
		{Key: "a"},
	}, nil)
	if err != nil || !slices.Equal(d.Entered, []string{"b"}) || !slices.Equal(w.Keys(), []string{"b"}) {
		t.Fatalf("%+v, %v, %q", d, err, w.Keys())
	}
}

type sourceFunc func(from *Entry, reverse bool, n int) ([]Entry, error)

func (f sourceFunc) Scan(from *Entry, reverse bool, n int) ([]Entry, error) {
	return f(from, reverse, n)
}

func TestWindowReportsSourceErrors(t *testing.T) {
	broken := errors.New("broken")
	fails := sourceFunc(func(*Entry, bool, int) ([]Entry, error) { return nil, broken })
	stuck := sourceFunc(func(*Entry, bool, int) ([]Entry, error) { return []Entry{{Key: "a"}}, nil })
	w := NewWindow(Query{Index: Index{Kind: ByKey}, Limit: 2})
	if err := w.Load(fails); !errors.Is(err, broken) {
		t.Error(err)
	}
	// Such a source would otherwise be asked for ever.
	if err := w.Load(stuck); !errors.Is(err, errScanOrder) || w.Len() != 0 {
		t.Error(err, w.Len())
	}
	for _, key := range []string{"a", "b", "c"} {
		if _, err := w.Apply([]Change{{Key: key, Exists: true}}, fails); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Apply([]Change{{Key: "a"}}, fails); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A window must not keep alive the subtrees that its members are ordered by.
func TestWindowKeepsOnlyPositions(t *testing.T) {
	q := Query{Index: Index{Kind: ByValue}, Limit: 3}
	big := (*tree.Node)(nil).Set("x/y", tree.NewInt(1))
	w := NewWindow(q)
	if err := w.Load(memory{&q, (*tree.Node)(nil).Set("a", big)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply([]Change{{Key: "b", Exists: true, Value: big}}, nil); err != nil {
		t.Fatal(err)
	}
	for e := range w.set.all() {
		if e.Value == big || !e.Value.IsObject() {
			t.Errorf("%q keeps %v", e.Key, e.Value)
		}
	}
}

// Large enough for several chunks, batches and the map.
func TestLargeWindow(t *testing.T) {
	for _, q := range []Query{
		{Index: Index{Kind: ByValue}, Start: &Bound{Value: tree.NewInt(100), Inclusive: true}},
		{Index: Index{Kind: ByValue}, Limit: 3000},
		{Index: Index{Kind: ByValue}, Limit: 3000, Last: true},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s/%d", q.ID(), seed), func(t *testing.T) { testLargeWindow(t, q, seed) })
		}
	}
}

func testLargeWindow(t *testing.T, q Query, seed uint64) {
	const size = 5000
	rnd := rand.New(rand.NewPCG(seed, 0))
	values := make(map[int]int)
	for i := range size {
		values[i] = rnd.IntN(size)
	}
	source := func() sorted {
		s := sorted{q: &q}
		for k, v := range values {
			if e := (Entry{tree.NewInt(int64(v)), fmt.Sprint("k", k)}); q.InRange(e) {
				s.entries = append(s.entries, e)
			}
		}
		slices.SortFunc(s.entries, q.Compare)
		return s
	}
	w := NewWindow(q)
	if err := w.Load(source()); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		var changes []Change
		from := rnd.IntN(size)
		for k := from; k < from+1+rnd.IntN(2000); k++ {
			if rnd.IntN(4) == 0 {
				delete(values, k)
				changes = append(changes, Change{Key: fmt.Sprint("k", k)})
				continue
			}
			values[k] = rnd.IntN(2 * size)
			changes = append(changes, Change{fmt.Sprint("k", k), true, tree.NewInt(int64(values[k]))})
		}
		s := source()
		if _, err := w.Apply(changes, s); err != nil {
			t.Fatal(err)
		}
		want := s.entries
		if q.Limit > 0 && len(want) > q.Limit {
			if q.Last {
				want = want[len(want)-q.Limit:]
			} else {
				want = want[:q.Limit]
			}
		}
		keys := w.Keys()
		if len(keys) != len(want) || w.Len() != len(want) || len(w.keys) != len(want) {
			t.Fatalf("%d keys, Len %d, want %d", len(keys), w.Len(), len(want))
		}
		for i, e := range want {
			if keys[i] != e.Key || !w.Has(e.Key) {
				t.Fatalf("member %d is %q, want %q", i, keys[i], e.Key)
			}
		}
	}
}

// A source without an index reads all children for every batch.
func TestLoadAsksForFewBatches(t *testing.T) {
	q := Query{Index: Index{Kind: ByValue}, Start: &Bound{Value: tree.NewInt(0), Inclusive: true}}
	s := sorted{q: &q}
	for i := range 100_000 {
		s.entries = append(s.entries, Entry{tree.NewInt(int64(i)), fmt.Sprint("k", i)})
	}
	calls := 0
	w := NewWindow(q)
	err := w.Load(sourceFunc(func(from *Entry, reverse bool, n int) ([]Entry, error) {
		calls++
		return s.Scan(from, reverse, n)
	}))
	if err != nil || w.Len() != len(s.entries) || calls > 12 {
		t.Errorf("%d calls for %d members, %v", calls, w.Len(), err)
	}
}

// sorted is a Source over entries in order.
type sorted struct {
	q       *Query
	entries []Entry
}

func (s sorted) Scan(from *Entry, reverse bool, n int) ([]Entry, error) {
	lo, hi := 0, len(s.entries)
	if from != nil {
		i, found := slices.BinarySearchFunc(s.entries, *from, s.q.Compare)
		if reverse {
			hi = i
		} else if lo = i; found {
			lo++
		}
	}
	if !reverse {
		return s.entries[lo:min(lo+n, hi)], nil
	}
	out := slices.Clone(s.entries[max(lo, hi-n):hi])
	slices.Reverse(out)
	return out, nil
}

func TestOrderedSet(t *testing.T) {
	q := &Query{Index: Index{Kind: ByValue}}
	rapid.Check(t, func(t *rapid.T) {
		var o orderedSet
		var model []Entry
		grow := true
		for range rapid.IntRange(1, 30).Draw(t, "runs") {
			from, step := rapid.IntRange(0, 3000).Draw(t, "from"), rapid.SampledFrom([]int{1, -1, 7, -13}).Draw(t, "step")
			if o.len > 2000 {
				grow = false
			} else if o.len < 200 {
				grow = true
			}
			for i := range rapid.IntRange(1, 600).Draw(t, "length") {
				e := Entry{tree.NewInt(int64(from + i*step)), "k"}
				at, found := slices.BinarySearchFunc(model, e, q.Compare)
				if grow {
					o.insert(q, e)
					if !found {
						model = slices.Insert(model, at, e)
					}
				} else {
					if o.remove(q, e) != found {
						t.Fatalf("remove %d: found is %v", e.Value.Int(), found)
					}
					if found {
						model = slices.Delete(model, at, at+1)
					}
				}
			}
			for range min(rapid.IntRange(0, 3).Draw(t, "pops"), o.len) {
				last := rapid.Bool().Draw(t, "last")
				got, want := o.pop(last), model[0]
				if last {
					want, model = model[len(model)-1], model[:len(model)-1]
				} else {
					model = model[1:]
				}
				if q.Compare(got, want) != 0 {
					t.Fatalf("pop %v gives %d, want %d", last, got.Value.Int(), want.Value.Int())
				}
			}
			got := slices.Collect(o.all())
			if o.len != len(model) || !slices.EqualFunc(got, model, func(a, b Entry) bool { return q.Compare(a, b) == 0 }) {
				t.Fatalf("%d entries, want %d", len(got), len(model))
			}
			for _, c := range o.chunks {
				if len(c) == 0 || len(c) > chunkSize {
					t.Fatalf("chunk of %d", len(c))
				}
			}
		}
	})
}

func BenchmarkWindow(b *testing.B) {
	const size = 1 << 20
	for _, bench := range []struct {
		name string
		q    Query
		size int
	}{
		{"tiny-limit-20", Query{Index: Index{Kind: ByValue}, Limit: 20, Last: true}, 1000},
		{"range-1M", Query{Index: Index{Kind: ByValue}, Start: &Bound{Value: tree.NewInt(0), Inclusive: true}}, size},
		{"limit-1M", Query{Index: Index{Kind: ByValue}, Limit: size}, size},
	} {
		q := bench.q
		s := sorted{q: &q}
		for i := range bench.size {
			s.entries = append(s.entries, Entry{tree.NewInt(int64(i)), fmt.Sprintf("-key%016d", i)})
		}
		b.Run("load/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := NewWindow(q).Load(s); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("move/"+bench.name, func(b *testing.B) {
			w := NewWindow(q)
			if err := w.Load(s); err != nil {
				b.Fatal(err)
			}
			values := make([]*tree.Node, 1024)
			for i := range values {
				values[i] = tree.NewInt(int64(i * bench.size / len(values)))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % len(s.entries)
				if _, err := w.Apply([]Change{{s.entries[i].Key, true, values[i%len(values)]}}, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

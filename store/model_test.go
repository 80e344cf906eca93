package store

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"rebase/query"
	"rebase/rules"
	"rebase/tree"
)

// The model is a tree.Node per namespace, and the history of them by position.

var (
	// Few keys, so that writes meet, and now and then any of the odd ones.
	genKey = rapid.SampledFrom([]string{
		"a", "a", "a", "a", "a", "a", "b", "b", "b", "b", "b", "b", "list", "list", "list", "list", "list", "list", "c", "c", "c", "z", "-1", "0", "00", "-0", "7", "10", "2147483647", "2147483648",
		"é", "\uE000", "\uFFFF", "😀", "~",
	})
	longText  = strings.Repeat("lång ", 60)
	genString = rapid.SampledFrom([]string{
		"", "a", "a\x00", "a\x00b", "b", "é", "\uE000", "\uFFFF", "😀", longText, longText + "a", longText + "b", longText[:maxIndexedString],
	})
	genNumber = rapid.SampledFrom([]*tree.Node{
		tree.NewInt(0), tree.NewInt(1), tree.NewInt(-1), tree.NewInt(1 << 53), tree.NewInt(1<<53 + 1), tree.NewInt(1<<63 - 1),
		tree.NewInt(-1 << 63), tree.NewInt(1<<63 - 512), tree.NewFloat(0.5), tree.NewFloat(-0.5), tree.NewFloat(1e300), tree.NewFloat(-1e300), tree.NewFloat(1 << 63),
	})
)

func drawPath(t *rapid.T, maxDepth int) tree.Path {
	var p tree.Path
	for _, k := range rapid.SliceOfN(genKey, 0, maxDepth).Draw(t, "path") {
		p = p.Child(k)
	}
	return p
}

func drawPriority(t *rapid.T) *tree.Node {
	switch rapid.IntRange(0, 9).Draw(t, "priority") {
	case 0:
		return genNumber.Draw(t, "number")
	case 1:
		return tree.NewString(genString.Draw(t, "string"))
	}
	return nil
}

func drawLeaf(t *rapid.T) *tree.Node {
	switch rapid.IntRange(0, 3).Draw(t, "leaf") {
	case 0:
		return tree.NewBool(rapid.Bool().Draw(t, "bool"))
	case 1:
		return tree.NewString(genString.Draw(t, "string"))
	}
	return genNumber.Draw(t, "number")
}

func drawValue(t *rapid.T, depth int) *tree.Node {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if kind == 0 {
		return nil
	}
	var n *tree.Node
	if kind <= 2 || depth == 0 {
		n = drawLeaf(t)
	} else {
		var children []tree.Child
		for _, k := range rapid.SliceOfN(genKey, 0, 5).Draw(t, "keys") {
			children = append(children, tree.Child{Key: k, Node: drawValue(t, depth-1)})
		}
		if n = tree.NewObject(children); n == nil {
			return nil
		}
	}
	if p := drawPriority(t); p != nil {
		n = n.WithPriority(p)
	}
	return n
}

type state struct {
	trees map[string]*tree.Node
	rules map[string]*rules.Rules
}

func (s state) with(ns string, n *tree.Node) state {
	trees := map[string]*tree.Node{ns: n}
	for name, other := range s.trees {
		if name != ns {
			trees[name] = other
		}
	}
	return state{trees, s.rules}
}

var ruleTexts = []string{
	`{"rules":{}}`,
	`{"rules":{"list":{".indexOn":["a","b/c",".value"]}}}`,
	`{"rules":{".indexOn":["a",".value"],"$x":{".indexOn":"a"}}}`,
	`{"rules":{"$x":{"$y":{".indexOn":["list","a/b",".value"]}},"a":{".indexOn":".value"}}}`,
	`{"rules":{"a":{".indexOn":["a","b"]},"list":{".indexOn":"b/c"}}}`,
}

var queryIndexes = []query.Index{
	{Kind: query.ByKey}, {Kind: query.ByPriority}, {Kind: query.ByValue}, {Kind: query.ByChild, Path: "a"},
	{Kind: query.ByChild, Path: "b/c"}, {Kind: query.ByChild, Path: "a/b"}, {Kind: query.ByChild, Path: "list"},
}

var namespaces = []string{"one", "one", "one", "two"} // as often as they are written

type machine struct {
	fs      *vfs.MemFS
	s       *Store
	pos     uint64
	history map[uint64]state
	held    *Snapshot
	heldAt  state
}

func (m *machine) open(t *rapid.T) {
	s, err := Open("db", Options{
		FS: m.fs, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler),
		tune: tuning{smallSubtree: 4, chunkChildren: 2, manualBuild: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

func (m *machine) now() state { return m.history[m.pos] }

func (m *machine) commit(t *rapid.T, b *Batch, st state) {
	m.pos++
	if err := b.Commit(m.pos); err != nil {
		t.Fatal(err)
	}
	m.history[m.pos] = st
}

// Set writes a few times, for half of all actions are not writes.
func (m *machine) Set(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "writes") {
		m.setOne(t)
		m.Check(t)
	}
}

func (m *machine) setOne(t *rapid.T) {
	ns := rapid.SampledFrom(namespaces).Draw(t, "ns")
	p, v := drawPath(t, 4), drawValue(t, 3)
	b := m.s.NewBatch()
	if err := b.Set(ns, p, v); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "chunk between") {
		m.BuildChunk(t)
	}
	if rapid.IntRange(0, 9).Draw(t, "discard") == 0 {
		b.Discard()
		return
	}
	m.commit(t, b, m.now().with(ns, m.now().trees[ns].Set(p, v)))
}

func (m *machine) Merge(t *rapid.T) {
	b := m.s.NewBatch()
	st := m.now()
	for range rapid.IntRange(2, 6).Draw(t, "updates") {
		ns := rapid.SampledFrom(namespaces).Draw(t, "ns")
		p := drawPath(t, 4)
		n := st.trees[ns]
		if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
			prio := drawPriority(t)
			if err := b.SetPriority(ns, p, prio); err != nil {
				t.Fatal(err)
			}
			n = n.SetPriority(p, prio)
		} else {
			v := drawValue(t, 2)
			if err := b.Set(ns, p, v); err != nil {
				t.Fatal(err)
			}
			n = n.Set(p, v)
		}
		st = st.with(ns, n)
		if rapid.IntRange(0, 3).Draw(t, "read") == 0 {
			compareReader(t, b, st)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "discard") == 0 {
		b.Discard()
		return
	}
	m.commit(t, b, st)
}

func (m *machine) SetPriority(t *rapid.T) {
	ns := rapid.SampledFrom(namespaces).Draw(t, "ns")
	p, prio := drawPath(t, 3), drawPriority(t)
	b := m.s.NewBatch()
	if err := b.SetPriority(ns, p, prio); err != nil {
		t.Fatal(err)
	}
	m.commit(t, b, m.now().with(ns, m.now().trees[ns].SetPriority(p, prio)))
}

func (m *machine) Declare(t *rapid.T) {
	ns := rapid.SampledFrom(namespaces).Draw(t, "ns")
	r, err := rules.Parse([]byte(rapid.SampledFrom(ruleTexts).Draw(t, "rules")))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.s.SetIndexes(ns, r); err != nil {
		t.Fatal(err)
	}
	// Rules are not part of the position; they hold for what follows.
	st := m.now()
	st.rules = map[string]*rules.Rules{ns: r}
	for name, other := range m.now().rules {
		if name != ns {
			st.rules[name] = other
		}
	}
	m.history[m.pos] = st
}

func (m *machine) BuildChunk(t *rapid.T) {
	if ns, id, any := m.s.definitions().unfinished(); any {
		if _, err := m.s.buildChunk(ns, id); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *machine) Flush(t *rapid.T) {
	if err := m.s.Flush(); err != nil {
		t.Fatal(err)
	}
	if m.s.Durable() != m.s.Applied() {
		t.Fatalf("durable %d after a flush at %d", m.s.Durable(), m.s.Applied())
	}
}

func (m *machine) release(t *rapid.T) {
	if m.held != nil {
		compareReader(t, m.held, m.heldAt)
		m.held.Close()
		m.held = nil
	}
}

func (m *machine) Hold(t *rapid.T) {
	m.release(t)
	m.held, m.heldAt = m.s.Snapshot(), m.now()
	if m.held.Applied() != m.pos {
		t.Fatalf("snapshot at %d, want %d", m.held.Applied(), m.pos)
	}
}

func (m *machine) Reopen(t *rapid.T) {
	m.release(t)
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	if m.s.Applied() != m.pos {
		t.Fatalf("reopened at %d, want %d", m.s.Applied(), m.pos)
	}
}

func (m *machine) Crash(t *rapid.T) {
	m.release(t)
	durable := m.s.Durable()
	seed := rapid.Uint64().Draw(t, "seed")
	clone := m.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "survives"),
		RNG:                 rand.New(rand.NewPCG(seed, 0)),
	})
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	rulesNow := m.now().rules
	m.fs = clone
	m.open(t)
	if m.s.Applied() < durable || m.s.Applied() > m.pos {
		t.Fatalf("after a crash at %d, durable %d: at %d", m.pos, durable, m.s.Applied())
	}
	m.pos = m.s.Applied()
	st := m.now()
	st.rules = rulesNow
	m.history[m.pos] = st
	for ns, r := range rulesNow {
		if err := m.s.SetIndexes(ns, r); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *machine) Query(t *rapid.T) {
	ns := rapid.SampledFrom(namespaces).Draw(t, "ns")
	checkQuery(t, m.s, m.now().trees[ns], ns)
}

// Check runs after every action.
func (m *machine) Check(t *rapid.T) {
	if m.s.Applied() != m.pos {
		t.Fatalf("applied %d, want %d", m.s.Applied(), m.pos)
	}
	if err := m.s.Check(); err != nil {
		t.Fatal(err)
	}
	compareReader(t, m.s, m.now())
}

func compareReader(t *rapid.T, r Reader, want state) {
	var names []string
	for _, ns := range []string{"one", "two"} {
		n := want.trees[ns]
		if n != nil {
			names = append(names, ns)
		}
		got, err := r.Get(ns, "")
		if err != nil {
			t.Fatal(err)
		}
		if !tree.Equal(got, n) {
			t.Fatalf("%s: got %s, want %s", ns, tree.AppendExport(nil, got), tree.AppendExport(nil, n))
		}
		p := drawPath(t, 3)
		compareAt(t, r, ns, p, n.At(p))
	}
	got, err := r.Namespaces()
	if err != nil || !slices.Equal(got, names) {
		t.Fatalf("namespaces %v, want %v (%v)", got, names, err)
	}
}

func compareAt(t *rapid.T, r Reader, ns string, p tree.Path, want *tree.Node) {
	got, err := r.Get(ns, p)
	if err != nil || !tree.Equal(got, want) {
		t.Fatalf("at %q: got %s, want %s (%v)", p, tree.AppendExport(nil, got), tree.AppendExport(nil, want), err)
	}
	leaf, object, err := r.Leaf(ns, p)
	if err != nil || object != want.IsObject() || want.IsLeaf() && !tree.Equal(leaf, want) || !want.IsLeaf() && leaf != nil {
		t.Fatalf("at %q: leaf %v, object %v, want %s (%v)", p, leaf, object, tree.AppendExport(nil, want), err)
	}
	children := want.Children()
	after := ""
	if len(children) > 0 && rapid.Bool().Draw(t, "after") {
		at := rapid.IntRange(0, len(children)-1).Draw(t, "after which")
		after, children = children[at].Key, children[at+1:]
	}
	err = r.Children(ns, p, after, func(key string, object bool, leaf *tree.Node) bool {
		if len(children) == 0 || key != children[0].Key || object != children[0].Node.IsObject() || !object && !tree.Equal(leaf, children[0].Node) {
			t.Fatalf("at %q: unexpected child %q", p, key)
		}
		children = children[1:]
		return true
	})
	if err != nil || len(children) > 0 {
		t.Fatalf("at %q: %d children missing (%v)", p, len(children), err)
	}
	var rebuilt *tree.Node
	var prios []func()
	err = r.Walk(ns, p, func(rel tree.Path, leaf *tree.Node) error {
		rebuilt = rebuilt.Set(rel, leaf)
		return nil
	}, func(rel tree.Path, prio *tree.Node) error {
		prios = append(prios, func() { rebuilt = rebuilt.SetPriority(rel, prio) })
		return nil
	})
	for _, f := range prios {
		f()
	}
	if err != nil || !tree.Equal(rebuilt, want) {
		t.Fatalf("walk at %q: got %s, want %s (%v)", p, tree.AppendExport(nil, rebuilt), tree.AppendExport(nil, want), err)
	}
}

func drawBound(t *rapid.T, ix query.Index) *query.Bound {
	if rapid.Bool().Draw(t, "open") {
		return nil
	}
	key := rapid.OneOf(genKey, rapid.SampledFrom([]string{query.MinName, query.MaxName})).Draw(t, "bound key")
	b := &query.Bound{Inclusive: rapid.Bool().Draw(t, "inclusive")}
	if ix.Kind == query.ByKey {
		b.Key, b.HasKey = key, true
		return b
	}
	if rapid.IntRange(0, 3).Draw(t, "bound null") > 0 {
		b.Value = drawLeaf(t)
	}
	if rapid.Bool().Draw(t, "has key") {
		b.Key, b.HasKey = key, true
	}
	return b
}

func checkQuery(t *rapid.T, r Reader, root *tree.Node, ns string) {
	p := rapid.SampledFrom([]tree.Path{"", "a", "list", "b", "a/b", "list/a"}).Draw(t, "query path")
	ix := rapid.SampledFrom(queryIndexes).Draw(t, "index")
	q := query.Query{Index: ix, Start: drawBound(t, ix), End: drawBound(t, ix)}
	node := root.At(p)
	var want []query.Entry
	for _, c := range node.Children() {
		if e := q.EntryOf(c.Key, c.Node); q.InRange(e) {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, q.Compare)
	reverse := rapid.Bool().Draw(t, "reverse")
	if reverse {
		slices.Reverse(want)
	}
	src, _, err := r.Source(ns, p, &q)
	if err != nil {
		t.Fatal(err)
	}
	page := rapid.IntRange(1, 4).Draw(t, "page")
	var got []query.Entry
	var from *query.Entry
	for {
		entries, err := src.Scan(from, reverse, page)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > page {
			t.Fatalf("%d entries, asked for %d", len(entries), page)
		}
		if len(entries) == 0 {
			break
		}
		got = append(got, entries...)
		from = &got[len(got)-1]
	}
	text := func(es []query.Entry) string {
		var b strings.Builder
		for _, e := range es {
			value := "object"
			if !e.Value.IsObject() {
				value = string(tree.AppendExport(nil, e.Value.WithPriority(nil)))
			}
			if ix.Kind == query.ByKey {
				value = ""
			}
			fmt.Fprintf(&b, "%s=%s ", e.Key, value)
		}
		return b.String()
	}
	if text(got) != text(want) {
		t.Fatalf("query %s at %q reverse %v:\n got %s\nwant %s\nof %s", q.WireJSON(), p, reverse, text(got), text(want), tree.AppendExport(nil, node))
	}
	q.Limit, q.Last = rapid.IntRange(0, 3).Draw(t, "limit"), reverse
	w := query.NewWindow(q)
	src, _, err = r.Source(ns, p, &q)
	if err = errors.Join(err, w.Load(src)); err != nil {
		t.Fatal(err)
	}
	keys := w.Keys()
	slices.SortFunc(keys, tree.CompareKeys)
	var filtered []string
	if node.IsObject() {
		for _, c := range q.Filter(node).Children() {
			filtered = append(filtered, c.Key)
		}
	}
	if !slices.Equal(keys, filtered) {
		t.Fatalf("window of %s at %q: got %q, want %q", q.WireJSON(), p, keys, filtered)
	}
}

func TestStoreMatchesTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{fs: vfs.NewCrashableMem(), history: map[uint64]state{0: {}}}
		m.open(t)
		defer func() {
			m.release(t)
			if err := m.s.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		m.Declare(t)
		actions := rapid.StateMachineActions(m)
		t.Repeat(actions)
	})
}

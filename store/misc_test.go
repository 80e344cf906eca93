package store

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rebase/query"
	"rebase/rules"
	"rebase/tree"
)

func TestMeta(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	b := s.NewBatch()
	for _, k := range []string{"a", "b1", "b2", "b\xff", "c"} {
		if err := b.SetMeta([]byte(k), []byte("v"+k)); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := b.Meta([]byte("b1")); err != nil || string(v) != "vb1" {
		t.Fatalf("in the batch: %q, %v", v, err)
	}
	if v, err := s.Meta([]byte("b1")); err != nil || v != nil {
		t.Fatalf("before the commit: %q, %v", v, err)
	}
	if err := b.Commit(1); err != nil {
		t.Fatal(err)
	}
	keys := func() string {
		var out []string
		if err := s.ScanMeta([]byte("b"), func(k, v []byte) bool {
			out = append(out, fmt.Sprintf("%q=%q", k, v))
			return len(out) < 2
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(out, " ")
	}
	if got := keys(); got != `"b1"="vb1" "b2"="vb2"` {
		t.Fatal(got)
	}
	b = s.NewBatch()
	b.SetMeta([]byte("b2"), nil)
	b.SetMeta([]byte("empty"), []byte{})
	if err := b.Commit(2); err != nil {
		t.Fatal(err)
	}
	if got := keys(); got != `"b1"="vb1" "b\xff"="vb\xff"` {
		t.Fatal(got)
	}
	if v, err := s.Meta([]byte("empty")); err != nil || v == nil || len(v) != 0 {
		t.Fatalf("empty record: %v, %v", v, err)
	}
	b = s.NewBatch()
	b.DeleteMetaPrefix([]byte("b"))
	if err := b.Commit(3); err != nil {
		t.Fatal(err)
	}
	if got := keys(); got != "" {
		t.Fatal(got)
	}
	if v, err := s.Meta([]byte("c")); err != nil || string(v) != "vc" {
		t.Fatalf("neighbour: %q, %v", v, err)
	}
}

func TestGetLimit(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	var children []tree.Child
	for i := range 1000 {
		children = append(children, tree.Child{Key: fmt.Sprintf("key%04d", i), Node: tree.NewString("some text of 25 bytes....")})
	}
	set(t, s, "list", tree.NewObject(children))
	whole, err := s.Get("ns", "list")
	if err != nil {
		t.Fatal(err)
	}
	size := len(tree.AppendExport(nil, whole))
	if n, err := s.GetLimit("ns", "list", size); err != nil || !tree.Equal(n, whole) {
		t.Fatalf("a limit of the size itself: %v", err)
	}
	if _, err := s.GetLimit("ns", "list", size*3/4); !errors.Is(err, ErrTooBig) {
		t.Fatalf("three quarters of the size: %v", err)
	}
	if n, err := s.GetLimit("ns", "nothing", 0); err != nil || n != nil {
		t.Fatalf("nothing: %v, %v", n, err)
	}
}

func TestCheckpoint(t *testing.T) {
	fs := vfs.NewMem()
	s := openMem(t, fs)
	defer s.Close()
	set(t, s, "a", parse(t, `{"b":1}`))
	if err := s.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	set(t, s, "a", nil)
	c, err := Open("copy", Options{FS: fs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := get(t, c, ""); got != `{"a":{"b":1}}` || c.Applied() != 1 || c.Durable() != 1 {
		t.Fatalf("%s at %d, durable %d", got, c.Applied(), c.Durable())
	}
}

func TestRefusals(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	b := s.NewBatch()
	if err := b.Set("ns", "a", tree.NewTimestamp()); !errors.Is(err, ErrUnresolved) {
		t.Fatalf("server value: %v", err)
	}
	if err := b.Set("ns", "a", tree.NewInt(1)); err == nil {
		t.Fatal("a batch with an error took another change")
	}
	if err := b.Commit(1); err == nil || s.Applied() != 0 {
		t.Fatalf("a batch with an error was committed (%v)", err)
	}
	if err := b.Commit(1); !errors.Is(err, ErrClosed) {
		t.Fatalf("commit of a used batch: %v", err)
	}
	b = s.NewBatch()
	if err := b.Set("", "a", tree.NewInt(1)); err == nil {
		t.Fatal("an empty namespace was accepted")
	}
	b.Discard()
	b = s.NewBatch()
	if err := b.Set("ns", "a", tree.NewInt(1)); err != nil {
		t.Fatal(err)
	}
	r, err := rules.Parse([]byte(ruleTexts[1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetIndexes("ns", r); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(1); err == nil {
		t.Fatal("a batch that does not maintain a new index was committed")
	}
	n := s.Snapshot()
	n.Close()
	if _, err := n.Get("ns", ""); !errors.Is(err, ErrClosed) {
		t.Fatalf("closed snapshot: %v", err)
	}
}

// A write that follows a discarded one must not use what that one learned.
func TestDiscardForgets(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	set(t, s, "", parse(t, `{"a":{"b":{"c":1}}}`))
	b := s.NewBatch()
	if err := b.Set("ns", "a/b", tree.NewInt(5)); err != nil {
		t.Fatal(err)
	}
	b.Discard()
	set(t, s, "a/b", tree.NewInt(6))
	if got := get(t, s, ""); got != `{"a":{"b":6}}` {
		t.Fatal(got)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// A list with more children than a chunk has its index built while it is
// written to and read.
func TestBuildInBackground(t *testing.T) {
	s, err := Open("db", Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), tune: tuning{chunkChildren: 16}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 3000
	var children []tree.Child
	for i := range n {
		children = append(children, tree.Child{Key: listKey(i), Node: message(i * 7919 % n)})
	}
	model := tree.NewObject([]tree.Child{{Key: "list", Node: tree.NewObject(children)}})
	set(t, s, "", model)
	r, err := rules.Parse([]byte(`{"rules":{"list":{".indexOn":["time","text"]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetIndexes("ns", r); err != nil {
		t.Fatal(err)
	}
	held := s.Snapshot()
	defer held.Close()
	q := query.Query{Index: query.Index{Kind: query.ByChild, Path: "time"}, Limit: 5, Last: true}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			w := query.NewWindow(q)
			src, _, err := s.Source("ns", "list", &q)
			if err = errors.Join(err, w.Load(src)); err != nil || w.Len() != 5 {
				t.Errorf("%d members (%v)", w.Len(), err)
			}
		}
	})
	for i := 0; ; i++ {
		p := tree.Path("list").Child(listKey(i * 31 % n))
		v := message(i)
		if i%5 == 0 {
			v = nil
		}
		set(t, s, p, v)
		model = model.Set(p, v)
		src, indexed, err := s.Source("ns", "list", &q)
		if err != nil {
			t.Fatal(err)
		}
		w := query.NewWindow(q)
		if err := w.Load(src); err != nil {
			t.Fatal(err)
		}
		want := q.Filter(model.At("list"))
		for _, k := range w.Keys() {
			if want.Child(k) == nil {
				t.Fatalf("after %d writes, indexed %v: %q is not of the last", i, indexed, k)
			}
		}
		if indexed && i > 200 {
			break
		}
	}
	wg.Wait()
	waitReady(t, s)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if _, indexed, err := held.Source("ns", "list", &q); indexed || err != nil {
		t.Fatalf("a snapshot from before the build ended says indexed (%v)", err)
	}
}

// A build goes on where it was after the store was closed.
func TestBuildSurvivesReopen(t *testing.T) {
	fs := vfs.NewMem()
	open := func(manual bool) *Store {
		s, err := Open("db", Options{FS: fs, Logger: slog.New(slog.DiscardHandler), tune: tuning{chunkChildren: 10, manualBuild: manual}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(true)
	var children []tree.Child
	for i := range 100 {
		children = append(children, tree.Child{Key: listKey(i), Node: message(i)})
	}
	set(t, s, "list", tree.NewObject(children))
	r, err := rules.Parse([]byte(`{"rules":{"list":{".indexOn":"time"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetIndexes("ns", r); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if ready, err := s.buildChunk("ns", 1); ready || err != nil {
			t.Fatal(ready, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(true)
	def := s.definitions().of("ns").byID(1)
	if def == nil || def.ready || !strings.Contains(string(def.cursor), listKey(29)) {
		t.Fatalf("after reopening: %+v", def)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(false)
	defer s.Close()
	waitReady(t, s)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// A disk that no longer takes writes must stop the store, not the process.
func TestFailedWritesSurface(t *testing.T) {
	broken := errors.New("disk is broken")
	for _, c := range []struct {
		name string
		op   errorfs.OpKind
	}{{"create", errorfs.OpCreate}, {"write", errorfs.OpFileWrite}, {"sync", errorfs.OpFileSync}} {
		t.Run(c.name, func(t *testing.T) {
			on := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == c.op {
					return broken
				}
				return nil
			})}
			s := openMem(t, errorfs.Wrap(vfs.NewMem(), &on))
			set(t, s, "a", tree.NewInt(1))
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			set(t, s, "a", tree.NewInt(2))
			on.On()
			if err := s.Flush(); !errors.Is(err, broken) {
				t.Fatalf("flush: %v", err)
			}
			if err := s.Err(); !errors.Is(err, broken) {
				t.Fatalf("Err: %v", err)
			}
			b := s.NewBatch()
			if err := b.Set("ns", "b", tree.NewInt(3)); err != nil {
				t.Fatal(err)
			}
			if err := b.Commit(3); !errors.Is(err, broken) {
				t.Fatalf("commit: %v", err)
			}
			if s.Applied() != 2 || s.Durable() != 1 {
				t.Fatalf("applied %d, durable %d", s.Applied(), s.Durable())
			}
			if got := get(t, s, ""); got != `{"a":2}` {
				t.Fatalf("still readable: %s", got)
			}
			if err := s.Close(); !errors.Is(err, broken) {
				t.Fatalf("close: %v", err)
			}
		})
	}
}

// Directed cases of what random histories seldom meet.
func TestIndexFollowsWrites(t *testing.T) {
	type step struct {
		path  tree.Path
		value string
	}
	for name, steps := range map[string][]step{
		"field created":                {{"list/k/x", `1`}, {"list/k/b/c", `2`}, {"list/k/a", `3`}},
		"field removed":                {{"list/k", `{"a":1,"b":{"c":2},"x":3}`}, {"list/k/a", `null`}, {"list/k/b", `null`}},
		"field below the index's":      {{"list/k", `{"a":1}`}, {"list/k/a/deep", `2`}, {"list/k/a/deep", `null`}},
		"child vanishes upward":        {{"list/k/b/c", `{".value":1,".priority":2}`}, {"list/k/b/c", `null`}},
		"child becomes leaf and back":  {{"list/k/a", `1`}, {"list/k", `5`}, {"list/k/b/c", `6`}, {"list/k", `"s"`}},
		"list is replaced by a leaf":   {{"list", `{"k":{"a":1},"l":2}`}, {"list", `1`}, {"list/k/a", `2`}},
		"leaf known, parent replaced":  {{"list/k/x", `1`}, {"list/k", `2`}, {"list/k/x", `1`}, {"list/k/x", `7`}},
		"big child with entries below": {{"list", `{"k":{"a":{".value":1,".priority":1},"b":{"c":1},"d":1,"e":1,"f":1,"g":1}}`}, {"list/k", `{"a":2}`}, {"list", `null`}},
		"big root":                     {{"", `{"list":{"k":{"a":1},"l":{"a":2,".priority":3},"m":1,"n":2,"o":5}}`}, {"", `{"list":{"k":1}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open("db", Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler), tune: tuning{smallSubtree: 4}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			declareAndWait(t, s, ruleTexts[1])
			var model *tree.Node
			for _, st := range steps {
				v := parse(t, st.value)
				set(t, s, st.path, v)
				model = model.Set(st.path, v)
				if got, want := get(t, s, ""), string(tree.AppendExport(nil, model)); got != want {
					t.Fatalf("after %q: %s, want %s", st.path, got, want)
				}
				if err := s.Check(); err != nil {
					t.Fatalf("after %q: %v", st.path, err)
				}
			}
		})
	}
}

// Strings that an index entry cannot hold whole are still in their own order,
// page by page.
func TestLongStringsInOrder(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	declareAndWait(t, s, ruleTexts[1])
	set(t, s, "list", tree.NewObject([]tree.Child{
		{Key: "a", Node: tree.NewString(longText + "3")},
		{Key: "b", Node: tree.NewString(longText + "1")},
		{Key: "c", Node: tree.NewString(longText + "2")},
		{Key: "d", Node: tree.NewString(longText[:maxIndexedString])},
		{Key: "e", Node: tree.NewString("m")},
		{Key: "f", Node: tree.NewString("z")},
	}))
	q := query.Query{Index: query.Index{Kind: query.ByValue}}
	src, indexed, err := s.Source("ns", "list", &q)
	if err != nil || !indexed {
		t.Fatalf("indexed %v (%v)", indexed, err)
	}
	for _, c := range []struct {
		reverse bool
		want    string
	}{{false, "dbcaef"}, {true, "feacbd"}} {
		var got string
		var from *query.Entry
		for {
			es, err := src.Scan(from, c.reverse, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(es) == 0 {
				break
			}
			got += es[0].Key
			from = &es[0]
		}
		if got != c.want {
			t.Errorf("reverse %v: %s, want %s", c.reverse, got, c.want)
		}
	}
}

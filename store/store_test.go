package store

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/tree"
)

func openMem(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	if fs == nil {
		fs = vfs.NewMem()
	}
	s, err := Open("db", Options{FS: fs, CacheBytes: 8 << 20, MemTableBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, text string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func set(t testing.TB, s *Store, p tree.Path, v *tree.Node) {
	t.Helper()
	b := s.NewBatch()
	if err := b.Set("ns", p, v); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(s.Applied() + 1); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, r Reader, p tree.Path) string {
	t.Helper()
	n, err := r.Get("ns", p)
	if err != nil {
		t.Fatal(err)
	}
	return string(tree.AppendExport(nil, n))
}

func TestSetAndGet(t *testing.T) {
	steps := []struct {
		path  tree.Path
		value string
		want  string // of the whole database
	}{
		{"", `{"a":{"b":1,".priority":3},"10":true,"9":"x"}`, `{"9":"x","10":true,"a":{".priority":3,"b":1}}`},
		{"a/b", `null`, `{"9":"x","10":true}`},
		{"9/c", `5`, `{"9":{"c":5},"10":true}`},
		{"p", `{".value":1,".priority":"q"}`, `{"9":{"c":5},"10":true,"p":{".priority":"q",".value":1}}`},
		{"p/x/y", `2`, `{"9":{"c":5},"10":true,"p":{".priority":"q","x":{"y":2}}}`},
		{"p/z", `null`, `{"9":{"c":5},"10":true,"p":{".priority":"q","x":{"y":2}}}`},
		{"p/x/y", `null`, `{"9":{"c":5},"10":true}`},
		{"10/z", `null`, `{"9":{"c":5},"10":true}`},
		{"9", `{"d":1}`, `{"9":{"d":1},"10":true}`},
		{"", `7`, `7`},
		{"a/b", `8`, `{"a":{"b":8}}`},
		{"", `null`, `null`},
	}
	s := openMem(t, nil)
	defer s.Close()
	for i, step := range steps {
		set(t, s, step.path, parse(t, step.value))
		want := string(tree.AppendExport(nil, parse(t, step.want)))
		if got := get(t, s, ""); got != want {
			t.Fatalf("step %d: set %q %s: got %s, want %s", i, step.path, step.value, got, want)
		}
	}
}

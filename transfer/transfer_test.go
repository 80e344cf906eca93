package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"

	"rebase/tree"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct{ raw, want, err string }{
		{"http://127.0.0.1:9000", "http://127.0.0.1:9000/", ""},
		{"http://127.0.0.1:9000/", "http://127.0.0.1:9000/", ""},
		{"https://db.example.com/a/b?ns=x", "https://db.example.com/a/b?ns=x", ""},
		{"http://h/a/b.json?ns=x", "http://h/a/b?ns=x", ""},
		{"http://h/.json", "http://h/", ""},
		{"http://h//a//b/", "http://h/a/b", ""},
		{"http://h/a%20%C3%A9", "http://h/a%20%C3%A9", ""},
		{"http://h/a?auth=1", "", "has no meaning"},
		{"http://h/a.b", "", "path"},
		{"127.0.0.1:9000/a", "", "expected http://"},
		{"localhost:9000/a", "", "not the URL of a server"},
		{"file:///tmp/x", "", "not the URL of a server"},
	} {
		got, err := ParseURL(c.raw)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.raw, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want one with %q", c.raw, err, c.err)
		case c.err == "" && got.String() != c.want:
			t.Errorf("%s: %s, want %s", c.raw, got, c.want)
		case c.err == "":
			if again, err := ParseURL(got.String()); err != nil || again != got {
				t.Errorf("%s does not survive: %v, %v", got, again, err)
			}
		}
	}
}

// genTree draws trees with everything that an export can hold.
func genTree(t *rapid.T, depth int) *tree.Node {
	key := rapid.SampledFrom([]string{"a", "b", "c", "0", "1", "2", "10", "é", "long key", "ab"})
	priority := func(n *tree.Node) *tree.Node {
		switch rapid.IntRange(0, 9).Draw(t, "priority") {
		case 0:
			return n.WithPriority(tree.NewInt(7))
		case 1:
			return n.WithPriority(tree.NewString("p"))
		}
		return n
	}
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return priority(tree.NewInt(int64(rapid.IntRange(-5, 5).Draw(t, "int"))))
		case 1:
			return priority(tree.NewBool(true))
		case 2:
			return priority(tree.NewFloat(1.5))
		}
		return priority(tree.NewString(rapid.StringN(0, 5, 20).Draw(t, "string")))
	}
	var children []tree.Child
	for range rapid.IntRange(0, 5).Draw(t, "children") {
		children = append(children, tree.Child{Key: key.Draw(t, "key"), Node: genTree(t, depth-1)})
	}
	if n := tree.NewObject(children); n != nil {
		return priority(n)
	}
	return nil
}

// Whatever is imported is there afterwards: replaced or merged, and cut into
// batches however small.
func TestImportIsFaithful(t *testing.T) {
	f := newFake(t)
	rapid.Check(t, func(rt *rapid.T) {
		before, doc := genTree(rt, 3), genTree(rt, 4)
		f.mu.Lock()
		f.root = (*tree.Node)(nil).Set("at", before).Set("beside", tree.NewInt(1))
		f.mu.Unlock()
		o := ImportOptions{
			Replace:    rapid.Bool().Draw(rt, "replace"),
			BatchBytes: rapid.SampledFrom([]int{1, 20, 60, 1000}).Draw(rt, "batch"),
			InFlight:   rapid.IntRange(1, 4).Draw(rt, "in flight"),
		}
		p, err := (&Client{}).Import(context.Background(), bytes.NewReader(tree.AppendExport(nil, doc)), false, f.target(t, "/at"), o)
		if err != nil {
			rt.Fatal(err)
		}
		want := doc
		if !o.Replace {
			want = merged(before, doc)
		}
		if got := f.tree().At("at"); !tree.Equal(got, want) {
			rt.Fatalf("imported %s\n    over %s\n     got %s\n    want %s", tree.AppendExport(nil, doc),
				tree.AppendExport(nil, before), tree.AppendExport(nil, got), tree.AppendExport(nil, want))
		}
		if p.Leaves != int64(doc.CountLeaves()) {
			rt.Fatalf("%d leaves reported, %d imported", p.Leaves, doc.CountLeaves())
		}
		if !tree.Equal(f.tree().At("beside"), tree.NewInt(1)) {
			rt.Fatal("what lies beside the target has changed")
		}
	})
}

// merged is what leaf-by-leaf merging means: every leaf of doc is set, and then
// the priorities of its objects.
func merged(n, doc *tree.Node) *tree.Node {
	var priorities []func()
	var walk func(p tree.Path, d *tree.Node)
	walk = func(p tree.Path, d *tree.Node) {
		if !d.IsObject() {
			if d != nil {
				n = n.Set(p, d)
			}
			return
		}
		if pr := d.Priority(); pr != nil {
			priorities = append(priorities, func() { n = n.SetPriority(p, pr) })
		}
		for _, c := range d.Children() {
			walk(p.Child(c.Key), c.Node)
		}
	}
	walk("", doc)
	for _, f := range priorities {
		f()
	}
	return n
}

// Documents of other origin have their priorities anywhere, and arrays.
func TestImportOfForeignText(t *testing.T) {
	for _, text := range []string{
		`{"a":{"x":1,".priority":3,"y":{"z":2}},"b":[10,null,30],".priority":"root"}`,
		`{"a":{"x":{"u":1,"v":2},"y":1,".priority":3},"c":{"d":{".value":5,".priority":1}}}`,
		`[1,[2,3],{"k":4}]`, `5`, `"text"`, `{".value":true,".priority":9}`, `null`, `{}`, `{"empty":{".priority":1}}`,
	} {
		for _, replace := range []bool{false, true} {
			for _, size := range []int{1, 1 << 20} {
				f := newFake(t)
				_, err := (&Client{}).Import(context.Background(), strings.NewReader(text), false, f.target(t, "/at"),
					ImportOptions{Replace: replace, BatchBytes: size})
				if err != nil {
					t.Errorf("%s: %v", text, err)
					continue
				}
				want, err := tree.ParseJSON([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				if got := f.tree().At("at"); !tree.Equal(got, want) {
					t.Errorf("%s (replace %t, batches of %d): got %s", text, replace, size, tree.AppendExport(nil, got))
				}
			}
		}
	}
}

func TestImportOfBadText(t *testing.T) {
	f := newFake(t)
	for _, text := range []string{``, `{`, `{"a":1}x`, `{"a":1,"b":{"c":tru}}`, `{"a$b":1}`} {
		if _, err := (&Client{}).Import(context.Background(), strings.NewReader(text), false, f.target(t, "/"), ImportOptions{BatchBytes: 1}); err == nil {
			t.Errorf("%q was imported without an error", text)
		}
	}
	if _, err := (&Client{}).Import(context.Background(), strings.NewReader(`{}`), true, f.target(t, "/"), ImportOptions{}); err == nil {
		t.Error("a text that is not gzip was imported as gzip")
	}
}

// A whole subtree travels as one member of the update where that is safe.
func TestReplaceWritesSubtrees(t *testing.T) {
	f := newFake(t)
	text := `{"users":{"a":{"n":1,"m":2},"b":{"n":1,"m":2}},"z":1}`
	if _, err := (&Client{}).Import(context.Background(), strings.NewReader(text), false, f.target(t, "/"), ImportOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{`{"users":{"a":{"n":1,"m":2},"b":{"n":1,"m":2}},"z":1}`}
	if !slices.Equal(f.bodies, want) {
		t.Errorf("updates %q, want %q", f.bodies, want)
	}
}

func writeFile(t *testing.T, name string, n *tree.Node) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	body := tree.AppendExport(nil, n)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(body)
		w.Close()
		body = b.Bytes()
	}
	if err := os.WriteFile(path, body, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func numbered(n int) *tree.Node {
	var children []tree.Child
	for i := range n {
		children = append(children, tree.Child{Key: fmt.Sprintf("k%05d", i), Node: tree.NewObject([]tree.Child{
			{Key: "n", Node: tree.NewInt(int64(i))}, {Key: "s", Node: tree.NewString("text")}})})
	}
	return tree.NewObject(children)
}

// An import that fails half-way continues where it was, as often as need be.
func TestImportContinues(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace=%t", replace), func(t *testing.T) {
			f := newFake(t)
			doc := numbered(400)
			name := writeFile(t, "doc.json.gz", doc)
			f.root = (*tree.Node)(nil).Set("at/old", tree.NewInt(1))
			to := f.target(t, "/at")
			o := ImportOptions{Replace: replace, BatchBytes: 200, InFlight: 3}
			deletions, fromStart, rounds, skipped := 0, 0, 0, int64(0)
			rng := rand.New(rand.NewPCG(1, 2))
			for {
				stopAt := f.written() + 3 + rng.IntN(20)
				f.fail(func(r *http.Request, n int) int {
					if r.Method == http.MethodDelete {
						deletions++
					}
					if n >= stopAt {
						return http.StatusForbidden
					}
					return 0
				})
				p, err := (&Client{}).ImportFile(context.Background(), name, to, o)
				if p.Skipped < skipped {
					t.Fatalf("round %d begins at leaf %d, the one before began at %d", rounds, p.Skipped, skipped)
				}
				skipped = p.Skipped
				if skipped == 0 {
					fromStart++
				}
				rounds++
				if err == nil {
					break
				}
				var status *StatusError
				if !errors.As(err, &status) || status.Status != http.StatusForbidden {
					t.Fatal(err)
				}
				if rounds > 400 {
					t.Fatal("no end")
				}
			}
			want := doc
			if !replace {
				want = doc.Set("old", tree.NewInt(1))
			}
			if got := f.tree().At("at"); !tree.Equal(got, want) {
				t.Error("the tree is not the document's")
			}
			if rounds < 3 || skipped == 0 {
				t.Errorf("%d rounds, the last from leaf %d: nothing was continued", rounds, skipped)
			}
			// The batches go out several at a time, so even several rounds may fail before the first batch is through, and begin anew.
			if want := map[bool]int{false: 0, true: fromStart}[replace]; deletions != want {
				t.Errorf("%d deletions, want %d", deletions, want)
			}
			if _, err := os.Stat(name + StateSuffix); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the record is still there: %v", err)
			}
		})
	}
}

func TestImportDoesNotContinueAnother(t *testing.T) {
	f := newFake(t)
	name := writeFile(t, "doc.json", numbered(100))
	fail := func(r *http.Request, n int) int {
		if n > 3 {
			return http.StatusForbidden
		}
		return 0
	}
	interrupt := func() {
		t.Helper()
		f.restart(fail)
		if _, err := (&Client{}).ImportFile(context.Background(), name, f.target(t, "/at"), ImportOptions{BatchBytes: 200, InFlight: 1, Restart: true}); err == nil {
			t.Fatal("no interruption")
		}
		f.fail(nil)
	}
	var refused *ResumeError
	interrupt()
	if _, err := (&Client{}).ImportFile(context.Background(), name, f.target(t, "/elsewhere"), ImportOptions{}); !errors.As(err, &refused) {
		t.Errorf("another target: %v", err)
	}
	if _, err := (&Client{}).ImportFile(context.Background(), name, f.target(t, "/at"), ImportOptions{Replace: true}); !errors.As(err, &refused) {
		t.Errorf("another mode: %v", err)
	}
	if err := os.WriteFile(name, []byte(`{"other":1}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Client{}).ImportFile(context.Background(), name, f.target(t, "/at"), ImportOptions{}); !errors.As(err, &refused) {
		t.Errorf("another file: %v", err)
	}
	if _, err := (&Client{}).ImportFile(context.Background(), name, f.target(t, "/at"), ImportOptions{Restart: true}); err != nil {
		t.Errorf("restart: %v", err)
	}
	interruptAgain := name + StateSuffix
	if err := os.WriteFile(interruptAgain, []byte("not JSON"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Client{}).ImportFile(context.Background(), name, f.target(t, "/at"), ImportOptions{}); !errors.As(err, &refused) {
		t.Errorf("an unreadable record: %v", err)
	}
}

// A server that is away for a while, or overloaded, is waited for.
func TestRequestsAreRepeated(t *testing.T) {
	f := newFake(t)
	f.fail(func(r *http.Request, n int) int {
		if n%3 != 0 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	doc := numbered(10)
	_, err := (&Client{Token: "secret"}).Import(context.Background(), bytes.NewReader(tree.AppendExport(nil, doc)), false, f.target(t, "/"),
		ImportOptions{BatchBytes: 300, InFlight: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !tree.Equal(f.tree(), doc) {
		t.Error("the tree is not the document's")
	}
	for _, a := range f.auth {
		if a != "Bearer secret" {
			t.Fatalf("a request with the credential %q", a)
		}
	}
	f.fail(func(*http.Request, int) int { return http.StatusServiceUnavailable })
	if _, err := (&Client{RetryFor: -1}).Export(context.Background(), f.target(t, "/"), &bytes.Buffer{}, false, nil); err == nil {
		t.Error("no error from a server that is away for good")
	}
}

func TestExport(t *testing.T) {
	f := newFake(t)
	f.root = numbered(1000).Set("k00003/n", tree.NewInt(3).WithPriority(tree.NewInt(9)))
	dir := t.TempDir()
	for _, name := range []string{"out.json", "out.json.gz"} {
		name = filepath.Join(dir, name)
		p, err := (&Client{}).ExportFile(context.Background(), f.target(t, "/"), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Leaves != 2000 || p.Bytes != int64(len(body)) {
			t.Errorf("%s: %+v reported, %d bytes in the file", name, p, len(body))
		}
		if compressed(name) {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if _, err := b.ReadFrom(r); err != nil {
				t.Fatal(err)
			}
			body = b.Bytes()
		}
		if want := tree.AppendExport(nil, f.root); !bytes.Equal(body, want) {
			t.Errorf("%s is not what the server sent", name)
		}
	}
}

// An export that fails leaves nothing behind, and what was there before as it was.
func TestExportIsAtomic(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out.json")
	if err := os.WriteFile(name, []byte("before"), 0o666); err != nil {
		t.Fatal(err)
	}
	for what, answer := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"Permission denied"}`, http.StatusUnauthorized)
		},
		"half a document": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"a":1,"b":{"c":`))
		},
		"a broken connection": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"a":1}`))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"two documents": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"a":1}{"b":2}`)) },
	} {
		f := newFake(t)
		f.Config.Handler = answer
		if _, err := (&Client{RetryFor: -1}).ExportFile(context.Background(), f.target(t, "/"), name, nil); err == nil {
			t.Errorf("%s: no error", what)
		}
		body, err := os.ReadFile(name)
		if err != nil || string(body) != "before" {
			t.Errorf("%s: the file is %q, %v", what, body, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("%s: files are left: %v", what, entries)
		}
	}
}

func TestCancelledImportEnds(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("the user has had enough")
	f.fail(func(_ *http.Request, n int) int {
		if n == 5 {
			cancel(why)
		}
		return 0
	})
	_, err := (&Client{}).Import(ctx, bytes.NewReader(tree.AppendExport(nil, numbered(5000))), false, f.target(t, "/"), ImportOptions{BatchBytes: 100})
	if !errors.Is(err, why) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestProgressIsReported(t *testing.T) {
	var last Progress
	stop := every(func(p Progress) { last = p }, func() Progress { return Progress{Leaves: 3} })
	stop()
	stop() // harmless
	if last.Leaves != 3 {
		t.Errorf("the last report is %+v", last)
	}
	every(nil, nil)()
}

package goadmin

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/db"
)

// client connects to a fresh database. The SDK takes the emulator's address in
// the shape localhost:PORT?ns=NAME and refuses a bare IP address there.
func client(t *testing.T) *db.Client {
	t.Helper()
	port := os.Getenv("REBASE_PORT")
	if port == "" {
		t.Fatal("REBASE_PORT is not set: run test/sdk/run-go-admin.sh")
	}
	var b [6]byte
	rand.Read(b[:])
	ns := "go-" + hex.EncodeToString(b[:])
	t.Setenv("FIREBASE_DATABASE_EMULATOR_HOST", fmt.Sprintf("localhost:%s?ns=%s", port, ns))
	app, err := firebase.NewApp(t.Context(), &firebase.Config{ProjectID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := app.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

type obj = map[string]any

func TestSetGetDelete(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("a/b")
	want := obj{"text": "ü😀", "n": 1.5, "yes": true, "deep": obj{"er": "x"}, "list": []any{"p", "q"}}
	must(t, ref.Set(ctx, want))
	var got any
	must(t, ref.Get(ctx, &got))
	equal(t, "value", got, any(want))

	must(t, c.NewRef("a/b/deep/er").Get(ctx, &got))
	equal(t, "leaf", got, "x")

	must(t, ref.Child("list").Delete(ctx))
	got = nil
	must(t, c.NewRef("a/b/list").Get(ctx, &got))
	equal(t, "deleted", got, nil)

	must(t, c.NewRef("").Delete(ctx))
	must(t, c.NewRef("").Get(ctx, &got))
	equal(t, "root", got, nil)
}

func TestIntegersKeepTheirDigits(t *testing.T) {
	c, ctx := client(t), t.Context()
	for _, want := range []int64{1<<63 - 1, -1 << 63, 1<<53 + 1} {
		must(t, c.NewRef("n").Set(ctx, want))
		var got int64
		must(t, c.NewRef("n").Get(ctx, &got))
		equal(t, "integer", got, want)
	}
}

func TestUpdate(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("u")
	must(t, ref.Set(ctx, obj{"a": 1, "b": obj{"c": 2, "d": 3}}))
	must(t, ref.Update(ctx, obj{"a": nil, "b/c": 20, "n/e/w": true}))
	var got any
	must(t, ref.Get(ctx, &got))
	equal(t, "updated", got, any(obj{"b": obj{"c": 20.0, "d": 3.0}, "n": obj{"e": obj{"w": true}}}))
	if err := ref.Update(ctx, obj{"b": 1, "b/c": 2}); err == nil {
		t.Fatal("an update with a path and its ancestor was accepted")
	}
}

func TestPush(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("list")
	var keys []string
	for i := range 20 {
		r, err := ref.Push(ctx, i)
		must(t, err)
		keys = append(keys, r.Key)
		if len(r.Key) != 20 {
			t.Fatalf("key %q", r.Key)
		}
		if i > 0 && keys[i-1] >= r.Key {
			t.Fatalf("keys out of order: %q, %q", keys[i-1], r.Key)
		}
	}
	var got map[string]int
	must(t, ref.Get(ctx, &got))
	for i, k := range keys {
		equal(t, k, got[k], i)
	}
	r, err := ref.Push(ctx, nil)
	must(t, err)
	must(t, r.Set(ctx, "later"))
}

func TestServerValues(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("s")
	must(t, ref.Set(ctx, obj{"n": 5}))
	must(t, ref.Update(ctx, obj{"n": obj{".sv": obj{"increment": 3}}, "at": obj{".sv": "timestamp"}}))
	var got struct{ N, At int64 }
	must(t, ref.Get(ctx, &got))
	equal(t, "increment", got.N, int64(8))
	if d := time.Since(time.UnixMilli(got.At)); d < -time.Minute || d > time.Minute {
		t.Fatalf("timestamp off by %v", d)
	}
}

func TestETags(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("e")
	var got any
	etag, err := ref.GetWithETag(ctx, &got)
	must(t, err)
	equal(t, "etag of nothing", etag, "null_etag")

	must(t, ref.Set(ctx, "one"))
	etag, err = ref.GetWithETag(ctx, &got)
	must(t, err)
	equal(t, "value", got, "one")

	changed, same, err := ref.GetIfChanged(ctx, etag, &got)
	must(t, err)
	equal(t, "changed", changed, false)
	equal(t, "etag", same, etag)

	must(t, ref.Set(ctx, "two"))
	changed, next, err := ref.GetIfChanged(ctx, etag, &got)
	must(t, err)
	equal(t, "changed", changed, true)
	equal(t, "value", got, "two")
	if next == etag || next == "" {
		t.Fatalf("etag %q after %q", next, etag)
	}

	ok, err := ref.SetIfUnchanged(ctx, etag, "three")
	must(t, err)
	equal(t, "set with an old etag", ok, false)
	ok, err = ref.SetIfUnchanged(ctx, next, "three")
	must(t, err)
	equal(t, "set with the present etag", ok, true)
	must(t, ref.Get(ctx, &got))
	equal(t, "value", got, "three")
}

func TestTransactionContention(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("n")
	const clients, times = 8, 10
	add := func(n db.TransactionNode) (any, error) {
		var v int
		if err := n.Unmarshal(&v); err != nil {
			return nil, err
		}
		return v + 1, nil
	}
	var wg sync.WaitGroup
	errs := make(chan error, clients*times)
	for range clients {
		wg.Go(func() {
			for range times {
				// The SDK gives up after 25 tries; trying again is the caller's part.
				for {
					err := ref.Transaction(ctx, add)
					if err == nil {
						break
					}
					if !strings.Contains(err.Error(), "aborted after") {
						errs <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	var got int
	must(t, ref.Get(ctx, &got))
	equal(t, "sum", got, clients*times)
}

func TestTransactionAbort(t *testing.T) {
	c, ctx := client(t), t.Context()
	ref := c.NewRef("x")
	must(t, ref.Set(ctx, "keep"))
	err := ref.Transaction(ctx, func(db.TransactionNode) (any, error) { return nil, fmt.Errorf("no") })
	if err == nil || err.Error() != "no" {
		t.Fatalf("err = %v", err)
	}
	var got any
	must(t, ref.Get(ctx, &got))
	equal(t, "value", got, "keep")
}

// indexes uploads rules that declare indexes for /q. The SDK has no call for
// rules and refuses the path, so this is a plain request.
func indexes(t *testing.T, on ...string) {
	t.Helper()
	host := os.Getenv("FIREBASE_DATABASE_EMULATOR_HOST") // localhost:PORT?ns=NAME
	addr, query, _ := strings.Cut(host, "?")
	body, err := json.Marshal(obj{"rules": obj{".read": true, ".write": true, "q": obj{".indexOn": on}}})
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+addr+"/.settings/rules.json?"+query, bytes.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer owner")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	resp.Body.Close()
	equal(t, "rules", resp.StatusCode, http.StatusOK)
}

func TestQueries(t *testing.T) {
	c, ctx := client(t), t.Context()
	indexes(t, "n", "d/x", ".value")
	ref := c.NewRef("q")
	must(t, ref.Set(ctx, obj{
		"a": obj{"n": 3, "d": obj{"x": "p"}}, "b": obj{"n": 1, "d": obj{"x": "q"}}, "c": obj{"n": 2}, "e": obj{"n": "text"}, "12": obj{"n": true}, "9": obj{},
		"z": 5,
	}))
	cases := []struct {
		name string
		q    *db.Query
		keys []string
	}{
		{"by key", ref.OrderByKey(), []string{"12", "a", "b", "c", "e", "z"}},
		{"by key, range", ref.OrderByKey().StartAt("b").EndAt("e"), []string{"b", "c", "e"}},
		{"by key, first", ref.OrderByKey().LimitToFirst(2), []string{"12", "a"}},
		{"by key, last", ref.OrderByKey().LimitToLast(2), []string{"e", "z"}},
		{"by key, equal", ref.OrderByKey().EqualTo("c"), []string{"c"}},
		{"by child", ref.OrderByChild("n"), []string{"z", "12", "b", "c", "a", "e"}},
		{"by child, from 2", ref.OrderByChild("n").StartAt(2), []string{"c", "a", "e"}},
		{"by child, to 2", ref.OrderByChild("n").EndAt(2), []string{"z", "12", "b", "c"}},
		{"by child, numbers", ref.OrderByChild("n").StartAt(1).EndAt(3).LimitToLast(2), []string{"c", "a"}},
		{"by child, equal", ref.OrderByChild("n").EqualTo("text"), []string{"e"}},
		{"by deep child", ref.OrderByChild("d/x").StartAt("p"), []string{"a", "b"}},
		{"by value", ref.OrderByValue().LimitToFirst(1), []string{"z"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var nodes []db.QueryNode
			var err error
			// An index may still be in the making right after its rules arrived.
			for deadline := time.Now().Add(20 * time.Second); ; {
				if nodes, err = tc.q.GetOrdered(ctx); err == nil || !strings.Contains(err.Error(), "indexOn") || time.Now().After(deadline) {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			must(t, err)
			var keys []string
			for _, n := range nodes {
				keys = append(keys, n.Key())
			}
			// Between a leaf and an object of equal rank the SDK orders by key itself.
			equal(t, "keys", keys, tc.keys)
		})
	}
}

func TestShallow(t *testing.T) {
	c, ctx := client(t), t.Context()
	must(t, c.NewRef("s").Set(ctx, obj{"a": obj{"deep": 1}, "b": 2}))
	var got any
	must(t, c.NewRef("s").GetShallow(ctx, &got))
	equal(t, "shallow", got, any(obj{"a": true, "b": true}))
}

func TestErrorsCarryTheirReason(t *testing.T) {
	c, ctx := client(t), t.Context()
	err := c.NewRef("x").Set(ctx, obj{"bad.key": 1})
	if err == nil || !strings.Contains(err.Error(), "400") {
		t.Fatalf("err = %v", err)
	}
	if !strings.Contains(err.Error(), "Invalid data") {
		t.Fatalf("no reason in %v", err)
	}
}

func TestLargeValue(t *testing.T) {
	c, ctx := client(t), t.Context()
	want := strings.Repeat("aü€😀", 500_000) // 5 MB
	must(t, c.NewRef("x").Set(ctx, want))
	var got string
	must(t, c.NewRef("x").Get(ctx, &got))
	if got != want {
		t.Fatalf("%d bytes came back of %d", len(got), len(want))
	}
}

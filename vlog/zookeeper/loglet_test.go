package zookeeper

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

// nodes lists all nodes below a path.
func nodes(t *testing.T, l *Loglet, path string) []string {
	t.Helper()
	children, err := l.children(bg, path)
	if errors.Is(err, codeNoNode) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range children {
		out = append(out, path+"/"+c)
		out = append(out, nodes(t, l, path+"/"+c)...)
	}
	return out
}

// testLarge: what is too large for one transaction is written in parts, which nobody sees before the last, and which go when they are trimmed.
func testLarge(t *testing.T, w *world) {
	l := w.create(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), maxAppendBytes/16)
	if _, err := l.Append(bg, big, []byte("more")); !errors.Is(err, vlog.ErrTooLarge) {
		t.Fatalf("append of more than the limit: %v", err)
	}
	var many [][]byte
	for i := range 50_000 {
		many = append(many, fmt.Appendf(nil, "entry %020d", i))
	}
	for i, payloads := range [][][]byte{{[]byte("small")}, {big}, many, {[]byte("small")}} {
		want := []vlog.Position{1, 2, 3, 50_003}[i]
		if p, err := l.Append(bg, payloads...); err != nil || p != want {
			t.Fatalf("append %d at %d, %v; want %d", i, p, err, want)
		}
	}
	again := w.open(t, l)
	es, err := again.Read(bg, 2, 3, 10)
	if err != nil || len(es) != 1 || !bytes.Equal(es[0].Payload, big) {
		t.Fatalf("the large entry: %d entries, %v", len(es), err)
	}
	got := logtest.All(t, again, 3)
	if len(got) != 50_001 || got[0] != string(many[0]) || got[49_999] != string(many[49_999]) || got[50_000] != "small" {
		t.Fatalf("%d entries behind the large one", len(got))
	}
	if es, err := again.Read(bg, 31_234, 31_236, 1000); err != nil || len(es) != 2 || !bytes.Equal(es[1].Payload, many[31_235-3]) {
		t.Fatalf("in the midst of the large batch: %v, %v", es, err)
	}
	parts := len(nodes(t, l, l.node(partsNode)))
	if _, err := l.Trim(bg, 40_000); err != nil {
		t.Fatal(err)
	}
	left := nodes(t, l, l.node(partsNode))
	if len(left) >= parts-50 || len(left) < 2 {
		t.Fatalf("after trimming the first of two large batches %d of %d nodes of parts are left", len(left), parts)
	}
	if got := logtest.All(t, w.open(t, l), 40_000); len(got) != 10_004 {
		t.Fatalf("%d entries behind the trim point", len(got))
	}
	if _, err := l.Trim(bg, 50_004); err != nil {
		t.Fatal(err)
	}
	if left := nodes(t, l, l.node(partsNode)); len(left) != 0 {
		t.Fatalf("after trimming everything there are %q", left)
	}
	if err := l.Remove(bg); err != nil {
		t.Fatal(err)
	}
	if left := nodes(t, again, again.path); left != nil {
		t.Fatalf("after the removal there are %q", left)
	}
	if _, err := again.Append(bg, []byte("x")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append to a loglet that was removed: %v", err)
	}
	if tail, err := again.Tail(bg); err != nil || !tail.Sealed {
		t.Fatalf("tail of a loglet that was removed: %+v, %v", tail, err)
	}
	if _, err := Open(bg, w.opts, vlog.LogletSpec{ID: 1, Config: l.Config()}); !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("open of a loglet that was removed: %v", err)
	}
}

// testChunks: random access over several chunks and batches, by a handle that has seen none of it, before and after trimming.
func testChunks(t *testing.T, w *world) {
	l := w.create(t)
	rng := rand.New(rand.NewPCG(1, 1))
	next := 1
	for next < 5<<chunkBits {
		var batch [][]byte
		for range 1 + rng.IntN(700) {
			batch = append(batch, fmt.Append(nil, next))
			next++
		}
		if next > 2<<chunkBits && next < 3<<chunkBits { // one that leaves a chunk out
			for range 2 << chunkBits {
				batch = append(batch, fmt.Append(nil, next))
				next++
			}
		}
		if p, err := l.Append(bg, batch...); err != nil || int(p) != next-len(batch) {
			t.Fatalf("append at %d, %v", p, err)
		}
	}
	trimmed := 1
	for _, before := range []int{1, 3000, 2<<chunkBits + 100, 4<<chunkBits + 77, next} {
		if p, err := l.Trim(bg, vlog.Position(before)); err != nil || int(p) != before {
			t.Fatalf("trim(%d) = %d, %v", before, p, err)
		}
		trimmed = before
		fresh := w.open(t, l)
		for range 50 {
			from := 1 + rng.IntN(next)
			es, err := fresh.Read(bg, vlog.Position(from), vlog.Position(from+rng.IntN(3000)+1), 1<<20)
			switch {
			case from < trimmed:
				if !errors.Is(err, vlog.ErrTrimmed) {
					t.Fatalf("read at %d below %d: %v", from, trimmed, err)
				}
			case from == next:
				if err != nil || len(es) != 0 {
					t.Fatalf("read at the tail: %v, %v", es, err)
				}
			default:
				if err != nil || len(es) == 0 {
					t.Fatalf("read at %d of %d: %v", from, next, err)
				}
				for i, e := range es {
					if int(e.Pos) != from+i || string(e.Payload) != fmt.Sprint(from+i) {
						t.Fatalf("at %d stands %d: %s", from+i, e.Pos, e.Payload)
					}
				}
			}
		}
	}
	if left := nodes(t, l, l.node(entriesNode)); len(left) != 2 {
		t.Fatalf("after trimming everything there are %q; want the last batch", left)
	}
}

// testPipelined: a batch that was sent behind another fails with it, even if another writer has brought the tail to the version it counts on.
func testPipelined(t *testing.T, w *world) {
	l := w.create(t)
	other := w.open(t, l)
	// As commit would, which has nothing to do.
	if err := l.readEnd(); err != nil {
		t.Fatal(err)
	}
	var sent []*attempt
	for i := range 3 {
		body := [][]byte{fmt.Append(nil, i)}
		sent = append(sent, l.attempt(batch{number: uint64(100 + i), count: 1, data: encodeInline(body)}))
	}
	for i := range 2 {
		if _, err := other.Append(bg, []byte("a"), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range sent {
		l.send(a)
		if err := a.outcome(); err == nil {
			t.Fatalf("batch %d of the writer that was too late has succeeded at %d", i, a.name.first)
		}
	}
	if got := logtest.All(t, other, 1); fmt.Sprint(got) != "[a 0 a 1]" {
		t.Fatalf("the log is %q", got)
	}
}

// testFull: a loglet seals itself before the versions of its nodes overflow.
func testFull(t *testing.T, w *world) {
	w.opts.MaxBatches = 10
	l := w.create(t)
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = l.Append(bg, []byte("x"))
	}
	if !errors.Is(err, vlog.ErrSealed) || n != 11 {
		t.Fatalf("append %d: %v", n, err)
	}
	if tail, err := w.open(t, l).Tail(bg); err != nil || tail != (vlog.Tail{Next: 11, Sealed: true}) {
		t.Fatalf("tail %+v, %v", tail, err)
	}
}

// testPassword: what is made with a password cannot be seen or changed without it.
func testPassword(t *testing.T, w *world) {
	w.opts.User, w.opts.Password = "rebase", "secret"
	l := w.create(t)
	if _, err := l.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if got := logtest.All(t, w.open(t, l), 1); fmt.Sprint(got) != "[a]" {
		t.Fatalf("the log is %q", got)
	}
	wrong := w.opts
	wrong.Password = "guess"
	for _, o := range []Options{{Servers: w.opts.Servers}, wrong} {
		if _, err := Open(bg, o, vlog.LogletSpec{ID: 1, Config: l.Config()}); !errors.Is(err, codeNoAuth) {
			t.Fatalf("open without the password: %v", err)
		}
	}
	if strings.Contains(string(l.Config()), "secret") {
		t.Fatal("the configuration holds the password")
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {Servers: []string{"a:1", "b:2"}, Prefix: "/x/y", Name: "1.0-ff"}, {Prefix: "/z"}} {
		got, err := DecodeConfig(c.Encode())
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
	}
	good := Config{Servers: []string{"a:1"}, Prefix: "/x", Name: "n"}.Encode()
	for i := range good {
		if _, err := DecodeConfig(good[:i]); i > 0 && err == nil {
			t.Errorf("the first %d bytes of a configuration pass for one", i)
		}
	}
	for _, c := range []Config{{Prefix: "x"}, {Prefix: "/x/"}, {Prefix: "/x//y"}, {Name: "a/b"}} {
		if _, err := DecodeConfig(c.Encode()); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
}

// testTwoCreations: racing reconfigurers make two loglets that have nothing to do with each other.
func testTwoCreations(t *testing.T, w *world) {
	a, b := w.create(t), (*Loglet)(nil)
	// As when a log that was left sealed rolls forward: the wish is the configuration of the loglet before.
	b, err := Open(bg, Options{}, vlog.LogletSpec{ID: 1, Create: true, Config: a.Config()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := a.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if tail, err := b.Tail(bg); err != nil || tail != (vlog.Tail{Next: 1}) {
		t.Fatalf("tail %+v, %v", tail, err)
	}
}

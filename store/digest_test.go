package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/rules"
	"rebase/tree"
)

func digestStore(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("data", Options{FS: fs, CacheBytes: 8 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func digestOf(t testing.TB, s *Store) [32]byte {
	t.Helper()
	snap := s.Snapshot()
	defer snap.Close()
	sum, err := snap.Digest(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// Stores with the same content have the same digest, whatever they have gone through; any difference in content shows.
func TestDigest(t *testing.T) {
	a, b := digestStore(t, vfs.NewMem()), digestStore(t, vfs.NewMem())
	change := func(s *Store, pos uint64, f func(b *Batch) error) {
		t.Helper()
		batch := s.NewBatch()
		if err := f(batch); err != nil {
			t.Fatal(err)
		}
		if err := batch.Commit(pos); err != nil {
			t.Fatal(err)
		}
	}
	node := func(json string) *tree.Node {
		n, err := tree.ParseJSON([]byte(json))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if digestOf(t, a) != digestOf(t, b) {
		t.Fatal("empty stores differ")
	}
	change(a, 1, func(b *Batch) error { return b.Set("ns", "", node(`{"x":{".priority":1,"y":1,"z":"two"},"l":3}`)) })
	change(a, 2, func(b *Batch) error { return b.SetMeta([]byte("k"), []byte("v")) })

	change(b, 1, func(b *Batch) error { return b.Set("ns", "x/y", node(`1.0`)) })
	change(b, 2, func(b *Batch) error { return b.Set("ns", "x/w/v", node(`true`)) })
	change(b, 3, func(b *Batch) error { return b.Set("ns", "x/z", node(`"two"`)) })
	change(b, 4, func(b *Batch) error { return b.SetPriority("ns", "x", node(`1`)) })
	change(b, 5, func(b *Batch) error { return b.Set("ns", "l", node(`3`)) })
	change(b, 6, func(b *Batch) error { return b.Set("ns", "x/w", nil) })
	change(b, 7, func(b *Batch) error { return b.SetMeta([]byte("k"), []byte("v")) })
	indexed, err := rules.Parse([]byte(`{"rules":{".indexOn":"y"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetIndexes("ns", indexed); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	same := digestOf(t, a)
	if same != digestOf(t, b) {
		t.Error("stores with the same content differ")
	}
	pos := uint64(7)
	for name, f := range map[string]func(b *Batch) error{
		"a leaf":            func(b *Batch) error { return b.Set("ns", "l", node(`4`)) },
		"a priority":        func(b *Batch) error { return b.SetPriority("ns", "x", node(`2`)) },
		"a leaf's priority": func(b *Batch) error { return b.SetPriority("ns", "l", node(`2`)) },
		"a key":             func(b *Batch) error { return b.Set("ns", "m", node(`3`)) },
		"a namespace":       func(b *Batch) error { return b.Set("nt", "l", node(`3`)) },
		"a record":          func(b *Batch) error { return b.SetMeta([]byte("k"), []byte("w")) },
		"an empty record":   func(b *Batch) error { return b.SetMeta([]byte("kv"), []byte{}) },
	} {
		c := digestStore(t, vfs.NewMem())
		change(c, 1, func(b *Batch) error { return b.Set("ns", "", node(`{"x":{".priority":1,"y":1,"z":"two"},"l":3}`)) })
		change(c, 2, func(b *Batch) error { return b.SetMeta([]byte("k"), []byte("v")) })
		if digestOf(t, c) != same {
			t.Fatal("the third differs before the change")
		}
		pos++
		change(c, pos, f)
		if digestOf(t, c) == same {
			t.Errorf("%s can change without being noticed", name)
		}
	}
}

// A digest is that of its snapshot, can be slow, and can be given up.
func TestDigestInTheBackground(t *testing.T) {
	s := digestStore(t, vfs.NewMem())
	fillForDigest(t, s, 2<<20)
	want := digestOf(t, s)
	snap := s.Snapshot()
	defer snap.Close()
	b := s.NewBatch()
	if err := b.Set("ns", "other", tree.NewInt(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(1 << 30); err != nil {
		t.Fatal(err)
	}
	if sum, err := snap.Digest(context.Background(), 0.5); err != nil || sum != want {
		t.Errorf("the digest is that of a later state (%v)", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := snap.Digest(ctx, 0.5); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func fillForDigest(t testing.TB, s *Store, bytes int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < bytes; {
		b := s.NewBatch()
		for range 1000 {
			p := tree.Path(fmt.Sprintf("users/u%08d/score", random.IntN(1<<26)))
			if err := b.Set("ns", p, tree.NewString(fmt.Sprintf("%050d", random.Int()))); err != nil {
				t.Fatal(err)
			}
			n += 90
		}
		if err := b.Commit(uint64(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkDigest is the digest of 16 MiB of small leaves, as keys and values in the store, on all of one processor.
func BenchmarkDigest(b *testing.B) {
	s := digestStore(b, vfs.NewMem())
	fillForDigest(b, s, 16<<20)
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(16 << 20)
	for b.Loop() {
		digestOf(b, s)
	}
}

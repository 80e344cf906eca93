package tree

import (
	"bytes"
	"crypto/rand"
	"slices"
	"sync"
	"testing"
)

func TestPushIDs(t *testing.T) {
	zeros, ones := make([]byte, 12), bytes.Repeat([]byte{0xFF}, 12)
	ids := NewPushIDs(bytes.NewReader(slices.Concat(zeros[:11], []byte{63}, ones, zeros)))
	for _, c := range []struct {
		now  int64
		want string
	}{
		{64, "------0-" + "-----------z"},
		{64, "------0-" + "----------0-"}, // one more, with a carry
		{0, "--------" + "zzzzzzzzzzzz"},
		{1<<48 - 1, "zzzzzzzz" + "------------"},
		{1<<48 - 1, "zzzzzzzz" + "-----------0"},
	} {
		if got := ids.Next(c.now); got != c.want || CheckKey(got) != nil {
			t.Errorf("at %d: got %s, want %s", c.now, got, c.want)
		}
	}
}

func TestPushIDsAscend(t *testing.T) {
	ids := NewPushIDs(rand.Reader)
	prev := ""
	for i := range int64(10_000) {
		id := ids.Next(1_700_000_000_000 + i/100)
		if CompareKeys(prev, id) >= 0 {
			t.Fatalf("%s after %s", id, prev)
		}
		prev = id
	}
}

func TestPushIDsAreUniqueAmongGoroutines(t *testing.T) {
	ids := NewPushIDs(rand.Reader)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range int64(1000) {
				id := ids.Next(i / 10)
				mu.Lock()
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

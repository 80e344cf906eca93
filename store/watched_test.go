package store

import (
	"errors"
	"testing"

	"rebase/tree"
)

// Who watches a read hears of its size as it grows, and can end it.
func TestGetWatched(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	want, err := tree.ParseJSON([]byte(`{"a":{"b":"0123456789","c":2},"d":true}`))
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	if err := errors.Join(b.Set("ns", "", want), b.Commit(1)); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	got, err := s.GetWatched("ns", "", func(size int) error { sizes = append(sizes, size); return nil })
	if err != nil || !tree.Equal(got, want) {
		t.Fatalf("got %s, %v", tree.AppendExport(nil, got), err)
	}
	if len(sizes) != 3 || sizes[0] <= 0 || sizes[1] <= sizes[0] || sizes[2] <= sizes[1] || sizes[2] > 2*want.SizeBytes() {
		t.Errorf("heard of sizes %v; the export has %d bytes", sizes, want.SizeBytes())
	}
	enough := errors.New("enough")
	calls := 0
	if got, err := s.GetWatched("ns", "", func(int) error { calls++; return enough }); got != nil || err != enough || calls != 1 {
		t.Errorf("got %v, %v after %d calls", got, err, calls)
	}
}

package db

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"rebase/tree"
)

// What is loaded is what was kept, to the numbers of the records: a replica that has restarted must go on as one that has not.
func TestJournalLoadsAsItWas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := openStore(t, vfs.NewMem())
		defer s.Close()
		id := newSessionID()
		var j journal
		path := rapid.Custom(func(rt *rapid.T) tree.Path {
			return tree.Path(rapid.SampledFrom([]string{"a", "a/b", "a/c", "d", "d/e/f", "g"}).Draw(rt, "path"))
		})
		for pos := range rapid.IntRange(1, 40).Draw(rt, "operations") {
			b := s.NewBatch()
			p := path.Draw(rt, "path")
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				j.cancel(b, id, p, rapid.Bool().Draw(rt, "priority"))
			case 1:
				j.cancel(b, id, "", false)
			case 2:
				// Large enough to make it compact now and then.
				v := tree.NewString(strings.Repeat("x", rapid.IntRange(0, 100<<10).Draw(rt, "size")))
				if err := j.set(b, id, []Update{{Path: p, Value: v}}); err != nil {
					rt.Fatal(err)
				}
			default:
				v := parse(t, rapid.SampledFrom([]string{"null", "1", `{"b":2}`, `{".sv":{"increment":1}}`}).Draw(rt, "value"))
				if err := j.set(b, id, []Update{{Path: p, Value: v}, {Path: "z", Value: v}}); err != nil {
					rt.Fatal(err)
				}
			}
			if err := b.Commit(uint64(pos + 1)); err != nil {
				rt.Fatal(err)
			}
			again, err := loadJournal(s, id)
			if err != nil {
				rt.Fatal(err)
			}
			if got, want := describe(again), describe(j); got != want {
				rt.Fatalf("loaded\n%s\nkept\n%s", got, want)
			}
		}
	})
}

func describe(j journal) string {
	s := fmt.Sprintf("records %d…%d, %d+%d bytes", j.first, j.next, j.base, j.since)
	for _, u := range j.queue {
		v := tree.AppendBinary(nil, u.Value)
		s += fmt.Sprintf("\n%s %v %d:%x", u.Path, u.Priority, len(v), v[:min(len(v), 20)])
	}
	return s
}

// A small operation on a heavy queue must not cost what the queue weighs: with 14 MiB queued, three hundred of them
// once held up everybody for half a minute.
func TestSmallOperationOnAHeavyQueue(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	defer s.Close()
	id := newSessionID()
	var j journal
	written := 0
	do := func(p string, v *tree.Node) {
		b := s.NewBatch()
		before := j.first
		if err := j.set(b, id, []Update{{Path: tree.Path(p), Value: v}}); err != nil {
			t.Fatal(err)
		}
		if j.first != before {
			written += j.base
		}
		b.Discard()
	}
	big := tree.NewString(strings.Repeat("x", 1<<20))
	for i := range 14 {
		do(fmt.Sprintf("big%d", i), big)
	}
	if written > 32<<20 {
		t.Errorf("14 MiB were written as %d MiB", written>>20)
	}
	written = 0
	for i := range 300 {
		do(fmt.Sprintf("small%d", i), tree.NewInt(1))
		do("big0/refined", tree.NewInt(int64(i)))
	}
	if written > 15<<20 {
		t.Errorf("600 small operations rewrote %d MiB", written>>20)
	}
}

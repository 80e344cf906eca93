package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/tree"
)

// The power fails at any moment, while memtables are being flushed and files
// compacted in the background. What is there afterwards is the state at some
// position, and none below what was reported durable.
func TestCrashDuringFlushes(t *testing.T) {
	fs := vfs.NewCrashableMem()
	open := func(fs vfs.FS) *Store {
		s, err := Open("db", Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(fs)
	defer s.Close()
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 0))
	history := []*tree.Node{nil}
	positions := map[uint64]bool{}
	for i := 1; i <= 1500; i++ {
		model := history[i-1]
		b := s.NewBatch()
		for range 1 + rng.IntN(3) {
			p := tree.Path(fmt.Sprintf("room%d/%d", rng.IntN(5), rng.IntN(100)))
			var v *tree.Node
			switch rng.IntN(8) {
			case 0:
				p = p.Parent()
			case 1:
			default:
				v = tree.NewObject([]tree.Child{
					{Key: "text", Node: tree.NewString(strings.Repeat("x", rng.IntN(1000)))},
					{Key: "n", Node: tree.NewInt(rng.Int64N(100)).WithPriority(tree.NewInt(int64(i)))},
				})
			}
			if err := b.Set("ns", p, v); err != nil {
				t.Fatal(err)
			}
			model = model.Set(p, v)
		}
		if err := b.Commit(uint64(i)); err != nil {
			t.Fatal(err)
		}
		history = append(history, model)
		if i%60 != 0 {
			continue
		}
		durable := s.Durable()
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
		c := open(clone)
		pos := c.Applied()
		if pos < durable || pos > uint64(i) {
			t.Fatalf("crash at %d with %d durable: at %d", i, durable, pos)
		}
		positions[pos] = true
		got, err := c.Get("ns", "")
		if err != nil || !tree.Equal(got, history[pos]) {
			t.Fatalf("crash at %d: the state is not that at %d (%v)", i, pos, err)
		}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(positions) < 3 {
		t.Fatalf("only the positions %v were met: nothing was flushed meanwhile", positions)
	}
}

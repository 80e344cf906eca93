package vlog_test

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// simSeeds is how many seeds TestSimulation runs; REBASE_SEEDS sets another number.
func simSeeds(t testing.TB) uint64 {
	if s := os.Getenv("REBASE_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("REBASE_SEEDS: %v", err)
		}
		return n
	}
	if raced {
		return 200
	}
	return 3000
}

// oneThread makes goroutines take turns in an order that repeats: on one thread, and not interrupted by the garbage collector.
func oneThread(t *testing.T) {
	n, gc := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(n)
		debug.SetGCPercent(gc)
	})
}

var sinceGC int

// simulate runs a seed.
func simulate(t *testing.T, seed uint64, s simSettings) (w *sim, err error) {
	if sinceGC++; sinceGC%16 == 0 {
		runtime.GC()
	}
	synctest.Test(t, func(*testing.T) {
		w = newSim(seed, s)
		err = w.run()
	})
	return w, err
}

// explain runs a seed again, for its last steps.
func explain(t *testing.T, seed uint64, s simSettings) string {
	s.trace = true
	w, err := simulate(t, seed, s)
	lines := w.lines
	if len(lines) > 200 && os.Getenv("REBASE_TRACE") == "" {
		lines = lines[len(lines)-200:]
	}
	text := "the second time it did not fail"
	if err != nil {
		text = err.Error()
	}
	return text + "\n" + strings.Join(lines, "\n")
}

// keptSeeds are those that have found something.
func keptSeeds(t testing.TB) (out []uint64) {
	f, err := os.Open("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		text, _, _ := strings.Cut(s.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func TestSimulation(t *testing.T) {
	oneThread(t)
	n := simSeeds(t)
	var first uint64
	if s := os.Getenv("REBASE_FIRST_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	var acks, reads, tails, chains, won, overtaken, trims, archived int
	run := func(seed uint64) {
		w, err := simulate(t, seed, simSettings{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, explain(t, seed, simSettings{}))
		}
		s := w.check.stats
		acks, reads, tails, chains, won, overtaken, trims = acks+s.acks, reads+s.reads, tails+s.tails, chains+s.chains, won+s.won, overtaken+s.overtaken, trims+s.trims
		archived += s.archived
	}
	for _, seed := range keptSeeds(t) {
		run(seed)
	}
	for seed := range n {
		run(first + seed)
	}
	t.Logf("%d seeds: %d entries acknowledged, %d reads, %d tails, %d trims, %d chains, %d reconfigurations, %d overtaken, %d archived", n, acks, reads, tails, trims, chains, won, overtaken, archived)
	if n >= 200 && (acks == 0 || reads == 0 || tails == 0 || won == 0 || overtaken == 0 || trims == 0 || archived == 0) {
		t.Fatal("not everything has happened")
	}
}

// The same seed does the same, or a failure could not be looked into.
func TestSimulationRepeats(t *testing.T) {
	if raced {
		t.Skip("goroutines take turns at random")
	}
	oneThread(t)
	for seed := range uint64(100) {
		x, _ := simulate(t, seed, simSettings{trace: true})
		y, _ := simulate(t, seed, simSettings{trace: true})
		if x.sum.Sum64() != y.sum.Sum64() {
			i := 0
			for i < min(len(x.lines), len(y.lines))-1 && x.lines[i] == y.lines[i] {
				i++
			}
			t.Fatalf("seed %d does different things:\n%s\n\n%s", seed, strings.Join(x.lines[max(0, i-5):i+1], "\n"), strings.Join(y.lines[max(0, i-5):i+1], "\n"))
		}
	}
}

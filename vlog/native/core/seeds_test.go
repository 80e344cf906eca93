package core

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// seeds is how many seeds TestSimulation runs; REBASE_SEEDS sets another number.
func seeds(t testing.TB) uint64 {
	if s := os.Getenv("REBASE_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("REBASE_SEEDS: %v", err)
		}
		return n
	}
	return 1000
}

// fails runs a seed and reports what is wrong, with the steps that led there.
func fails(seed uint64, s settings) (string, bool) {
	err := newWorld(seed, s).run()
	if err == nil {
		return "", false
	}
	s.trace = true
	w := newWorld(seed, s)
	w.run()
	log := w.log
	if len(log) > 150 {
		log = log[len(log)-150:]
	}
	return err.Error() + "\n" + strings.Join(log, "\n"), true
}

func TestDuels(t *testing.T) {
	ends := 0
	for seed := range 3 * seeds(t) {
		w := newWorld(seed, settings{duel: true})
		if err := w.run(); err != nil {
			text, _ := fails(seed, settings{duel: true})
			t.Fatalf("seed %d: %s", seed, text)
		}
		ends += w.check.stats.installs
	}
	if t.Logf("%d ends", ends); ends == 0 {
		t.Fatal("nothing has happened")
	}
}

func TestSimulation(t *testing.T) {
	var acks, tails, reads, installs int
	for seed := range seeds(t) {
		w := newWorld(seed, settings{})
		if err := w.run(); err != nil {
			text, _ := fails(seed, settings{})
			t.Fatalf("seed %d: %s", seed, text)
		}
		acks += w.check.stats.acks
		tails += w.check.stats.tails
		reads += w.check.stats.reads
		installs += w.check.stats.installs
	}
	t.Logf("%d seeds: %d entries acknowledged, %d tails, %d reads, %d ends", seeds(t), acks, tails, reads, installs)
	if acks == 0 || reads == 0 {
		t.Fatal("nothing has happened")
	}
}

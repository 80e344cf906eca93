package vlog_test

import (
	"slices"
	"strings"
	"testing"

	"rebase/vlog"
)

// The traps that the virtual log avoids, put back: the simulation must fall into each. Those of the native loglet are in package core, with its own
// simulation.
func TestSimulationFindsTraps(t *testing.T) {
	oneThread(t)
	for _, trap := range []struct {
		name    string
		mistake vlog.Mistakes
		want    []string // part of what the checker must say
		hint    uint64   // a seed to begin at, where it takes many
	}{
		{"a sealed tail is passed on", vlog.MistakeSealedTail, []string{"had been seen", "nothing is read", "nothing at", "position"}, 0},
		{"the tail is asked for before the seal", vlog.MistakeTailFirst, []string{"is ended at", "but the chain has ended it"}, 0},
		{"a chain is installed without condition", vlog.MistakeNoCondition, []string{"the chain has", "was ended at"}, 0},
		{"reading beyond a segment's end", vlog.MistakeReadBeyond, []string{"position", "gives"}, 0},
		{"T8 no answer is taken for a success", vlog.MistakeUnknownIsWin, []string{"no chain says so", "position", "does not end", "gone back"}, 0},
		{"T8 no answer is taken for a failure", vlog.MistakeUnknownIsLoss, []string{"which the chain names", "which was discarded"}, 0},
		{"T9 nobody goes on for the dead", vlog.MistakeNoRoll, []string{"does not end"}, 0},
		{"a reader stays at a sealed tail", vlog.MistakeParked, []string{"does not end"}, 0},
	} {
		t.Run(trap.name, func(t *testing.T) {
			const limit = 5000
			for i := range uint64(limit) {
				seed := trap.hint + i
				_, err := simulate(t, seed, simSettings{mistakes: trap.mistake})
				if err == nil {
					continue
				}
				if slices.ContainsFunc(trap.want, func(s string) bool { return strings.Contains(err.Error(), s) }) {
					t.Logf("seed %d: %v", seed, err)
					return
				}
				t.Logf("seed %d, but: %v", seed, err)
			}
			t.Fatalf("none of %d seeds finds it", limit)
		})
	}
}

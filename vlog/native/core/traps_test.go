package core

import (
	"slices"
	"strings"
	"testing"
)

// The traps that the protocol avoids, put back: the simulation must fall into it. A trap that no seed finds would mean that the simulation cannot see
// such faults at all. T1 with five servers, T5 and T10 have scripts of their own.
func TestSimulationFindsTraps(t *testing.T) {
	for _, trap := range []struct {
		name    string
		mistake mistakes
		servers int      // negative: in a duel
		want    []string // part of what the checker must say
		hint    uint64   // a seed to begin at, where it takes many
	}{
		{"T1 seals ignored while waiting", mistakeIgnoreBit, -3, []string{"was said to be"}, 27260},
		{"T2 sealed servers acknowledge what they hold", mistakeDuplicateOK, -3, []string{"log was ended", "was acknowledged"}, 9340},
		{"T3 a sequencer that has started again", mistakeAnySequencer, 3, []string{"position"}, 0},
		{"T4 an empty disk takes part", mistakeAnyDisk, 3, []string{"had been seen"}, 0},
		{"T6 tails and seals that are not on the disk", mistakeUnsyncedTail, 3, []string{"had been seen", "after the seal", "was acknowledged", "acknowledged at"}, 0},
		{"acknowledged before it is on the disk", mistakeUnsyncedAck, 3, []string{"had been seen"}, 0},
		{"T7 a seal that does not meet every majority", mistakeSmallSeal, 3, []string{"had been seen", "was acknowledged", "acknowledged at"}, 0},
		{"T9 a seal that nobody completes", mistakeLeaveSeal, 3, []string{"do not end"}, 0},
		{"no repair", mistakeNoRepair, 3, []string{"had been seen"}, 0},
		{"a tail that is not committed", mistakeNoWait, 3, []string{"had been seen"}, 0},
		{"entries over a gap", mistakeGaps, 3, []string{"do not end", "no tail", "nothing at"}, 0},
		{"repeated requests", mistakeTwice, 3, []string{" and at "}, 0},
	} {
		t.Run(trap.name, func(t *testing.T) {
			const limit = 40000
			for i := range uint64(limit) {
				seed := trap.hint + i
				err := newWorld(seed, settings{servers: max(trap.servers, -trap.servers), duel: trap.servers < 0, mistakes: trap.mistake}).run()
				if err != nil && slices.ContainsFunc(trap.want, func(s string) bool { return strings.Contains(err.Error(), s) }) {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatalf("none of %d seeds finds it", limit)
		})
	}
}

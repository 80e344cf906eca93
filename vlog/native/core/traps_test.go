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
	}{
		{"T1 seals ignored while waiting", mistakeIgnoreBit, -3, []string{"was said to be"}},
		{"T2 sealed servers acknowledge what they hold", mistakeDuplicateOK, -3, []string{"log was ended", "was acknowledged"}},
		{"T3 a sequencer that has started again", mistakeAnySequencer, 3, []string{"position"}},
		{"T4 an empty disk takes part", mistakeAnyDisk, 3, []string{"had been seen"}},
		{"T6 tails and seals that are not on the disk", mistakeUnsyncedTail, 3, []string{"had been seen", "after the seal", "was acknowledged", "acknowledged at"}},
		{"acknowledged before it is on the disk", mistakeUnsyncedAck, 3, []string{"had been seen"}},
		{"T9 a seal that nobody completes", mistakeLeaveSeal, 3, []string{"do not end"}},
		{"no repair", mistakeNoRepair, 3, []string{"had been seen"}},
		{"a tail that is not committed", mistakeNoWait, 3, []string{"had been seen"}},
		{"entries over a gap", mistakeGaps, 3, []string{"do not end", "no tail", "nothing at"}},
		{"repeated requests", mistakeTwice, 3, []string{" and at "}},
		{"a Known taken for a commit", mistakeAckOnKnown, -3, []string{"log was ended", "was acknowledged"}},
	} {
		t.Run(trap.name, func(t *testing.T) {
			const limit = 40000
			for seed := range uint64(limit) {
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

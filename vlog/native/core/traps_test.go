package core

import (
	"testing"
)

// Every trap that the protocol avoids, put back: the simulation must fall into it. A trap that no seed finds would mean that the simulation cannot see
// such faults at all.
func TestSimulationFindsTraps(t *testing.T) {
	for _, trap := range []struct {
		name    string
		mistake mistakes
		servers int
	}{
		{"T1 a repair's Known without its seal", mistakeBareKnown, 3},
		{"T1 with five servers", mistakeBareKnown, 5},
		{"T2 sealed servers acknowledge what they hold", mistakeDuplicateOK, 3},
		{"T3 a sequencer that has started again", mistakeAnySequencer, 3},
		{"T4 an empty disk takes part", mistakeAnyDisk, 3},
		{"T6 tails and seals that are not on the disk", mistakeUnsyncedTail, 3},
		{"acknowledged before it is on the disk", mistakeUnsyncedAck, 3},
		{"T9 a seal that nobody completes", mistakeLeaveSeal, 3},
		{"no repair", mistakeNoRepair, 3},
		{"a tail that is not committed", mistakeNoWait, 3},
		{"entries over a gap", mistakeGaps, 3},
		{"repeated requests", mistakeTwice, 3},
		{"a Known taken for a commit", mistakeAckOnKnown, 3},
		{"trimmed and not known to be committed", mistakeTrimUnknown, 3},
	} {
		t.Run(trap.name, func(t *testing.T) {
			t.Parallel()
			const limit = 50000
			for seed := range uint64(limit) {
				if err := newWorld(seed, settings{servers: trap.servers, mistakes: trap.mistake}).run(); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatalf("none of %d seeds finds it", limit)
		})
	}
}

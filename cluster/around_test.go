package cluster

import (
	"testing"
	"time"
)

func TestHearsMore(t *testing.T) {
	now := time.Now()
	since := now.Add(-time.Second)
	heard := func(of NodeID, ids ...NodeID) report {
		r := report{of: of, heard: map[NodeID]time.Time{9: since.Add(-time.Minute)}} // 9 has been silent for long
		for _, id := range ids {
			r.heard[id] = now
		}
		return r
	}
	own := func(ids ...NodeID) report { return heard(1, ids...) }
	for _, test := range []struct {
		name    string
		own     report
		reports []report
		want    NodeID
	}{
		{"nobody is asked", own(2, 3), nil, 0},
		{"2 and 3 hear as many", own(2, 3), []report{heard(2, 1, 3), heard(3, 1, 2)}, 0},
		{"3 hears 2, too", own(3), []report{heard(3, 1, 2)}, 3},
		{"2 is dead", own(3), []report{heard(3, 1)}, 0},
		{"3 hears fewer", own(2, 3), []report{heard(3, 1)}, 0},
		{"the one of two that hears more", own(4, 5), []report{heard(4, 1, 2, 5), heard(5, 1, 2, 3, 4)}, 5},
		{"the lower of two that hear as many", own(4, 5), []report{heard(5, 1, 3, 4), heard(4, 1, 2, 5)}, 4},
	} {
		if got := hearsMore(test.own, test.reports, since); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestLastVouched(t *testing.T) {
	a := around{vouched: map[NodeID]time.Time{}}
	now := time.Now()
	a.note([]report{{of: 2, heard: map[NodeID]time.Time{3: now}}, {of: 4, heard: map[NodeID]time.Time{3: now.Add(-time.Minute), 5: now.Add(-time.Hour)}}})
	a.note([]report{{of: 2, heard: map[NodeID]time.Time{3: now.Add(-time.Second)}}})
	if got := a.lastVouched(3); !got.Equal(now) {
		t.Errorf("3 was last heard %v before", now.Sub(got))
	}
	if got := a.lastVouched(5); !got.Equal(now.Add(-time.Hour)) {
		t.Errorf("5 was last heard %v before", now.Sub(got))
	}
	if got := a.lastVouched(6); !got.IsZero() {
		t.Errorf("6 was heard at %v", got)
	}
}

func TestStranded(t *testing.T) {
	var c Cluster
	now := time.Now()
	c.noteStranded(plan{why: "the sequencer is silent", urgent: true}, now.Add(-strandedAfter/2))
	if why := c.Stranded(); why != "" {
		t.Errorf("at once: %q", why)
	}
	c.noteStranded(plan{why: "the sequencer is silent", urgent: true}, now)
	c.stranded = now.Add(-2 * strandedAfter)
	if why := c.Stranded(); why != "the sequencer is silent" {
		t.Errorf("after a while: %q", why)
	}
	c.noteStranded(plan{why: "there are log servers to spare"}, now)
	if why := c.Stranded(); why != "" {
		t.Errorf("when it can be appended to: %q", why)
	}
}

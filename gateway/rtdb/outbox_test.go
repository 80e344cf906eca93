package rtdb

import "testing"

// TestNothingFollowsTheClose: browsers report a ping or data behind a close frame as an error of the page.
func TestNothingFollowsTheClose(t *testing.T) {
	var o outbox
	o.epoch = 1
	o.control(frame("before"))
	o.last(frame("close"))
	o.control(frame("ping"))
	o.push(frame("push"), 1, 6)
	o.push(frame("too much"), 1, 6) // which otherwise makes the outbox stale
	got := ""
	for range 3 {
		for _, it := range o.take(nil, 1) {
			got += string(it.f) + " "
		}
		o.answer(frame("answer"), 1)
	}
	if got != "before close " {
		t.Errorf("sent %q", got)
	}
	if o.take(nil, 1000); !o.empty() || o.queuedBytes() != 0 {
		t.Error("something is kept")
	}
}

package core

import (
	"fmt"

	"rebase/vlog"
)

// checker judges what calls return, in the order in which it happens in the simulation, which is real time.
type checker struct {
	err error

	values  map[vlog.Position]string // what stands where, as anybody has seen it, be it on a disk
	acked   map[vlog.Position]string
	top     vlog.Position // highest position acknowledged
	begun   map[string]bool
	late    map[string]bool // begun when a seal had returned
	tail    vlog.Position   // the furthest tail that any call has returned
	open    vlog.Position   // the furthest that was said to be unsealed
	sealed  bool            // a seal has returned, or a tail said so
	trimmed vlog.Position   // the furthest trim asked for
	end     vlog.Position   // installed: where the chain ends the loglet; 0 before
	read    vlog.Position   // behind the last read
	stats   struct{ acks, tails, reads, installs int }
}

func (c *checker) init() {
	c.values, c.acked = map[vlog.Position]string{}, map[vlog.Position]string{}
	c.begun, c.late = map[string]bool{}, map[string]bool{}
	c.tail, c.trimmed = 1, 1
}

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) begins(call *simCall) {
	call.floor, call.sealed, call.acked = max(c.tail, c.top+1), c.sealed, c.top
	for _, v := range call.values {
		c.begun[v] = true
		c.late[v] = c.sealed
	}
	if call.kind == "trim" {
		c.trimmed = max(c.trimmed, call.from)
	}
}

// durable looks at what reaches a disk.
func (c *checker) durable(r Record, h *simHost) {
	if r.Kind == RecordEntry && r.Loglet == 1 {
		c.see(r.Pos, string(r.Payload), fmt.Sprint("disk of ", h.member.Node))
	}
}

// see: a position has one value, whoever looks.
func (c *checker) see(p vlog.Position, v, where string) {
	if old, ok := c.values[p]; ok && old != v {
		c.fail("position %d is %s and, %s, %s", p, old, where, v)
	}
	if !c.begun[v] {
		c.fail("position %d holds %q, which nobody has appended", p, v)
	}
	c.values[p] = v
}

func (c *checker) ended(call *simCall, r Result) {
	switch call.kind {
	case "append":
		if r.Status == Sealed {
			return
		}
		for i, v := range call.values {
			p := r.First + vlog.Position(i)
			c.see(p, v, "acknowledged")
			c.acked[p] = v
			c.top = max(c.top, p)
			c.stats.acks++
			if c.late[v] {
				c.fail("%s was begun after the seal and acknowledged at %d", v, p)
			}
			if c.end > 0 && p >= c.end {
				c.fail("%s acknowledged at %d, but the log was ended at %d", v, p, c.end)
			}
			if p <= call.acked {
				c.fail("%s acknowledged at %d, begun when %d was", v, p, call.acked)
			}
		}
	case "tail", "install-tail", "wait":
		c.stats.tails++
		if call.kind != "wait" || r.Tail.Sealed {
			if r.Tail.Next < call.floor {
				c.fail("tail %+v, but %d had been seen before it was asked for", r.Tail, call.floor)
			}
			c.tail = max(c.tail, r.Tail.Next)
		}
		if call.kind == "wait" && !r.Tail.Sealed && r.Tail.Next < call.from {
			c.fail("the wait for %d ended at %+v", call.from, r.Tail)
		}
		if call.sealed && !r.Tail.Sealed && call.kind != "wait" {
			c.fail("tail %+v after a seal", r.Tail)
		}
		if r.Tail.Sealed {
			c.sealed = true
			break
		}
		if c.open = max(c.open, r.Tail.Next); c.end > 0 && c.open > c.end {
			c.fail("the tail was said to be %d and unsealed; the log was ended at %d", c.open, c.end)
		}
	case "seal", "install-seal":
		c.sealed = true
	case "trim":
		if r.First > c.trimmed || r.First < call.from && r.First < call.to {
			c.fail("trim(%d) = %d; the furthest asked for is %d", call.from, r.First, c.trimmed)
		}
	case "read":
		c.stats.reads++
		if len(r.Entries) == 0 {
			if r.Trimmed > c.trimmed || r.Trimmed <= call.from {
				c.fail("read at %d gave nothing, trimmed %d; the furthest asked for is %d", call.from, r.Trimmed, c.trimmed)
			}
			return
		}
		for i, e := range r.Entries {
			p := call.from + vlog.Position(i)
			if p >= call.to {
				c.fail("read [%d,%d) gave %d", call.from, call.to, p)
			}
			c.see(p, string(e), "read")
		}
		c.read = call.from + vlog.Position(len(r.Entries))
	}
}

// install is the conditional write of the chain: the first wins.
func (c *checker) install(t vlog.Tail) {
	if !t.Sealed {
		c.fail("tail %+v after the seal", t)
	}
	if c.end > 0 {
		return
	}
	c.stats.installs++
	c.end = t.Next
	if c.top >= c.end {
		c.fail("the log is ended at %d; %d was acknowledged", c.end, c.top)
	}
	if c.open > c.end {
		c.fail("the log is ended at %d; the tail was said to be %d and unsealed", c.end, c.open)
	}
}

// finish looks at the whole log after it was read.
func (c *checker) finish() {
	seen := map[string]vlog.Position{}
	for p := vlog.Position(1); p < c.end; p++ {
		v, ok := c.values[p]
		if !ok {
			c.fail("nothing at %d below the end %d", p, c.end)
			return
		}
		if at, twice := seen[v]; twice {
			c.fail("%s is at %d and at %d", v, at, p)
		}
		seen[v] = p
	}
}

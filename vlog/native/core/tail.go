package core

import (
	"math/bits"
	"slices"

	"rebase/vlog"
)

// The tail of a loglet is what a majority of its servers says, and after a seal has cut off whatever was under way they may say different things
// (section 4.2.1):
//
//   - All of a majority sealed, with one tail X: that is the tail. Every entry that was ever acknowledged is on some server of this
//     majority, which had it before it was sealed, for afterwards it takes nothing.
//   - All sealed, with different tails: the longest, once all of them have what it has. Nothing is missing on the way there: the server with the
//     longest log took each entry after the one before, or knew that one to be committed, and then some server of this majority has it.
//     Nothing can be contradictory: one sequencer has given every position once. Another client may do the same with another majority
//     at the same time; both write the same entries.
//   - Some sealed: somebody has begun to seal, and may be dead. The seal is completed first; otherwise the log could stay half sealed for ever.
//   - None sealed: the longest tail, once everything below is known to be committed. It may include what the sequencer has under way. If the
//     sequencer is dead this may never be; then the loglet must be sealed, by whoever watches it, and the call goes on as above.
//
// An Info remains good for the whole call: whatever was acknowledged before the call is covered by any Infos of a majority that were asked for since.

// repairBytes bounds the entries that a repair holds at once.
const repairBytes = 4 << 20

func popcount(x uint64) int { return bits.OnesCount64(x) }

// asked judges the Infos of a call for the tail.
func (c *Client) asked(o *op, m Message, out *Output) {
	if i := slices.IndexFunc(o.infos, func(old Message) bool { return old.From == m.From }); i >= 0 {
		o.infos[i] = m
	} else {
		o.infos = append(o.infos, m)
	}
	var sealed []Message
	var longest vlog.Position
	for _, info := range o.infos {
		if longest = max(longest, info.Tail); info.Bit {
			sealed = append(sealed, info)
		}
	}
	switch {
	case len(sealed) >= c.enough():
		c.sealedTail(o, sealed, out)
	case (len(sealed) > 0 || c.sealed) && c.mistakes&mistakeLeaveSeal == 0:
		// Complete the seal, and take the answers for Infos.
		if o.heard&(1<<63) == 0 {
			c.ref++
			o.ref, o.heard, o.age = c.ref, 1<<63, 0
			o.infos = sealed
			for i := range c.cfg.Servers {
				c.to(o, i, c.message(Seal), out)
			}
		}
	case len(o.infos) >= c.cfg.majority():
		o.phase, o.from = waiting, max(o.from, longest)
		if c.mistakes&mistakeNoWait != 0 {
			c.done(o, out, Result{Tail: vlog.Tail{Next: longest}})
			return
		}
		o.infos = nil
		c.ask(o, out)
	}
}

// waited looks whether a call that waits for commits can go on. The seal is looked at together with the Known: as long as this client has heard of no
// seal, its Known was counted by the sequencer.
func (c *Client) waited(o *op, out *Output) {
	switch {
	case c.sealed && c.mistakes&(mistakeLeaveSeal|mistakeIgnoreBit) == 0:
		c.restart(o)
		c.ask(o, out)
	case c.known >= o.from:
		c.done(o, out, Result{Tail: vlog.Tail{Next: c.known}})
	}
}

// sealedTail answers from a majority that is sealed, or begins a repair.
func (c *Client) sealedTail(o *op, infos []Message, out *Output) {
	low, high := infos[0].Tail, infos[0].Tail
	for _, i := range infos {
		low, high = min(low, i.Tail), max(high, i.Tail)
	}
	if low == high || c.mistakes&mistakeNoRepair != 0 {
		if c.mistakes&mistakeNoRepair == 0 {
			c.known = max(c.known, high)
		}
		c.done(o, out, Result{Tail: vlog.Tail{Next: high, Sealed: true}})
		return
	}
	o.members = nil
	for _, i := range infos {
		o.members = append(o.members, c.cfg.index(i.From))
	}
	o.end = high
	o.cursor = min(high, max(low, c.known)) // what is known to be committed needs no repair
	c.collect(o, out)
}

// collect asks all members for what they hold from the cursor on. What lies there is little as a rule: what was under way when the seal came.
func (c *Client) collect(o *op, out *Output) {
	if o.cursor >= o.end {
		// All is committed, although not every member has it.
		c.known = max(c.known, o.end)
		c.done(o, out, Result{Tail: vlog.Tail{Next: o.end, Sealed: true}})
		return
	}
	o.phase, o.found = collecting, map[vlog.Position][]byte{}
	c.ask(o, out)
}

// collected takes a member's run of entries. When all have answered, or the first missing one is there, they are passed on.
func (c *Client) collected(o *op, m Message, out *Output) {
	for i, e := range m.Entries {
		o.found[m.First+vlog.Position(i)] = e
	}
	switch {
	case c.known > o.cursor:
		o.cursor = min(c.known, o.end)
		c.collect(o, out)
	case hasKey(o.found, o.cursor):
		o.phase = repairing
		c.ask(o, out)
	}
	// Otherwise wait for the other members; if none has it, Tick begins anew, with the tails of another majority perhaps.
}

func hasKey(m map[vlog.Position][]byte, p vlog.Position) bool { _, ok := m[p]; return ok }

// take is the entries found from the cursor on.
func (o *op) take() [][]byte {
	var out [][]byte
	for p := o.cursor; p < o.end && hasKey(o.found, p); p++ {
		out = append(out, o.found[p])
	}
	return out
}

// repaired goes on behind what all members now have.
func (c *Client) repaired(o *op, out *Output) {
	o.cursor += vlog.Position(len(o.take()))
	c.known = max(c.known, o.cursor)
	c.collect(o, out)
}

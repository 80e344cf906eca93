package local

import (
	"context"

	"rebase/vlog"
)

// readChunk is how much of a file a Read fetches at a time, at most.
const readChunk = 256 << 10

// Read implements vlog.Loglet. Recent entries come from memory and alias the buffers they were written from; older ones
// come from the file, checked. Either way an Entry kept for long keeps a buffer of some hundred KiB alive. Damage is
// reported as *vlog.CorruptError; the log goes on.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	if err := l.enter(); err != nil {
		l.mu.Unlock()
		return nil, err
	}
	defer l.calls.Done()
	to = min(to, l.durable().Next)
	if from >= to {
		l.mu.Unlock()
		return nil, nil
	}
	if from < l.trimmed {
		defer l.mu.Unlock()
		return nil, &vlog.TrimmedError{First: l.trimmed}
	}
	c := collector{from: from, to: to, maxBytes: maxBytes}
	var few [16]cachedBlock
	if blocks := l.cache.find(few[:0], from, to, maxBytes); len(blocks) > 0 {
		l.mu.Unlock()
		for i := range blocks {
			if !c.take(blocks[i].first, blocks[i].count, blocks[i].body) {
				break
			}
		}
		return c.out, nil
	}
	i := l.segmentOf(from)
	seg := l.segs[i]
	seg.refs++
	off, end := seg.seek(from), seg.end
	known := int64(0) // where the index ends
	if n := len(seg.index); n > 0 {
		known = seg.index[n-1].off
	}
	l.mu.Unlock()
	var found []indexPoint // behind that: a segment that is not yet verified gets its index from those who read it
	defer func() { l.release(seg, found) }()
	expect := vlog.Position(0)
	chunk := min(max(maxBytes, indexEvery), readChunk)
	r := blockReader{seg: seg, limit: end, chunk: chunk}
	for off < end {
		h, block, ok, err := r.block(off)
		if err != nil {
			return nil, err
		}
		if ok && (h.first > from && expect == 0 || h.first != expect && expect != 0) {
			return nil, &vlog.CorruptError{File: seg.path, Offset: off, Reason: reasonSequence}
		}
		if !ok {
			if len(c.out) > 0 {
				break // what is good first; the damage is reported to whoever reads on
			}
			return nil, &vlog.CorruptError{File: seg.path, Offset: off, Reason: reasonBadBlock}
		}
		if off >= known+indexEvery {
			found = append(found, indexPoint{h.first, off})
			known = off
		}
		expect = h.next()
		if !c.take(h.first, h.count, block[blockHeaderSize:]) {
			break
		}
		off += int64(len(block))
	}
	if len(c.out) == 0 {
		return nil, &vlog.CorruptError{File: seg.path, Offset: off, Reason: reasonSequence}
	}
	return c.out, nil
}

// segmentOf returns the index of the segment that holds pos, which is below the tail and not trimmed. Caller holds mu.
func (l *Loglet) segmentOf(pos vlog.Position) int {
	i := len(l.segs) - 1
	for i > 0 && (!l.segs[i].started() || l.segs[i].first > pos) {
		i--
	}
	return i
}

// release ends the use of a segment's file by a read, which has found the points behind the index as it then was.
func (l *Loglet) release(s *segment, found []indexPoint) {
	l.mu.Lock()
	for _, p := range found {
		s.note(p.pos, p.off) // ignored if the index has grown past it
	}
	s.refs--
	if s.refs == 0 && len(l.garbage) > 0 {
		wake(l.prep)
	}
	l.mu.Unlock()
}

// collector gathers the entries of one Read.
type collector struct {
	from, to vlog.Position
	maxBytes int
	out      []vlog.Entry
}

// take adds the records of a verified block. It reports whether there is room for more.
func (c *collector) take(pos vlog.Position, count uint32, body []byte) (more bool) {
	if pos+vlog.Position(count) <= c.from {
		return true
	}
	if c.out == nil {
		last := min(pos+vlog.Position(count), c.to)
		c.out = make([]vlog.Entry, 0, last-max(c.from, pos))
	}
	for range count {
		payload, rest, _ := takeRecord(body)
		if pos >= c.to {
			return false
		}
		if pos >= c.from {
			if c.maxBytes -= len(payload); c.maxBytes < 0 && len(c.out) > 0 {
				return false
			}
			c.out = append(c.out, vlog.Entry{Pos: pos, Payload: payload})
		}
		body = rest
		pos++
	}
	return pos < c.to
}

package local

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rebase/vlog"
)

// Recovery
//
// At any moment at most one block is written and not yet known to be synced, and it is the last. So after a crash the
// log is everything up to the first bad block, if nothing behind that block proves that it had been synced. Proof is any
// good block of the same segment whose "synced" lies beyond it, or a good first block of a later segment. With proof, the bad
// block is not a torn tail but damage, and cutting there would take back acknowledged entries: Open stops. Without proof it
// was most likely never acknowledged, and it is cut. (The one case that cannot be told apart is damage to the very last
// block after it was synced; a regular Close, and a log that is idle, write an empty block behind it for that reason.)
//
// Only the active segment is read here, and the first block of every other. Those in between were sealed with all of
// their blocks synced, so they cannot be torn: what is wrong there is damage, whenever it is found (verifyLoop, Read).
//
// A block of an earlier use of the file never counts: the salt, drawn anew for every use, is in each block.

const (
	reasonBadBlock = "a block is unreadable that later blocks prove was written completely; restore the log's directory from a backup, and check the disk"
	reasonMissing  = "the segment before this one is missing, and it holds entries that were not trimmed; restore the log's directory from a backup"
	reasonHeader   = "the segment's header is unreadable; restore this file from a backup, and check the disk"
	reasonSequence = "a block is not the one that has to follow here; restore the log's directory from a backup"
)

// scanChunk is how much of a file recovery reads at a time.
const scanChunk = 1 << 20

// recover brings the loglet to the state its directory describes. Called by Open, before anything runs.
func (l *Loglet) recover() error {
	segs, err := l.list()
	if err != nil {
		return err
	}
	if len(segs) == 0 {
		if l.opts.MustExist {
			return fmt.Errorf("%w: there is no log in %s", vlog.ErrMissing, l.dir)
		}
		first, err := l.newSegment(1, 0)
		if err != nil {
			return fmt.Errorf("vlog/local: %w", err)
		}
		l.segs, l.next, l.trimmed, l.proven = []*segment{first}, 1, 1, true
		l.publish(1, false)
		return nil
	}
	return l.replay(segs)
}

// list opens the segment files in the directory, oldest first, and takes or removes the others. What it has opened is
// in l.garbage until replay has found its place, so that an error closes it.
func (l *Loglet) list() ([]*segment, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, fmt.Errorf("vlog/local: list %s: %w", l.dir, err)
	}
	slices.Sort(names)
	var segs []*segment
	for _, name := range names {
		path := l.fs.PathJoin(l.dir, name)
		if id, ok := parseSegmentName(name, segmentSuffix); ok {
			s, err := l.openSegment(path, id)
			if err != nil {
				return nil, err
			}
			segs = append(segs, s)
			continue
		}
		if !strings.HasSuffix(name, spareSuffix) && !strings.HasSuffix(name, newSuffix) {
			continue // not ours, or the lock
		}
		if strings.HasSuffix(name, spareSuffix) && len(l.spares) < maxSpares {
			info, err := l.fs.Stat(path)
			if err == nil && info.Size() == l.opts.SegmentBytes {
				f, err := l.fs.OpenReadWrite(path, walCategory)
				if err != nil {
					return nil, fmt.Errorf("vlog/local: open %s: %w", path, err)
				}
				l.spares = append(l.spares, spare{f, path, info.Size()})
				continue
			}
		}
		if err := l.fs.Remove(path); err != nil {
			return nil, fmt.Errorf("vlog/local: remove %s: %w", path, err)
		}
	}
	return segs, nil
}

func (l *Loglet) openSegment(path string, id uint64) (*segment, error) {
	f, err := l.fs.OpenReadWrite(path, walCategory)
	if err != nil {
		return nil, fmt.Errorf("vlog/local: open %s: %w", path, err)
	}
	s := &segment{path: path, file: f, end: segmentHeaderSize}
	l.garbage = append(l.garbage, s)
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("vlog/local: stat %s: %w", path, err)
	}
	s.size = info.Size()
	r := blockReader{seg: s, limit: s.size, chunk: segmentHeaderSize, reuse: true}
	b, err := r.bytes(0, segmentHeaderSize)
	if err != nil {
		return nil, err
	}
	var ok bool
	if s.segmentHeader, ok = decodeSegmentHeader(b); !ok || s.id != id {
		return nil, &vlog.CorruptError{File: path, Offset: 0, Reason: reasonHeader}
	}
	return s, nil
}

// replay finds the live segments, their end, and the state after the last good block.
func (l *Loglet) replay(segs []*segment) error {
	// The log is the longest run of adjoining ids that ends with the highest one. What is below a gap must be trimmed.
	begin := len(segs) - 1
	for begin > 0 && segs[begin-1].id == segs[begin].id-1 {
		begin--
	}
	run := segs[begin:]

	// The first block of each segment tells its place. The last segment that has one is the active one; behind it there
	// may be one that was only prepared.
	heads := make([]blockHeader, len(run))
	active := -1
	for i, s := range run {
		r := blockReader{seg: s, limit: s.size, chunk: 64 << 10, reuse: true}
		h, _, ok, err := r.block(segmentHeaderSize)
		if err != nil {
			return err
		}
		if ok && h.flags&flagFirst == 0 {
			return &vlog.CorruptError{File: s.path, Offset: segmentHeaderSize, Reason: reasonSequence}
		}
		if heads[i] = h; ok {
			s.first = h.first
			active = i
		}
	}
	for i, s := range run {
		if i > active {
			// Never begun, unless something behind the first block says otherwise.
			if err := l.refuteTail(s, segmentHeaderSize); err != nil {
				return err
			}
		} else if !s.started() {
			return &vlog.CorruptError{File: s.path, Offset: segmentHeaderSize, Reason: reasonBadBlock}
		}
	}
	if active < 0 {
		if run[0].id != 1 {
			return &vlog.CorruptError{File: run[0].path, Offset: 0, Reason: reasonMissing}
		}
		active = 0
		heads[0] = blockHeader{first: 1, trim: 1}
	}

	// The active segment first: its last block has the state, trim point included.
	state := heads[active]
	var last []byte
	if run[active].started() {
		var err error
		if state, last, err = l.walkActive(run[active], heads[active]); err != nil {
			return err
		}
		l.seq = state.seq + 1
	}
	l.trimmed = max(state.trim, 1)
	l.next = state.next()
	l.proven = last == nil || state.flags&flagClosed != 0
	oldest := active
	for oldest > 0 && run[oldest].first > l.trimmed {
		oldest--
	}
	if s := run[oldest]; s.started() && s.first > l.trimmed {
		return &vlog.CorruptError{File: s.path, Offset: 0, Reason: reasonMissing}
	}
	for i := oldest; i < active; i++ {
		if err := l.seal(run[i], heads[i], heads[i+1]); err != nil {
			return err
		}
	}

	// Everything else has no further use.
	l.segs = append([]*segment(nil), run[oldest:active+1]...)
	l.garbage = append(append([]*segment(nil), segs[:begin]...), run[:oldest]...)
	for i, s := range run[active+1:] {
		if i == 0 && s.size >= min(l.opts.SegmentBytes, shortSegmentBytes) {
			l.upcome = s
			continue
		}
		// Removed at once: its id is about to be used again.
		if err := errors.Join(s.file.Close(), l.fs.Remove(s.path)); err != nil {
			return fmt.Errorf("vlog/local: remove %s: %w", s.path, err)
		}
	}
	if err := l.settle(last); err != nil {
		return fmt.Errorf("vlog/local: make the recovered log durable: %w", err)
	}
	l.publish(l.next, state.flags&flagSealed != 0)
	l.opts.Logger.Info("log recovered", "dir", l.dir, "segments", len(l.segs), "first", l.trimmed, "next", l.next,
		"sealed", state.flags&flagSealed != 0)
	return nil
}

// seal gives a segment of an earlier time its end, which the first block of the following one knows. Its blocks are verified here with
// Options.VerifyAll, otherwise later.
func (l *Loglet) seal(s *segment, head, following blockHeader) error {
	if following.synced < segmentHeaderSize || following.synced > uint64(s.size) {
		return &vlog.CorruptError{File: s.path, Offset: s.size, Reason: "the file is shorter than it was; " + reasonBadBlock}
	}
	s.end = int64(following.synced)
	s.sealed = &sealedBy{head, following}
	if !l.opts.VerifyAll {
		l.unverified = append(l.unverified, s)
		return nil
	}
	points, err := l.verify(s)
	s.index = points
	return err
}

// verify reads all blocks of a sealed segment and returns its index.
func (l *Loglet) verify(s *segment) ([]indexPoint, error) {
	w := segmentWalk{limit: s.end, state: s.sealed.first}
	if err := w.run(s, l.stop); err != nil {
		return nil, err
	}
	if w.end < s.end {
		return nil, &vlog.CorruptError{File: s.path, Offset: w.end, Reason: reasonBadBlock}
	}
	if f := s.sealed.following; f.seq != w.state.seq+1 || f.first != w.state.next() {
		return nil, &vlog.CorruptError{File: s.path, Offset: s.end, Reason: reasonSequence}
	}
	return w.points, nil
}

// verifyLoop verifies behind the back of Open what that has left out: starting must not take longer the more of the log
// is kept. What was damaged is reported now, and again to whoever reads it; nothing else depends on it.
func (l *Loglet) verifyLoop() {
	for _, s := range l.unverified {
		l.mu.Lock()
		live := slices.Contains(l.segs, s)
		if live {
			s.refs++
		}
		l.mu.Unlock()
		if !live {
			continue // trimmed meanwhile
		}
		points, err := l.verify(s)
		if err == nil {
			l.mu.Lock()
			s.index = points
			l.mu.Unlock()
		}
		l.release(s, nil)
		if errors.Is(err, vlog.ErrClosed) {
			return
		}
		if err != nil {
			l.opts.Logger.Error("damage found in the log", "dir", l.dir, "err", err)
		}
	}
	l.mu.Lock()
	l.verified = true
	l.mu.Unlock()
}

// walkActive reads the blocks of the active segment, whose end is where the good blocks end, and returns the last header
// and block.
func (l *Loglet) walkActive(s *segment, first blockHeader) (state blockHeader, last []byte, err error) {
	w := segmentWalk{limit: s.size, state: first}
	if err := w.run(s, l.stop); err != nil {
		return w.state, nil, err
	}
	if err := l.refuteTail(s, w.end); err != nil {
		return w.state, nil, err
	}
	s.index, s.end = w.points, w.end
	// Read again, as the window has moved on.
	last, err = (&blockReader{seg: s, limit: s.end}).bytes(w.last, s.end-w.last)
	return w.state, last, err
}

// segmentWalk reads the blocks of one segment in order.
type segmentWalk struct {
	limit  int64 // where to stop
	state  blockHeader
	end    int64 // behind the last good block
	last   int64 // of the last good block
	points []indexPoint
}

// run walks until a block is not good, which is no error here. A block that is good and not the next one is.
func (w *segmentWalk) run(s *segment, stop <-chan struct{}) error {
	r := blockReader{seg: s, limit: w.limit, chunk: scanChunk, reuse: true}
	var index segment // for note
	for w.end = segmentHeaderSize; w.end < w.limit; {
		select {
		case <-stop:
			return vlog.ErrClosed
		default:
		}
		h, block, ok, err := r.block(w.end)
		if err != nil || !ok {
			return err
		}
		if w.end > segmentHeaderSize && (h.seq != w.state.seq+1 || h.first != w.state.next() || h.trim < w.state.trim || h.flags&flagFirst != 0) {
			return &vlog.CorruptError{File: s.path, Offset: w.end, Reason: reasonSequence}
		}
		index.note(h.first, w.end)
		w.points, w.state, w.last = index.index, h, w.end
		w.end += int64(len(block))
	}
	return nil
}

// refuteTail looks for proof that what is bad at off had been synced, and reports the damage if there is any.
func (l *Loglet) refuteTail(s *segment, off int64) error {
	finder := blockReader{seg: s, limit: s.size, chunk: scanChunk, reuse: true}
	checker := blockReader{seg: s, limit: s.size, chunk: blockHeaderSize, reuse: true}
	for at := off + 1; at < s.size; {
		b, err := finder.bytes(at, scanChunk)
		if err != nil {
			return err
		}
		if len(b) < blockHeaderSize {
			return nil
		}
		for i := 0; i+blockHeaderSize <= len(b); i++ {
			hit := bytes.Index(b[i:], blockMagic)
			if hit < 0 {
				break
			}
			i += hit
			// A used file is full of blocks of its earlier use; only one of this use is worth its checksum.
			if h, ok := decodeBlockHeader(b[i:]); !ok || h.salt != s.salt || h.flags&flagFirst != 0 || h.synced <= uint64(off) {
				continue
			}
			_, _, ok, err := checker.block(at + int64(i))
			if err != nil {
				return err
			}
			if ok {
				return &vlog.CorruptError{File: s.path, Offset: off, Reason: reasonBadBlock}
			}
		}
		at += int64(len(b)) - blockHeaderSize + 1 // a header may lie across two chunks
	}
	return nil
}

// settle makes sure that what was recovered is on the disk and not only in the kernel's memory: a process that was killed
// may have left a block written and not synced, which is now going to be read. The last block is written once more, for a
// sync may pass over pages whose writing failed earlier.
func (l *Loglet) settle(last []byte) error {
	s := l.segs[len(l.segs)-1]
	if last != nil {
		if _, err := s.file.WriteAt(last, s.end-int64(len(last))); err != nil {
			return err
		}
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return syncDir(l.fs, l.dir)
}

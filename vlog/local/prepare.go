package local

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
)

// spare is a file that can become a segment: its space was written before, its content means nothing.
type spare struct {
	file vfs.File
	path string
	size int64
}

// prepareLoop does behind the appenders' backs what takes long: it fills the next segment's file with zeros, and makes
// spares of trimmed segments. A failure here stops nothing: it is logged, and the committer makes a segment itself when
// it needs one.
func (l *Loglet) prepareLoop() {
	defer l.done.Done()
	for {
		select {
		case <-l.stop:
			return
		case <-l.prep:
		}
		if err := errors.Join(l.recycle(), l.prepare()); err != nil && !errors.Is(err, vlog.ErrClosed) {
			l.opts.Logger.Warn("log housekeeping failed", "dir", l.dir, "err", err)
		}
	}
}

// recycle disposes of trimmed segments that nobody reads any more. A file becomes a spare, or is removed, and the
// directory is synced before the file is used again: otherwise a crash could bring back the old name for new content.
func (l *Loglet) recycle() error {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	l.mu.Lock()
	var free, busy []*segment
	for _, s := range l.garbage {
		if s.refs == 0 {
			free = append(free, s)
		} else {
			busy = append(busy, s)
		}
	}
	l.garbage = busy
	l.mu.Unlock()
	if len(free) == 0 {
		return nil
	}
	var err error
	var fresh []spare
	for _, s := range free {
		if s.size == l.opts.SegmentBytes && len(l.spares)+len(fresh) < maxSpares {
			path := l.fs.PathJoin(l.dir, segmentName(s.id, spareSuffix))
			if e := l.fs.Rename(s.path, path); e != nil {
				err = errors.Join(err, e, s.file.Close())
				continue
			}
			fresh = append(fresh, spare{s.file, path, s.size})
			continue
		}
		err = errors.Join(err, s.file.Close(), l.fs.Remove(s.path))
	}
	if e := syncDir(l.fs, l.dir); e != nil {
		for _, s := range fresh {
			err = errors.Join(err, s.file.Close())
		}
		return errors.Join(err, e)
	}
	l.spares = append(l.spares, fresh...)
	return err
}

// prepare makes the segment that will follow the active one, if there is none yet.
func (l *Loglet) prepare() error {
	l.segMu.Lock()
	need := l.upcome == nil && len(l.spares) == 0 && !l.durable().Sealed
	l.segMu.Unlock()
	if need {
		// Outside the lock: this takes long, and a committer in need makes a short segment meanwhile.
		path := l.fs.PathJoin(l.dir, "spare"+newSuffix)
		f, err := fill(l.fs, path, l.opts.SegmentBytes, l.stop)
		if err != nil {
			return fmt.Errorf("prepare a segment: %w", err)
		}
		l.segMu.Lock()
		l.spares = append(l.spares, spare{f, path, l.opts.SegmentBytes})
		l.segMu.Unlock()
	}
	l.segMu.Lock()
	defer l.segMu.Unlock()
	if l.upcome != nil || len(l.spares) == 0 || l.durable().Sealed {
		return nil
	}
	n := len(l.spares) - 1
	sp := l.spares[n]
	l.spares = l.spares[:n]
	s, err := stamp(l.fs, l.dir, sp.file, sp.path, sp.size, l.lastID()+1)
	if err != nil {
		return errors.Join(fmt.Errorf("prepare a segment: %w", err), sp.file.Close())
	}
	l.upcome = s
	return nil
}

// lastID is the id of the active segment. Caller holds segMu.
func (l *Loglet) lastID() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segs[len(l.segs)-1].id
}

// roll makes the next segment active, one with room for a block of need bytes. Only the committer calls it; active is full
// and everything in it is synced.
func (l *Loglet) roll(active *segment, need int64) (*segment, error) {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	s := l.upcome
	l.upcome = nil
	if s != nil && segmentHeaderSize+need > s.size {
		// An append larger than a segment. The prepared file steps back from its name.
		path := l.fs.PathJoin(l.dir, segmentName(s.id, spareSuffix))
		if err := l.fs.Rename(s.path, path); err != nil {
			return nil, err
		}
		if err := syncDir(l.fs, l.dir); err != nil {
			return nil, err
		}
		l.spares = append(l.spares, spare{s.file, path, s.size})
		s = nil
	}
	if s == nil {
		var err error
		if s, err = l.newSegment(active.id+1, need); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	l.segs = append(l.segs, s)
	l.mu.Unlock()
	wake(l.prep)
	l.opts.Logger.Debug("log segment begun", "dir", l.dir, "segment", s.id, "bytes", s.size)
	return s, nil
}

// newSegment makes a segment while somebody waits for it: a short one, or one that just holds a block of need bytes.
func (l *Loglet) newSegment(id uint64, need int64) (*segment, error) {
	path := l.fs.PathJoin(l.dir, segmentName(id, newSuffix))
	size := min(l.opts.SegmentBytes, shortSegmentBytes)
	zeros := size
	if segmentHeaderSize+need > size {
		// It is written once, from one end to the other, so there is nothing to gain from zeros.
		size, zeros = segmentHeaderSize+need, 0
	}
	f, err := fill(l.fs, path, zeros, nil)
	if err != nil {
		return nil, fmt.Errorf("make a segment: %w", err)
	}
	s, err := stamp(l.fs, l.dir, f, path, size, id)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a segment: %w", err), f.Close())
	}
	return s, nil
}

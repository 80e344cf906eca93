package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"

	"rebase/blob"
	"rebase/vlog"
)

// Log is what Archive needs of a *vlog.Log.
type Log interface {
	Chain() vlog.Chain
	Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error)
	// Replace puts another loglet in the place of a sealed segment and removes the old one's storage.
	Replace(ctx context.Context, id uint64, next vlog.Segment, fresh vlog.Loglet) error
}

// ArchiveOptions says what to archive. Log is required.
type ArchiveOptions struct {
	// Log names the log in the bucket: letters, digits and "-_.". Every log has one of its own, for ever.
	Log string
	// Before limits the segments to those that end at or below it; 0 means all that are sealed. Where the active segment's
	// beginning is to go too, reconfigure first: that seals it.
	Before vlog.Position
	// ObjectBytes is about how large objects get; 0 means 16 MiB. An entry that is larger gets an object of its own.
	ObjectBytes int
	// Progress is called as objects are stored. Nil means not.
	Progress func(Progress)
	// Logger hears of segments; nil means none.
	Logger *slog.Logger

	blockBytes int
}

// Progress tells how far an Archive has come. Positions are virtual.
type Progress struct {
	Segment uint64        // the one at work
	Start   vlog.Position // of it
	Done    vlog.Position // what lies below is stored
	End     vlog.Position // of the segment
	Bytes   int64         // of objects so far, in all segments
}

const (
	defaultObjectBytes = 16 << 20
	defaultBlockBytes  = 256 << 10
	// archivedCacheBytes is for a loglet that replaces another at run time; the Provider's share theirs.
	archivedCacheBytes = 8 << 20
)

// Archive copies the sealed segments of the chain, oldest first, into the bucket and replaces each by its copy, once the copy has been read
// back and compared. It returns how many it has replaced. What is left over in the bucket from segments that the log has dropped is deleted.
//
// It may be interrupted anywhere and called again: what is stored already is not sent again. Several processes may do it at once.
func Archive(ctx context.Context, log Log, bucket blob.Bucket, o ArchiveOptions) (replaced int, err error) {
	if err := checkName(o.Log); err != nil {
		return 0, err
	}
	if o.ObjectBytes <= 0 {
		o.ObjectBytes = defaultObjectBytes
	}
	if o.blockBytes <= 0 {
		o.blockBytes = defaultBlockBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := sweep(ctx, bucket, o, log.Chain().Lowest); err != nil {
		return 0, err
	}
	a := archiver{ArchiveOptions: o, log: log, bucket: bucket}
	for _, s := range log.Chain().Segments {
		if !s.Sealed || s.Kind == Kind || o.Before > 0 && s.End > o.Before {
			continue
		}
		done, err := a.segment(ctx, s)
		if done {
			replaced++
		}
		if err != nil {
			return replaced, fmt.Errorf("vlog/backup: archive segment %d (positions %d to %d): %w", s.ID, s.Start, s.End, err)
		}
	}
	return replaced, nil
}

// sweep deletes what a crash between dropping and removing a segment has left.
func sweep(ctx context.Context, b blob.Bucket, o ArchiveOptions, lowest uint64) error {
	folder := folderOf(o.Log)
	last := ""
	for obj, err := range b.List(ctx, folder) {
		if err != nil {
			return fmt.Errorf("vlog/backup: look for leftovers: %w", err)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(obj.Key, folder), "/")
		id, err := strconv.ParseUint(name, 16, 64)
		if err != nil || segmentOf(o.Log, id) != folder+name+"/" {
			continue
		}
		if id >= lowest {
			break // they rise
		}
		if name == last {
			continue
		}
		last = name
		o.Logger.Info("removing the archive of a dropped part of the log", "log", o.Log, "segment", id)
		if err := removeSegment(ctx, b, folder+name+"/"); err != nil {
			return fmt.Errorf("vlog/backup: remove leftovers of segment %d: %w", id, err)
		}
	}
	return nil
}

type archiver struct {
	ArchiveOptions
	log    Log
	bucket blob.Bucket
	bytes  int64
}

// segment archives one segment and replaces it, unless that is done or nothing of it is left.
func (a *archiver) segment(ctx context.Context, s vlog.Segment) (done bool, err error) {
	m, err := a.copy(ctx, s)
	if err != nil || m == nil {
		return false, err
	}
	body := m.encode()
	sum := sha256.Sum256(body)
	cfg := Config{URL: a.bucket.URL(), Log: a.Log, Segment: s.ID, Start: s.Start, First: m.First, Tail: m.Tail, Manifest: hex.EncodeToString(sum[:])}
	if err := a.store(ctx, cfg.manifestKey(), body); err != nil {
		return false, err
	}
	bucket := a.bucket
	loglet := newLoglet(cfg, func(context.Context) (blob.Bucket, error) { return bucket, nil }, newCache(archivedCacheBytes), a.Logger)
	fresh := &candidate{Loglet: loglet, log: a.log, instead: s}
	err = a.log.Replace(ctx, s.ID, vlog.Segment{Kind: Kind, Config: cfg.Encode()}, fresh)
	now, there := find(a.log.Chain(), s.ID)
	switch {
	case there && now.Kind == Kind && bytes.Equal(now.Config, cfg.Encode()):
		var overtaken *vlog.OvertakenError
		if errors.Is(err, errOvertaken) || errors.As(err, &overtaken) {
			return false, nil // by one that is the same
		}
		fresh.taken.Store(true)
		a.Logger.Info("log segment archived", "log", a.Log, "segment", s.ID, "start", s.Start, "end", s.End, "objects", len(m.Objects))
		return true, err
	case there && now.Kind == Kind:
		// Another was faster, and had seen more or less of it trimmed. Without its manifest, what only this one has written goes with
		// the rest of the segment.
		return false, a.bucket.Delete(ctx, cfg.manifestKey())
	case !there:
		// Trimmed meanwhile; its storage was removed before the last of this was written.
		return false, removeSegment(ctx, a.bucket, cfg.folder())
	case err == nil:
		err = errors.New("the log did not take it and does not say why")
	}
	return false, err
}

// candidate is a loglet that refuses to take any other one's place than that of the one it was copied from.
//
// Two that archive a segment at once may write the same objects. If the second were to replace the archive of the first, which is then
// removed, and the first were to come back in its turn, one would delete what the other relies on. A Log looks at the tail of what it is given when
// it has just loaded the chain and holds its lock, and what it then stores is conditional on that chain.
type candidate struct {
	*Loglet
	log     Log
	instead vlog.Segment
	taken   atomic.Bool
}

var errOvertaken = errors.New("another has archived the segment")

func (c *candidate) Tail(ctx context.Context) (vlog.Tail, error) {
	if !c.taken.Load() {
		now, there := find(c.log.Chain(), c.instead.ID)
		if !there || now.Kind != c.instead.Kind || !bytes.Equal(now.Config, c.instead.Config) {
			return vlog.Tail{}, errOvertaken
		}
		c.taken.Store(true)
	}
	return c.Loglet.Tail(ctx)
}

func find(c vlog.Chain, id uint64) (vlog.Segment, bool) {
	for _, s := range c.Segments {
		if s.ID == id {
			return s, true
		}
	}
	return vlog.Segment{}, false
}

// copy stores the entries of a segment. The manifest is nil if the segment is gone, all of it.
func (a *archiver) copy(ctx context.Context, s vlog.Segment) (*manifest, error) {
	toLoglet := func(p vlog.Position) vlog.Position { return p - s.Start + 1 }
	m := &manifest{Log: a.Log, Segment: s.ID, Start: s.Start, First: 1, Tail: toLoglet(s.End)}
	b := newBuilder(a.blockBytes)
	flush := func() error {
		body, o := b.finish()
		b = newBuilder(a.blockBytes)
		if err := a.store(ctx, segmentOf(a.Log, s.ID)+o.name(), body); err != nil {
			return err
		}
		m.Objects = append(m.Objects, o)
		a.bytes += int64(len(body))
		if a.Progress != nil {
			a.Progress(Progress{Segment: s.ID, Start: s.Start, Done: s.Start + o.Next - 1, End: s.End, Bytes: a.bytes})
		}
		return nil
	}
	for at := s.Start; at < s.End; {
		entries, err := a.log.Read(ctx, at, s.End, 4<<20)
		var trimmed *vlog.TrimmedError
		if errors.As(err, &trimmed) {
			// What was below is of no use any more, also what has been copied of it.
			if trimmed.First <= at {
				return nil, fmt.Errorf("the log says that %d is trimmed and that it begins at %d", at, trimmed.First)
			}
			if at = trimmed.First; at >= s.End {
				return nil, nil
			}
			m.First = toLoglet(at)
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			break // sparse: no entry in what is left
		}
		for _, e := range entries {
			if e.Pos < at || e.Pos >= s.End {
				return nil, fmt.Errorf("the log returned entry %d where those of [%d,%d) were asked for", e.Pos, at, s.End)
			}
			at = e.Pos + 1
			e.Pos = toLoglet(e.Pos)
			if len(b.refs) > 0 && len(b.buf)+len(e.Payload) > a.ObjectBytes {
				if err := flush(); err != nil {
					return nil, err
				}
			}
			b.add(e)
		}
	}
	if len(b.refs) > 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	for len(m.Objects) > 0 && m.Objects[0].Next <= m.First {
		m.Objects = m.Objects[1:]
	}
	return m, nil
}

// store puts an object, or finds it there, and reads it back.
func (a *archiver) store(ctx context.Context, key string, body []byte) error {
	for repaired := false; ; repaired = true {
		err := a.bucket.Put(ctx, key, bytes.NewReader(body), int64(len(body)))
		if err != nil && !errors.Is(err, blob.ErrExists) {
			return err
		}
		got, err := readAll(ctx, a.bucket, key)
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			return fmt.Errorf("read back %s: %w", key, err)
		}
		if err == nil && bytes.Equal(got, body) {
			return nil
		}
		if repaired {
			return fmt.Errorf("what was stored as %s is not what comes back: the object store is not to be trusted, and nothing has been replaced", key)
		}
		// The key is the hash of the content, so what is there is damaged whoever wrote it. (Or it has just been deleted by who trims.)
		a.Logger.Warn("archived object is damaged: writing it again", "key", key)
		if err := a.bucket.Delete(ctx, key); err != nil {
			return err
		}
	}
}

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"rebase/blob"
	"rebase/vlog"
)

// History reads what is archived of a log without the log itself: for a restore to a point in time. Safe for concurrent use.
type History struct {
	segments []vlog.Segment
	loglets  []*Loglet
}

// OpenHistory opens the archived segments of a log: the longest run without a gap that ends with the newest. It writes nothing to the bucket.
// blob.ErrNotFound if there is none. What the log archives later is not seen. The context is that of the opening only.
func OpenHistory(ctx context.Context, bucket blob.Bucket, log string) (*History, error) {
	if err := checkName(log); err != nil {
		return nil, err
	}
	best := map[uint64]Config{}
	var newest uint64
	for o, err := range bucket.List(ctx, folderOf(log)) {
		if err != nil {
			return nil, err
		}
		_, name, _ := strings.Cut(strings.TrimPrefix(o.Key, folderOf(log)), "/")
		if !strings.HasPrefix(name, manifestPrefix) {
			continue
		}
		p, err := readAll(ctx, bucket, o.Key)
		if err != nil {
			return nil, err
		}
		m, err := decodeManifest(p)
		sum := sha256.Sum256(p)
		if err == nil && (m.Log != log || !strings.HasPrefix(o.Key, segmentOf(log, m.Segment)) || name != manifestPrefix+hex.EncodeToString(sum[:])) {
			err = errors.New("it is not what its name says")
		}
		if err != nil {
			return nil, &vlog.CorruptError{File: bucket.URL() + " " + o.Key, Reason: err.Error() + "; restore it from a copy of the bucket"}
		}
		// Of several, the one that was made first has the most.
		if old, ok := best[m.Segment]; !ok || m.First < old.First {
			best[m.Segment] = Config{URL: bucket.URL(), Log: log, Segment: m.Segment, Start: m.Start, First: m.First, Tail: m.Tail, Manifest: hex.EncodeToString(sum[:])}
		}
		newest = max(newest, m.Segment)
	}
	if len(best) == 0 {
		return nil, fmt.Errorf("%w: nothing is archived of log %q in %s", blob.ErrNotFound, log, bucket.URL())
	}
	h := &History{}
	shared := newCache(defaultCacheBytes)
	for id := newest; ; id-- {
		cfg, ok := best[id]
		s := vlog.Segment{Kind: Kind, Config: cfg.Encode(), ID: id, Start: cfg.Start, End: cfg.Start + cfg.Tail - 1, Sealed: true}
		if !ok || len(h.segments) > 0 && s.End != h.segments[0].Start {
			return h, nil
		}
		l := newLoglet(cfg, func(context.Context) (blob.Bucket, error) { return bucket, nil }, shared, nil)
		h.segments = append([]vlog.Segment{s}, h.segments...)
		h.loglets = append([]*Loglet{l}, h.loglets...)
	}
}

// Segments returns the archived segments in order.
func (h *History) Segments() []vlog.Segment { return append([]vlog.Segment(nil), h.segments...) }

// End returns the first position that is not archived any more.
func (h *History) End() vlog.Position { return h.segments[len(h.segments)-1].End }

// Read is vlog.Log.Read on what is archived.
func (h *History) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	if from < h.segments[0].Start && from < to {
		return nil, &vlog.TrimmedError{First: h.segments[0].Start}
	}
	for i, s := range h.segments {
		if from >= s.End {
			continue
		}
		if from >= to {
			break
		}
		shift := s.Start - 1
		entries, err := h.loglets[i].Read(ctx, from-shift, min(to, s.End)-shift, maxBytes)
		var trimmed *vlog.TrimmedError
		if errors.As(err, &trimmed) {
			return nil, &vlog.TrimmedError{First: trimmed.First + shift}
		}
		if err != nil || len(entries) > 0 {
			for j := range entries {
				entries[j].Pos += shift
			}
			return entries, err
		}
		from = s.End // the rest of it has no entries
	}
	return nil, nil
}

// Close ends reads that are under way.
func (h *History) Close() error {
	var err error
	for _, l := range h.loglets {
		err = errors.Join(err, l.Close())
	}
	return err
}

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"rebase/blob"
	"rebase/vlog"
)

// patiently repeats a call for as long as the store is away and the context allows.
func (l *Loglet) patiently(ctx context.Context, call func() error) error {
	for warned := false; ; warned = true {
		err := call()
		if err == nil || !errors.Is(err, blob.ErrUnreachable) {
			return err
		}
		if !warned {
			l.logger.Warn("archived part of the log cannot be reached: waiting", "log", l.cfg.Log, "segment", l.cfg.Segment, "err", err)
		}
		select {
		case <-time.After(250 * time.Millisecond): // the bucket has pauses of its own
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reach returns the bucket.
func (l *Loglet) reach(ctx context.Context) (blob.Bucket, error) {
	l.mu.Lock()
	b := l.bucket
	l.mu.Unlock()
	if b != nil {
		return b, nil
	}
	b, err := l.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("vlog/backup: open the archive of segment %d: %w", l.cfg.Segment, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bucket == nil {
		l.bucket = b
	}
	return l.bucket, nil
}

// load returns the manifest and the trim point.
func (l *Loglet) load(ctx context.Context) (*manifest, vlog.Position, error) {
	l.mu.Lock()
	m, trimmed, asked := l.manifest, l.trimmed, l.asked
	l.mu.Unlock()
	if m == nil {
		b, err := l.reach(ctx)
		if err != nil {
			return nil, 0, err
		}
		err = l.patiently(ctx, func() (err error) {
			m, err = readManifest(ctx, b, l.cfg)
			return err
		})
		if errors.Is(err, blob.ErrNotFound) {
			err = l.missing(ctx, err)
		}
		if err != nil {
			return nil, 0, err
		}
		l.mu.Lock()
		l.manifest = m
		l.mu.Unlock()
	}
	if !asked {
		var err error
		if trimmed, err = l.loadTrim(ctx); err != nil {
			return nil, 0, err
		}
	}
	return m, trimmed, nil
}

// missing is the error for an object that is not there and was not trimmed. Remove begins with the manifest: if that is gone too, the archive
// was removed, in all likelihood because another has taken its place in the chain. It then counts as closed, so that a Log looks at the chain.
func (l *Loglet) missing(ctx context.Context, cause error) error {
	b, err := l.reach(ctx)
	if err == nil {
		_, err = b.Size(ctx, l.cfg.manifestKey())
	}
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return fmt.Errorf("%w (%w): %w", vlog.ErrMissing, vlog.ErrClosed, cause)
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %w", vlog.ErrMissing, cause)
}

// readManifest reads the manifest that a Config names and checks that it is the one.
func readManifest(ctx context.Context, b blob.Bucket, cfg Config) (*manifest, error) {
	key := cfg.manifestKey()
	p, err := readAll(ctx, b, key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(p)
	var m *manifest
	if err = errors.New("its hash is wrong"); hex.EncodeToString(sum[:]) == cfg.Manifest {
		m, err = decodeManifest(p)
	}
	if err == nil && (m.Log != cfg.Log || m.Segment != cfg.Segment || m.Start != cfg.Start || m.First != cfg.First || m.Tail != cfg.Tail) {
		err = errors.New("it describes another part of the log than the chain says")
	}
	if err != nil {
		return nil, &vlog.CorruptError{File: b.URL() + " " + key, Reason: err.Error() + "; restore it from a copy of the bucket"}
	}
	return m, nil
}

// readAll reads a whole object.
func readAll(ctx context.Context, b blob.Bucket, key string) ([]byte, error) {
	r, err := blob.NewReader(ctx, b, key, 0)
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(r)
	return p, errors.Join(err, r.Close())
}

// loadTrim looks up the trim point in the store.
func (l *Loglet) loadTrim(ctx context.Context) (vlog.Position, error) {
	b, err := l.reach(ctx)
	if err != nil {
		return 0, err
	}
	trimmed := l.cfg.First
	err = l.patiently(ctx, func() error {
		for o, err := range b.List(ctx, l.cfg.folder()+trimPrefix) {
			if err != nil {
				return err
			}
			if p, ok := trimOf(strings.TrimPrefix(o.Key, l.cfg.folder())); ok {
				trimmed = max(trimmed, min(p, l.cfg.Tail))
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimmed, l.asked = max(l.trimmed, trimmed), true
	return l.trimmed, nil
}

// fetch reads n bytes of an object.
func (l *Loglet) fetch(ctx context.Context, key string, off, n uint64) ([]byte, error) {
	b, err := l.reach(ctx)
	if err != nil {
		return nil, err
	}
	p := make([]byte, n)
	err = l.patiently(ctx, func() error {
		for breaks := 0; ; breaks++ {
			r, err := b.Get(ctx, key, int64(off), int64(n))
			if err != nil {
				return err
			}
			_, err = io.ReadFull(r, p)
			if err = errors.Join(err, r.Close()); err == nil || ctx.Err() != nil {
				return err
			}
			// The stream broke off, or the object is shorter than it was.
			size, serr := b.Size(ctx, key)
			switch {
			case serr != nil:
				return serr
			case uint64(size) < off+n:
				return l.corrupt(key, uint64(size), fmt.Errorf("the object has %d bytes, %d are missing", size, off+n-uint64(size)))
			case breaks == 5:
				return fmt.Errorf("%w: read %s: %w", blob.ErrUnreachable, key, err)
			}
		}
	})
	return p, err
}

// Trim implements vlog.Loglet. The trim point is exact, and an object of its own; the objects that lie wholly below are deleted in the
// background. Unlike Read it fails when the store stays away for longer than the bucket's patience: nobody needs to wait for space.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	p, err := l.trim(ctx, min(before, l.cfg.Tail))
	return p, l.outcome(err)
}

func (l *Loglet) trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	b, err := l.reach(ctx)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	trimmed, asked := l.trimmed, l.asked
	l.mu.Unlock()
	if !asked {
		if trimmed, err = l.loadTrim(ctx); err != nil {
			return 0, err
		}
	}
	if before <= trimmed {
		return trimmed, nil
	}
	err = b.Put(ctx, l.cfg.folder()+trimName(before), strings.NewReader(""), 0)
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return 0, fmt.Errorf("vlog/backup: store the trim point: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimmed = max(l.trimmed, before)
	l.dirty = true
	if !l.cleaning && !l.closed {
		l.cleaning = true
		l.calls.Add(1)
		go l.clean()
	}
	return l.trimmed, nil
}

// clean deletes what lies below the trim point: also what an earlier process has not come to.
func (l *Loglet) clean() {
	defer l.calls.Done()
	for {
		l.mu.Lock()
		if !l.dirty || l.closed {
			l.cleaning = false
			l.mu.Unlock()
			return
		}
		l.dirty = false
		trimmed, b := l.trimmed, l.bucket
		l.mu.Unlock()
		err := deleteIf(l.ctx, b, l.cfg.folder(), func(name string) bool {
			next, isObject := nextOf(name)
			old, isTrim := trimOf(name)
			return isObject && next <= trimmed || isTrim && old < trimmed
		})
		if err != nil && l.ctx.Err() == nil {
			l.logger.Warn("trimmed part of an archived log could not be deleted; the next trim tries again",
				"log", l.cfg.Log, "segment", l.cfg.Segment, "err", err)
		}
	}
}

// deleteIf deletes the objects of a folder that are chosen by their name in it.
func deleteIf(ctx context.Context, b blob.Bucket, folder string, chosen func(name string) bool) error {
	var keys []string
	for o, err := range b.List(ctx, folder) {
		if err != nil {
			return err
		}
		if chosen(strings.TrimPrefix(o.Key, folder)) {
			keys = append(keys, o.Key)
		}
	}
	var wg sync.WaitGroup
	errs := make([]error, min(deleters, len(keys)))
	for i := range errs {
		wg.Go(func() {
			for k := i; k < len(keys) && errs[i] == nil; k += len(errs) {
				errs[i] = b.Delete(ctx, keys[k])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Remove implements vlog.Remover: it deletes the manifest, and then what no other manifest of the segment names. There is another if somebody
// else has archived the same segment and taken this one's place. What a crash leaves is deleted by Archive once the segment is dropped.
func (l *Loglet) Remove(ctx context.Context) error {
	if err := l.Close(); err != nil {
		return err
	}
	if err := l.remove(ctx); err != nil {
		return fmt.Errorf("vlog/backup: remove the archive of segment %d: %w", l.cfg.Segment, err)
	}
	return nil
}

func (l *Loglet) remove(ctx context.Context) error {
	b, err := l.reach(ctx)
	if err != nil {
		return err
	}
	if err := b.Delete(ctx, l.cfg.manifestKey()); err != nil {
		return err
	}
	named := map[string]bool{}
	others := false
	for o, err := range b.List(ctx, l.cfg.folder()+manifestPrefix) {
		if err != nil {
			return err
		}
		others = true
		p, err := readAll(ctx, b, o.Key)
		if err != nil {
			return err
		}
		m, err := decodeManifest(p)
		if err != nil {
			return &vlog.CorruptError{File: b.URL() + " " + o.Key, Reason: err.Error()}
		}
		for _, o := range m.Objects {
			named[o.name()] = true
		}
	}
	return deleteIf(ctx, b, l.cfg.folder(), func(name string) bool {
		_, isObject := nextOf(name)
		return !others || isObject && !named[name]
	})
}

// removeSegment deletes everything of a segment, manifests first, so that what is left after a crash does not look like an archive.
func removeSegment(ctx context.Context, b blob.Bucket, folder string) error {
	err := deleteIf(ctx, b, folder, func(name string) bool { return strings.HasPrefix(name, manifestPrefix) })
	if err != nil {
		return err
	}
	return deleteIf(ctx, b, folder, func(string) bool { return true })
}

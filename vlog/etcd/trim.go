package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// deleteAtOnce is how many keys one request deletes: all members of etcd stand still while they do.
const deleteAtOnce = 1000

// Trim implements vlog.Loglet. Whole batches are deleted. The trim point is not written anywhere: it is the first batch that is
// left, or the tail. That makes it durable with the deletion itself, and lets a log be trimmed whose etcd is full, when it
// deletes but no longer writes.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	effective, err := l.trim(inner, before)
	return effective, l.explain(ctx, "trim", err)
}

func (l *Loglet) trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	k := l.keys
	var r *clientv3.TxnResponse
	err := retry(ctx, l.health, attemptTimeout, func(ctx context.Context) (err error) {
		r, err = l.client.Txn(ctx).Then(
			clientv3.OpGet(k.tail()), clientv3.OpGet(k.seal()),
			clientv3.OpGet(k.entries(), clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1)),
			clientv3.OpGet(k.entries(), clientv3.WithRange(k.entry(before+1)), clientv3.WithKeysOnly(), clientv3.WithLimit(1),
				clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend)),
		).Commit()
		return err
	})
	if err != nil {
		return 0, err
	}
	s, err := l.stateOf(r.Header.Revision, r.Responses[0].GetResponseRange(), r.Responses[1].GetResponseRange())
	if err != nil {
		return 0, err
	}
	l.learn(s)
	if s.gone {
		return 0, errGone
	}
	first := s.next
	if kvs := r.Responses[2].GetResponseRange().Kvs; len(kvs) > 0 {
		first = k.firstOf(string(kvs[0].Key))
	}
	target := s.next
	if kvs := r.Responses[3].GetResponseRange().Kvs; before < s.next {
		if len(kvs) == 0 {
			target = first // before lies below everything that is left
		} else {
			target = k.firstOf(string(kvs[0].Key))
		}
	}
	if target > first {
		rev, err := l.deleteBelow(ctx, k.entries(), k.entry(target))
		if err != nil {
			return 0, err
		}
		l.mu.Lock()
		l.cache.drop(target)
		l.mu.Unlock()
		first = target
		if err := l.deleteLarge(ctx, first); err != nil {
			return 0, err
		}
		l.freed(rev)
	}
	if l.health.isFull() && !l.opts.NoCompaction {
		// Nothing is written that would bring about the next compaction.
		now, err := l.load(ctx)
		if err != nil {
			return 0, err
		}
		l.compactNow(ctx, now.rev)
	}
	l.sweepIntents(ctx, s.sealed)
	return first, nil
}

// deleteBelow deletes the keys from a prefix on to below another key, the lowest first, and returns the revision of the last deletion.
func (l *Loglet) deleteBelow(ctx context.Context, from, to string) (rev int64, err error) {
	for {
		var more bool
		err := retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
			g, err := l.client.Get(ctx, from, clientv3.WithRange(to), clientv3.WithKeysOnly(), clientv3.WithLimit(deleteAtOnce),
				clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
			if err != nil || len(g.Kvs) == 0 {
				more = false
				return err
			}
			more = g.More
			end := to
			if more {
				end = string(g.Kvs[len(g.Kvs)-1].Key)
			}
			d, err := l.client.Delete(ctx, from, clientv3.WithRange(end))
			if err == nil {
				rev = d.Header.Revision
			}
			return err
		})
		if err != nil || !more {
			return rev, err
		}
	}
}

// deleteLarge deletes the pieces that batches below first have referred to, those of a Trim that did not come to its end too.
func (l *Loglet) deleteLarge(ctx context.Context, first vlog.Position) error {
	return retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
		g, err := l.client.Get(ctx, l.keys.bigs(), clientv3.WithRange(l.keys.big(first)))
		if err != nil {
			return err
		}
		for _, kv := range g.Kvs {
			_, err := l.client.Txn(ctx).Then(
				clientv3.OpDelete(l.keys.pieces(string(kv.Value)), clientv3.WithPrefix()),
				clientv3.OpDelete(string(kv.Key)),
			).Commit()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sighting is when an intent was seen first at its present revision.
type sighting struct {
	mod   int64
	since time.Time
}

// leftBehind is how long an upload may make no progress before its pieces are deleted. Being wrong costs the upload again.
const leftBehind = 10 * time.Minute

// sweepIntents deletes what uploads have left whose writers died. No clock but this process's own is asked. It does what it can;
// the next Trim comes.
func (l *Loglet) sweepIntents(ctx context.Context, sealed bool) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	g, err := l.client.Get(ctx, l.keys.intents(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return
	}
	now := time.Now()
	seen := map[string]sighting{}
	var orphans []string
	l.mu.Lock()
	for _, kv := range g.Kvs {
		id := string(kv.Key)[len(l.keys.intents()):]
		s, known := l.strange[id]
		if !known || s.mod != kv.ModRevision {
			s = sighting{kv.ModRevision, now}
		}
		seen[id] = s
		if sealed || now.Sub(s.since) > leftBehind { // no reference is appended after the seal
			orphans = append(orphans, id)
		}
	}
	l.strange = seen
	l.mu.Unlock()
	for _, id := range orphans {
		if err := l.abandon(ctx, id, seen[id].mod); err != nil {
			return
		}
		l.opts.Logger.Info("deleted an upload that was left behind", "loglet", l.name, "upload", id)
	}
}

// space counts what a Loglet has written since etcd's history was compacted. Every write leaves the value before it in the history.
type space struct {
	writes, bytes int
	mark          int64 // revision at the time before
	compacting    bool
}

const (
	compactWrites = 10_000
	compactBytes  = 64 << 20
)

// spent counts a write, and compacts the history when there have been enough: up to where it was the time before, so that who
// follows it has an interval's time to do so.
func (l *Loglet) spent(bytes int) {
	l.health.wrote()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.space
	s.writes++
	s.bytes += bytes
	if s.writes < compactWrites && s.bytes < compactBytes || s.compacting {
		return
	}
	mark := s.mark
	s.mark, s.writes, s.bytes = l.known.rev, 0, 0
	l.compact(mark)
}

// freed is told of a deletion at a revision, which frees nothing before the history is compacted up to it.
func (l *Loglet) freed(rev int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.space.mark = max(l.space.mark, rev)
}

// compact compacts in the background. Caller holds mu.
func (l *Loglet) compact(rev int64) {
	if rev == 0 || l.opts.NoCompaction {
		return
	}
	l.space.compacting = true
	l.background.Go(func() {
		l.compactNow(l.ctx, rev)
		l.mu.Lock()
		l.space.compacting = false
		l.mu.Unlock()
	})
}

func (l *Loglet) compactNow(ctx context.Context, rev int64) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if _, err := l.client.Compact(ctx, rev); err != nil && ctx.Err() == nil && !errors.Is(err, rpctypes.ErrCompacted) {
		l.opts.Logger.Warn("could not compact etcd's history", "loglet", l.name, "revision", rev, "error", err)
	}
}

// Remove implements vlog.Remover.
func (l *Loglet) Remove(ctx context.Context) error {
	if err := l.Close(); err != nil {
		return err
	}
	rev, err := remove(ctx, l, l.keys)
	if err != nil {
		return fmt.Errorf("vlog/etcd: remove %s: %w", l.name, err)
	}
	if !l.opts.NoCompaction {
		l.compactNow(ctx, rev)
	}
	return nil
}

// remove deletes all that is stored of a Loglet: first what makes it writable, last what makes it be found.
func remove(ctx context.Context, l *Loglet, k keys) (rev int64, err error) {
	err = retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
		_, err := l.client.Delete(ctx, k.state(), clientv3.WithPrefix())
		return err
	})
	if err != nil {
		return 0, err
	}
	if _, err = l.deleteBelow(ctx, k.base, clientv3.GetPrefixRangeEnd(k.base)); err != nil {
		return 0, err
	}
	err = retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
		d, err := l.client.Delete(ctx, k.index)
		if err == nil {
			rev = d.Header.Revision
		}
		return err
	})
	return rev, err
}

// sweep removes Loglets of the same prefix that are older than the oldest which the chain names. It does what it can;
// the next Loglet that is opened comes.
func (l *Loglet) sweep(ctx context.Context, lowest uint64) {
	if lowest == 0 {
		return
	}
	prefix := l.config.Prefix
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	g, err := l.client.Get(attempt, indexPrefix(prefix), clientv3.WithRange(keysOf(prefix, lowest, 0).index), clientv3.WithKeysOnly())
	if err != nil {
		return
	}
	for _, kv := range g.Kvs {
		id, creation, ok := parseIndex(prefix, string(kv.Key))
		if !ok || id >= lowest {
			continue
		}
		if _, err := remove(attempt, l, keysOf(prefix, id, creation)); err != nil {
			l.opts.Logger.Warn("could not remove a loglet that the log has dropped", "loglet", string(kv.Key), "error", err)
			return
		}
		l.opts.Logger.Info("removed a loglet that the log had dropped", "loglet", string(kv.Key))
	}
}

package etcd

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// mostBatches is how many batches one request asks for at most: 64 MiB if all of them are full.
const mostBatches = 64

// errRace says that a batch was trimmed while it was being read.
var errRace = errors.New("vlog/etcd: trimmed while it was read")

// Read implements vlog.Loglet. It asks any member of etcd for what the caller knows to be there; only where that member has
// nothing, which may be because it lags, it asks again for an answer that a quorum stands behind.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	l.mu.Lock()
	if l.known.sealed {
		to = min(to, l.known.next)
	}
	l.mu.Unlock()
	if from = max(from, 1); from >= to {
		return nil, nil
	}
	c := &collector{l: l, from: from, to: to, left: maxBytes}
	for races := 0; ; {
		err := c.cached(inner)
		if err == nil && len(c.out) == 0 {
			err = c.fetch(inner, true)
		}
		if err == nil && len(c.out) == 0 {
			err = c.fetch(inner, false)
		}
		if errors.Is(err, errRace) && len(c.out) == 0 {
			// The batch is gone, and whoever looks again sees it gone; unless its pieces are missing for another reason.
			if races++; races < 10 {
				l.forget(from)
				continue
			}
			err = l.corrupt(l.keys.entry(from), errors.New("pieces of a large append are missing"))
		}
		if len(c.out) > 0 {
			return c.out, nil // what came after it can be asked for
		}
		return nil, l.explain(ctx, "read", err)
	}
}

// forget drops the batch that holds a position from the cache.
func (l *Loglet) forget(p vlog.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.cache.find(p); b != nil {
		l.cache.drop(b.end())
	}
}

// collector gathers entries until it has enough.
type collector struct {
	l        *Loglet
	from, to vlog.Position // from moves on
	left     int           // bytes; may become negative with the first entry
	out      []vlog.Entry
	full     bool
}

// room tells whether a payload of n bytes is to be added.
func (c *collector) room(n int) bool {
	if c.full || c.from >= c.to || len(c.out) > 0 && n > c.left {
		c.full = true
		return false
	}
	return true
}

func (c *collector) add(payload []byte) {
	c.out = append(c.out, vlog.Entry{Pos: c.from, Payload: payload})
	c.left -= len(payload)
	c.from++
}

// take adds what a batch holds from c.from on.
func (c *collector) take(ctx context.Context, b *batch) error {
	if b.ref != nil {
		return c.takeLarge(ctx, b)
	}
	for _, p := range b.payloads[c.from-b.first:] {
		if !c.room(len(p)) {
			return nil
		}
		c.add(p)
	}
	return nil
}

// cached adds what the cache has.
func (c *collector) cached(ctx context.Context) error {
	for !c.full && c.from < c.to {
		c.l.mu.Lock()
		b := c.l.cache.find(c.from)
		c.l.mu.Unlock()
		if b == nil {
			return nil
		}
		if err := c.take(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads batches from etcd, in one request that sees one revision: the batch that c.from is in, and some of those behind it.
func (c *collector) fetch(ctx context.Context, anyMember bool) error {
	l, k := c.l, c.l.keys
	l.mu.Lock()
	average := max(l.average, 1000)
	l.mu.Unlock()
	count := min(max(c.left/average, 1), mostBatches)
	newest := func(op ...clientv3.OpOption) []clientv3.OpOption {
		if anyMember {
			op = append(op, clientv3.WithSerializable())
		}
		return op
	}
	// The last batch that begins at or before from: keys up to and including its own.
	holding := clientv3.OpGet(k.entries(), newest(clientv3.WithRange(k.entry(c.from+1)),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend), clientv3.WithLimit(1))...)
	following := clientv3.OpGet(k.entry(c.from+1), newest(clientv3.WithRange(clientv3.GetPrefixRangeEnd(k.entries())),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend), clientv3.WithLimit(int64(count)))...)
	tail := clientv3.OpGet(k.tail(), newest()...)
	var r *clientv3.TxnResponse
	err := retry(ctx, l.health, attemptTimeout, func(ctx context.Context) (err error) {
		r, err = l.client.Txn(ctx).Then(holding, following, tail).Commit()
		return err
	})
	if err != nil {
		return err
	}
	held, behind, end := r.Responses[0].GetResponseRange(), r.Responses[1].GetResponseRange(), r.Responses[2].GetResponseRange()
	if len(end.Kvs) == 0 {
		if anyMember {
			return nil // this member may not know it yet
		}
		l.learn(state{rev: r.Header.Revision, gone: true})
		return errGone
	}
	next, err := parseTail(end.Kvs[0].Value)
	if err != nil {
		return l.corrupt(k.tail(), err)
	}
	if c.from >= next {
		return nil
	}
	if len(held.Kvs) == 0 {
		first := next
		if len(behind.Kvs) > 0 {
			first = k.firstOf(string(behind.Kvs[0].Key))
		}
		return &vlog.TrimmedError{First: first}
	}
	return c.takeAll(ctx, held, behind)
}

// takeAll adds the entries of batches that were read, and keeps those for later that turn out to be too many.
func (c *collector) takeAll(ctx context.Context, ranges ...*pb.RangeResponse) error {
	total, n := 0, 0
	for _, r := range ranges {
		for _, kv := range r.Kvs {
			first := c.l.keys.firstOf(string(kv.Key))
			b, err := decodeBatch(first, kv.Value)
			if err != nil {
				return c.l.corrupt(string(kv.Key), err)
			}
			total, n = total+len(kv.Value), n+1
			c.l.mu.Lock()
			if known := c.l.cache.find(first); known != nil && known.first == first {
				b = known
			} else {
				c.l.cache.add(b)
			}
			c.l.average = total / n
			c.l.mu.Unlock()
			if c.full || c.from >= c.to {
				continue
			}
			if c.from < b.first || c.from >= b.end() {
				return c.l.corrupt(string(kv.Key), errors.New("the batches are not without gaps"))
			}
			if err := c.take(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

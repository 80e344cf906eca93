package etcd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

const (
	pieceBytes = 1 << 20
	// piecesAtOnce is how many pieces are under way at the same time; they need no order.
	piecesAtOnce = 4
	// touchEvery so many pieces the intent is written again: an upload that goes on is not taken for left behind.
	touchEvery = 32
)

// appendLarge stores the payloads in pieces, which nobody sees, and then appends a reference to them.
func (l *Loglet) appendLarge(ctx, inner context.Context, payloads [][]byte) (vlog.Position, error) {
	for {
		r, err := l.upload(inner, payloads)
		if err == nil {
			var first vlog.Position
			first, err = l.submit(inner, ctx, &request{ref: &r, count: r.count, size: 100})
			if err == nil {
				return first, nil
			}
		}
		// Safe whatever became of the reference: if it was appended the intent is gone, and nothing is deleted; if not it
		// never will be. Where this fails a later Trim does it.
		clean, cancel := context.WithTimeout(l.ctx, attemptTimeout)
		l.abandon(clean, r.id, 0)
		cancel()
		if !errors.Is(err, errSwept) {
			return 0, l.explain(ctx, "append to", err)
		}
	}
}

// upload stores payloads in pieces under a new id.
func (l *Loglet) upload(ctx context.Context, payloads [][]byte) (ref, error) {
	l.mu.Lock()
	l.uploads++
	r := ref{id: fmt.Sprintf("%016x-%08x", l.writer, l.uploads), count: len(payloads), piece: pieceBytes}
	l.mu.Unlock()
	var table []byte
	for _, p := range payloads {
		table = binary.AppendUvarint(table, uint64(len(p)))
		r.total += len(p)
	}
	r.table = len(table)
	r.total += r.table
	parts := append([][]byte{table}, payloads...)

	intent := clientv3.OpPut(l.keys.intent(r.id), "")
	alive := clientv3.Compare(clientv3.CreateRevision(l.keys.tail()), ">", 0)
	if err := l.store(ctx, []clientv3.Cmp{alive}, intent); err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	intended := clientv3.Compare(clientv3.CreateRevision(l.keys.intent(r.id)), ">", 0)
	slots := make(chan struct{}, piecesAtOnce)
	var wg sync.WaitGroup
	for i := 0; i*pieceBytes < r.total && ctx.Err() == nil; i++ {
		n := min(pieceBytes, r.total-i*pieceBytes)
		frame := make([]byte, 4, 4+n)
		frame, parts = gather(frame, parts, n)
		sealFrame(frame)
		ops := []clientv3.Op{clientv3.OpPut(l.keys.piece(r.id, i), string(frame))}
		if i%touchEvery == touchEvery-1 {
			ops = append(ops, intent)
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := l.store(ctx, []clientv3.Cmp{intended}, ops...); err != nil {
				cancel(err)
				return
			}
			l.spent(n)
		})
	}
	wg.Wait()
	return r, context.Cause(ctx)
}

// gather moves n bytes from the front of parts, which it changes, to the end of b.
func gather(b []byte, parts [][]byte, n int) (_ []byte, rest [][]byte) {
	for n > 0 {
		m := min(n, len(parts[0]))
		b = append(b, parts[0][:m]...)
		n -= m
		if parts[0] = parts[0][m:]; len(parts[0]) == 0 {
			parts = parts[1:]
		}
	}
	return b, parts
}

// store writes under conditions, unless the Loglet is sealed.
func (l *Loglet) store(ctx context.Context, conditions []clientv3.Cmp, ops ...clientv3.Op) error {
	conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(l.keys.seal()), "=", 0))
	return retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
		r, err := l.client.Txn(ctx).If(conditions...).Then(ops...).
			Else(clientv3.OpGet(l.keys.tail()), clientv3.OpGet(l.keys.seal())).Commit()
		if err != nil || r.Succeeded {
			return err
		}
		s, err := l.stateOf(r.Header.Revision, r.Responses[0].GetResponseRange(), r.Responses[1].GetResponseRange())
		switch {
		case err != nil:
			return err
		case s.gone:
			return errGone
		case s.sealed:
			l.learn(s)
			return vlog.ErrSealed
		}
		return errSwept
	})
}

// abandon deletes the pieces of an upload that no batch refers to. mod is the revision that the intent must have; 0: any.
func (l *Loglet) abandon(ctx context.Context, id string, mod int64) error {
	condition := clientv3.Compare(clientv3.ModRevision(l.keys.intent(id)), "=", mod)
	if mod == 0 {
		condition = clientv3.Compare(clientv3.ModRevision(l.keys.intent(id)), ">", 0)
	}
	_, err := l.client.Txn(ctx).If(condition).
		Then(clientv3.OpDelete(l.keys.intent(id)), clientv3.OpDelete(l.keys.pieces(id), clientv3.WithPrefix())).Commit()
	return err
}

// takeLarge adds what a reference refers to: whole entries, in one piece of memory.
func (c *collector) takeLarge(ctx context.Context, b *batch) error {
	c.l.mu.Lock()
	ends := b.ends
	c.l.mu.Unlock()
	if ends == nil {
		table, err := c.l.pieces(ctx, b.ref, 0, b.ref.table)
		if err != nil {
			return err
		}
		var rest []byte
		if ends, rest, err = decodeTable(table, b.count); err != nil || len(rest) != 0 || ends[b.count-1] != b.ref.total-b.ref.table {
			return c.l.corrupt(c.l.keys.pieces(b.ref.id), errFrame)
		}
		c.l.mu.Lock()
		b.ends = ends
		c.l.mu.Unlock()
	}
	start := func(i int) int {
		if i == 0 {
			return 0
		}
		return ends[i-1]
	}
	i := int(c.from - b.first)
	j, left := i, c.left
	for ; j < b.count && c.from+vlog.Position(j-i) < c.to; j++ {
		n := ends[j] - start(j)
		if left -= n; left < 0 && (j > i || len(c.out) > 0) {
			c.full = true
			break
		}
	}
	if i == j {
		return nil
	}
	text, err := c.l.pieces(ctx, b.ref, b.ref.table+start(i), b.ref.table+ends[j-1])
	if err != nil {
		return err
	}
	offset := start(i)
	for ; i < j; i++ {
		c.add(text[start(i)-offset : ends[i]-offset : ends[i]-offset])
	}
	return nil
}

// pieces reads the bytes [from, to) of what a reference refers to.
func (l *Loglet) pieces(ctx context.Context, r *ref, from, to int) ([]byte, error) {
	if from == to {
		return nil, nil
	}
	out := make([]byte, 0, to-from)
	for i := from / r.piece; i*r.piece < to; i++ {
		key := l.keys.piece(r.id, i)
		var g *clientv3.GetResponse
		var err error
		for _, op := range [][]clientv3.OpOption{{clientv3.WithSerializable()}, nil} {
			err = retry(ctx, l.health, attemptTimeout, func(ctx context.Context) (err error) {
				g, err = l.client.Get(ctx, key, op...)
				return err
			})
			if err != nil {
				return nil, err
			}
			if len(g.Kvs) > 0 {
				break
			}
		}
		if len(g.Kvs) == 0 {
			return nil, errRace
		}
		body, err := openFrame(g.Kvs[0].Value)
		if err != nil || len(body) != min(r.piece, r.total-i*r.piece) {
			return nil, l.corrupt(key, errFrame)
		}
		out = append(out, body[max(from-i*r.piece, 0):min(to-i*r.piece, len(body))]...)
	}
	return out, nil
}

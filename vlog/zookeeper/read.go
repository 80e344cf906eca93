package zookeeper

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rebase/vlog"
)

// cache holds what has been read of the log: nothing in it can change.
type cache struct {
	mu      sync.Mutex
	batches map[batchName]*list.Element
	recent  *list.List // of *loaded, the latest used first
	bytes   int
	chunks  map[uint64][]batchName // listings, sorted; of the last chunk there may be more
}

type loaded struct {
	name    batchName
	entries [][]byte
	bytes   int
}

const (
	cacheBytes  = 16 << 20
	cacheChunks = 64
	// window is how many batches are asked for at once.
	window = 8
)

func (c *cache) init() {
	c.batches, c.recent, c.chunks = map[batchName]*list.Element{}, list.New(), map[uint64][]batchName{}
}

func (c *cache) get(n batchName) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.batches[n]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*loaded).entries
}

func (c *cache) put(n batchName, entries [][]byte) {
	b := &loaded{name: n, entries: entries, bytes: 64}
	for _, e := range entries {
		b.bytes += len(e) + 24
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.batches[n] != nil {
		return
	}
	c.batches[n] = c.recent.PushFront(b)
	c.bytes += b.bytes
	for c.bytes > cacheBytes && c.recent.Len() > 1 { // one that is large is read bit by bit, too
		old := c.recent.Remove(c.recent.Back()).(*loaded)
		delete(c.batches, old.name)
		c.bytes -= old.bytes
	}
}

// Read implements vlog.Loglet.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	if from >= to {
		return nil, nil
	}
	t, _ := l.tail()
	if from >= t.Next && !t.Sealed {
		// Not told to this handle. Nothing is decided from what it has not seen.
		var err error
		if t, err = l.Tail(ctx); err != nil {
			return nil, err
		}
	}
	if to = min(to, t.Next); from >= to {
		return nil, nil
	}
	ctx, cancel := l.bind(ctx)
	defer cancel()
	for try := 0; ; try++ {
		out, err := l.read(ctx, from, to, maxBytes)
		if errors.Is(err, codeNoNode) && len(out) == 0 {
			// Trimmed by another handle; or the server at hand is behind, after a change of servers.
			if _, _, err := l.readTrim(ctx); errors.Is(err, codeNoNode) {
				return nil, &vlog.TrimmedError{First: t.Next} // removed
			} else if err != nil {
				return nil, l.failed(err)
			}
			if try > 0 && from >= l.trimPoint() {
				return nil, &vlog.CorruptError{File: l.path, Reason: fmt.Sprintf("position %d, which was acknowledged, is not there; restore the ensemble from a backup", from)}
			}
			if err := l.barrier(ctx, l.node(sealNode)); err != nil {
				return nil, l.failed(err)
			}
			continue
		}
		if len(out) > 0 {
			return out, nil
		}
		var trimmed *vlog.TrimmedError
		if errors.As(err, &trimmed) {
			return nil, err
		}
		return nil, l.failed(err)
	}
}

func (l *Loglet) trimPoint() vlog.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trimmed
}

// read returns what it can; an error stands behind the entries it comes with.
func (l *Loglet) read(ctx context.Context, from, to vlog.Position, maxBytes int) (out []vlog.Entry, err error) {
	if p := l.trimPoint(); from < p {
		return nil, &vlog.TrimmedError{First: p}
	}
	names, err := l.locate(ctx, from)
	if err != nil {
		return nil, err
	}
	for len(names) > 0 && from < to {
		n := min(window, len(names))
		for n > 1 && names[n-1].first >= to {
			n--
		}
		batches, err := l.load(ctx, names[:n])
		for i, entries := range batches {
			skip := int(from - names[i].first)
			if skip < 0 || skip > len(entries) {
				return out, nil // names has a gap; the next call finds out more
			}
			for _, e := range entries[skip:] {
				if from >= to {
					return out, nil
				}
				if maxBytes -= len(e); maxBytes < 0 && len(out) > 0 {
					return out, nil
				}
				out = append(out, vlog.Entry{Pos: from, Payload: e})
				from++
			}
		}
		if err != nil {
			return out, err
		}
		names = names[n:]
	}
	if len(out) == 0 {
		return nil, codeNoNode
	}
	return out, nil
}

// locate returns the name of the batch that holds p, and of some that follow it.
func (l *Loglet) locate(ctx context.Context, p vlog.Position) ([]batchName, error) {
	l.mu.Lock()
	recent := l.known.recent
	l.mu.Unlock()
	if i, ok := covering(recent, p); ok {
		return recent[i:], nil
	}
	c := chunkOf(p)
	if names := l.cache.chunk(c); len(names) > 0 && names[len(names)-1].first > p {
		if i, ok := covering(names, p); ok {
			return names[i:], nil
		}
	}
	names, err := l.list(ctx, c)
	if err != nil && !errors.Is(err, codeNoNode) {
		return nil, err
	}
	if i, ok := covering(names, p); ok {
		return names[i:], nil
	}
	// It begins in an earlier chunk, and is the last of that one.
	chunks, err := l.listChunks(ctx)
	if err != nil {
		return nil, err
	}
	i, _ := slices.BinarySearch(chunks, c)
	if i == 0 {
		return nil, codeNoNode
	}
	before, err := l.list(ctx, chunks[i-1])
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return nil, codeNoNode
	}
	return append(before[len(before)-1:len(before):len(before)], names...), nil
}

// covering returns the index of the last name that begins at or before p.
func covering(names []batchName, p vlog.Position) (int, bool) {
	i, found := slices.BinarySearchFunc(names, p, func(n batchName, p vlog.Position) int { return cmp.Compare(n.first, p) })
	if !found {
		i--
	}
	return i, i >= 0
}

func (c *cache) chunk(n uint64) []batchName {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chunks[n]
}

// list returns the names of the batches in a chunk.
func (l *Loglet) list(ctx context.Context, chunk uint64) ([]batchName, error) {
	children, err := l.children(ctx, l.chunkPath(chunk))
	if err != nil {
		return nil, err
	}
	names := make([]batchName, 0, len(children))
	for _, s := range children {
		if n, ok := parseBatchName(s); ok {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b batchName) int { return cmp.Compare(a.first, b.first) })
	c := &l.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.chunks) >= cacheChunks {
		clear(c.chunks)
	}
	c.chunks[chunk] = names
	return names, nil
}

// listChunks returns the numbers of all chunks, in order.
func (l *Loglet) listChunks(ctx context.Context) ([]uint64, error) {
	children, err := l.children(ctx, l.node(entriesNode))
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, s := range children {
		var n uint64
		if _, err := fmt.Sscanf(s, "%x", &n); err == nil && strings.HasSuffix(l.chunkPath(n), "/"+s) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (l *Loglet) children(ctx context.Context, path string) ([]string, error) {
	r, err := l.client.insist(ctx, getChildren{path})
	if err != nil {
		return nil, err
	}
	n := r.int32()
	var out []string
	for i := int32(0); i < n && !r.bad; i++ {
		out = append(out, string(r.bytes()))
	}
	return out, r.err()
}

// load returns the entries of batches, as many as there are before the first that fails.
func (l *Loglet) load(ctx context.Context, names []batchName) ([][][]byte, error) {
	out := make([][][]byte, len(names))
	calls := make([]*call, len(names))
	for i, n := range names {
		if out[i] = l.cache.get(n); out[i] != nil {
			continue
		}
		k, err := l.client.conn(ctx)
		if err != nil {
			return nil, err
		}
		calls[i] = k.send(getData{l.batchPath(n), false}, nil)
	}
	for i, c := range calls {
		if c == nil {
			continue
		}
		r, err := c.wait(ctx)
		if errors.Is(err, errLost) {
			r, err = l.client.insist(ctx, getData{l.batchPath(names[i]), false})
		}
		if err != nil {
			return out[:i], err
		}
		entries, ref, err := decodeBatch(r.bytes())
		if err == nil && ref != nil {
			entries, err = l.loadParts(ctx, ref)
		}
		if errors.Is(err, errDamaged) {
			err = l.damaged(l.batchPath(names[i]))
		}
		if err != nil {
			return out[:i], err
		}
		l.cache.put(names[i], entries)
		out[i] = entries
	}
	return out, nil
}

// loadParts puts a large batch together again.
func (l *Loglet) loadParts(ctx context.Context, ref *reference) ([][]byte, error) {
	const together = 4
	body := make([]byte, 0, ref.size)
	var calls []*call
	for next := 0; len(body) < ref.size || next < ref.parts || len(calls) > 0; {
		for ; next < ref.parts && len(calls) < together; next++ {
			k, err := l.client.conn(ctx)
			if err != nil {
				return nil, err
			}
			calls = append(calls, k.send(getData{l.partPath(ref.folder, next), false}, nil))
		}
		if len(calls) == 0 {
			return nil, errDamaged
		}
		r, err := calls[0].wait(ctx)
		if errors.Is(err, errLost) {
			r, err = l.client.insist(ctx, getData{l.partPath(ref.folder, next-len(calls)), false})
		}
		if err != nil {
			return nil, err
		}
		body = append(body, r.bytes()...)
		calls = calls[1:]
	}
	if len(body) != ref.size || checksum(body) != ref.sum {
		return nil, errDamaged
	}
	return decodeEntries(body)
}

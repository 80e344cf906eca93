package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// registry is the cluster's records in etcd, with a copy of all of them that a watch keeps up to date.
//
//	PREFIX chain         the log's chain, not the registry's
//	PREFIX nodes/ID      a Record
//	PREFIX membership    changed by everything that must see all records as they are, such as giving out a name
//	PREFIX layout        a Layout
type registry struct {
	client *clientv3.Client
	prefix string
	log    *slog.Logger

	mu       sync.Mutex
	records  map[NodeID]Record
	layout   Layout
	revision int64 // of etcd, that the copy shows
	changed  chan struct{}
}

const (
	nodesKey      = "nodes/"
	membershipKey = "membership"
	layoutKey     = "layout"
	chainKey      = "chain"
)

// requestTimeout bounds one request to etcd, which is answered in milliseconds or has no quorum.
const requestTimeout = 5 * time.Second

func newRegistry(client *clientv3.Client, cluster string, log *slog.Logger) *registry {
	return &registry{client: client, prefix: "/rebase/" + cluster + "/", log: log, records: map[NodeID]Record{}, changed: make(chan struct{})}
}

// load replaces the copy by what is stored.
func (r *registry) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	all, err := r.client.Get(ctx, r.prefix, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("cluster: read the registry: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if all.Header.Revision < r.revision {
		return nil
	}
	r.records, r.layout = map[NodeID]Record{}, Layout{}
	for _, kv := range all.Kvs {
		r.take(string(kv.Key), kv.Value)
	}
	r.revision = all.Header.Revision
	r.wake()
	return nil
}

// take enters one stored value into the copy. Caller holds mu.
func (r *registry) take(key string, value []byte) {
	key = strings.TrimPrefix(key, r.prefix)
	id, isNode := strings.CutPrefix(key, nodesKey)
	switch {
	case isNode && value == nil:
		var n NodeID
		if n.UnmarshalText([]byte(id)) == nil {
			delete(r.records, n)
		}
	case isNode:
		var rec Record
		if err := json.Unmarshal(value, &rec); err != nil || rec.ID.String() != id {
			r.log.Error("a record of the registry cannot be read", "key", key, "err", err)
			return
		}
		r.records[rec.ID] = rec
	case key == layoutKey:
		r.layout = Layout{}
		if value != nil {
			if err := json.Unmarshal(value, &r.layout); err != nil {
				r.log.Error("the layout in the registry cannot be read", "err", err)
			}
		}
	}
}

// wake tells all who wait that the copy has changed. Caller holds mu.
func (r *registry) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// watch keeps the copy up to date until ctx ends.
func (r *registry) watch(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		from := r.revision + 1
		r.mu.Unlock()
		r.follow(ctx, from)
		// The watch has broken off: after a compaction, or with the server.
		for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
			sleep(ctx, pause)
			if ctx.Err() != nil || r.load(ctx) == nil {
				break
			}
		}
	}
}

func (r *registry) follow(ctx context.Context, from int64) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for w := range r.client.Watch(ctx, r.prefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		if w.Err() != nil {
			return
		}
		r.mu.Lock()
		for _, e := range w.Events {
			if e.Kv.ModRevision <= r.revision {
				continue
			}
			if e.Type == clientv3.EventTypeDelete {
				r.take(string(e.Kv.Key), nil)
			} else {
				r.take(string(e.Kv.Key), e.Kv.Value)
			}
		}
		r.revision = max(r.revision, w.Header.Revision)
		r.wake()
		r.mu.Unlock()
	}
}

// all returns the records, by id, the layout, and a channel that is closed when they have changed.
func (r *registry) all() ([]Record, Layout, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Record, 0, len(r.records))
	for _, rec := range r.records {
		out = append(out, rec)
	}
	slices.SortFunc(out, func(a, b Record) int { return compareIDs(a.ID, b.ID) })
	return out, r.layout, r.changed
}

func compareIDs(a, b NodeID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (r *registry) get(id NodeID) (Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.records[id]
	return rec, ok
}

// errUnchanged ends an update that has nothing to change.
var errUnchanged = errors.New("unchanged")

// update changes the record of a node, however many others do the same. change sees the stored record, which is zero if there is none, and all others.
func (r *registry) update(ctx context.Context, id NodeID, change func(rec *Record, others []Record) error) (Record, error) {
	for {
		rec, err := r.tryUpdate(ctx, id, change)
		if errors.Is(err, errUnchanged) {
			return rec, nil
		}
		if !errors.Is(err, errRaced) {
			return rec, err
		}
	}
}

var errRaced = errors.New("cluster: the registry was changed by another")

func (r *registry) tryUpdate(ctx context.Context, id NodeID, change func(*Record, []Record) error) (rec Record, err error) {
	if err := r.load(ctx); err != nil {
		return rec, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	guard, err := r.client.Get(ctx, r.prefix+membershipKey)
	if err != nil {
		return rec, fmt.Errorf("cluster: read the registry: %w", err)
	}
	version := int64(0)
	if len(guard.Kvs) > 0 {
		version = guard.Kvs[0].ModRevision
	}
	r.mu.Lock()
	seen := r.revision
	var others []Record
	for _, o := range r.records {
		if o.ID != id {
			others = append(others, o)
		}
	}
	rec = r.records[id]
	r.mu.Unlock()
	if version > seen {
		return rec, errRaced // the copy is older than the guard
	}
	before := rec
	if err := change(&rec, others); err != nil {
		return rec, err
	}
	rec.ID = id
	if rec == before {
		return rec, nil
	}
	rec.Since = time.Now().UTC().Truncate(time.Millisecond)
	value, err := json.Marshal(rec)
	if err != nil {
		return rec, err
	}
	t, err := r.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(r.prefix+membershipKey), "=", version)).
		Then(clientv3.OpPut(r.prefix+membershipKey, id.String()), clientv3.OpPut(r.prefix+nodesKey+id.String(), string(value))).Commit()
	switch {
	case err != nil:
		return rec, fmt.Errorf("cluster: write the registry: %w", err)
	case !t.Succeeded:
		return rec, errRaced
	}
	return rec, r.load(ctx)
}

// setLayout stores a layout.
func (r *registry) setLayout(ctx context.Context, l Layout) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	value, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := r.client.Put(ctx, r.prefix+layoutKey, string(value)); err != nil {
		return fmt.Errorf("cluster: write the layout: %w", err)
	}
	return r.load(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// metaTimeout bounds one request about the register. etcd itself gives up after about seven seconds without a leader.
const metaTimeout = 10 * time.Second

// Meta returns a register that lives under one key of etcd. Its version is the key's modification revision.
//
// Load waits while etcd cannot be reached, until the context ends. Store does not try again: any error but
// vlog.ErrConflict leaves open whether the value was or will be stored. The client remains the caller's.
func Meta(client *clientv3.Client, key string) vlog.MetaStore { return &meta{client, key} }

type meta struct {
	client *clientv3.Client
	key    string
}

var _ vlog.MetaStore = (*meta)(nil)

// Load implements vlog.MetaStore.
func (m *meta) Load(ctx context.Context) (value []byte, version uint64, err error) {
	err = retry(ctx, nil, metaTimeout, func(ctx context.Context) error {
		r, err := m.client.Get(ctx, m.key)
		if err != nil {
			return err
		}
		value, version = nil, 0
		if len(r.Kvs) > 0 {
			value, version = r.Kvs[0].Value, uint64(r.Kvs[0].ModRevision)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("vlog/etcd: get %s: %w", m.key, err)
	}
	return value, version, nil
}

// Store implements vlog.MetaStore.
func (m *meta) Store(ctx context.Context, value []byte, ifVersion uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, metaTimeout)
	defer cancel()
	r, err := m.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(m.key), "=", int64(ifVersion))).
		Then(clientv3.OpPut(m.key, string(value))).
		Commit()
	switch {
	case err != nil:
		return 0, fmt.Errorf("vlog/etcd: put %s: %w", m.key, err)
	case !r.Succeeded:
		return 0, vlog.ErrConflict
	}
	return uint64(r.Header.Revision), nil
}

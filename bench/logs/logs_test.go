package logs_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/bench/logs"
	"rebase/test/engines"
)

// TestEngines runs every scenario, shortly, on the engines that need no other process. With REBASE_BENCH=log it is the measurement itself, with real
// etcd and ZooKeeper servers beside them, of one member each: "make bench-log".
func TestEngines(t *testing.T) {
	o := logs.Options{Dir: t.TempDir(), Duration: 10 * time.Millisecond, Switches: 3, Appenders: []int{1, 16}}
	if os.Getenv("REBASE_BENCH") == "log" {
		etcd, keeper := engines.Etcd(t), engines.ZooKeeper(t, 1)
		o = logs.Options{
			Dir: t.TempDir(), Etcd: []string{etcd.ClientURL}, ZooKeeper: keeper.Servers(), Duration: 6 * time.Second,
			Peers: []logs.Peer{puts(t, etcd.ClientURL), creates(t, keeper.Servers())},
		}
	}
	o.Progress = func(what string) { t.Log(what) }
	r, err := logs.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteTable(os.Stdout); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Metric == "appends" && row.Value <= 0 {
			t.Errorf("%s: %v appends", row.Scenario, row.Value)
		}
	}
}

// puts are etcd's own: a key for each payload.
func puts(t *testing.T, endpoint string) logs.Peer {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	var n atomic.Int64
	return logs.Peer{Name: "etcd's puts", Append: func(ctx context.Context, p []byte) error {
		_, err := c.Put(ctx, fmt.Sprintf("/puts/%d", n.Add(1)), string(p))
		return err
	}}
}

// creates are sequential nodes of ZooKeeper, the log of Virtual Consensus in Delos before its native loglet.
func creates(t *testing.T, servers []string) logs.Peer {
	c, _, err := zk.Connect(servers, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	all := zk.WorldACL(zk.PermAll)
	if _, err := c.Create("/creates", nil, 0, all); err != nil {
		t.Fatal(err)
	}
	return logs.Peer{Name: "ZooKeeper's creates", Append: func(_ context.Context, p []byte) error {
		_, err := c.Create("/creates/e-", p, zk.FlagSequence, all)
		return err
	}}
}

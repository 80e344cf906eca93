package etcd

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/logtest"
)

var bg = context.Background()

// bench is an etcd with a place for many logs.
type bench struct {
	client *clientv3.Client
	opts   Options
	last   atomic.Uint64
}

func newBench(client *clientv3.Client) *bench {
	return &bench{client: client, opts: Options{
		Client: func([]string) (*clientv3.Client, error) { return client, nil },
		Prefix: fmt.Sprintf("/test/%x", random()),
	}}
}

func (b *bench) open(t testing.TB, spec vlog.LogletSpec) *Loglet {
	t.Helper()
	l, err := Provider(b.opts)(bg, spec)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*Loglet)
}

// create returns a new Loglet; more handles on it come from again.
func (b *bench) create(t testing.TB) *Loglet {
	t.Helper()
	return b.open(t, vlog.LogletSpec{ID: b.last.Add(1), Create: true})
}

// again opens the Loglet another time, as another process would.
func (b *bench) again(t testing.TB, l *Loglet) *Loglet {
	t.Helper()
	id, _, _ := parseIndex(b.opts.Prefix, l.keys.index)
	return b.open(t, vlog.LogletSpec{ID: id, Config: l.Config()})
}

func (b *bench) subject() logtest.Subject {
	return logtest.Subject{
		New:     func(t testing.TB) logtest.Log { return b.create(t) },
		Reopen:  func(t testing.TB, closed logtest.Log) logtest.Log { return b.again(t, closed.(*Loglet)) },
		Another: func(t testing.TB, open logtest.Log) logtest.Log { return b.again(t, open.(*Loglet)) },
	}
}

// TestMain lets the property tests, each of whose steps waits for a disk, try fewer cases than they would in memory.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "40"); err != nil {
		panic(err)
	}
	os.Exit(m.Run()) // the command line still has the last word
}

func TestConformance(t *testing.T) {
	t.Parallel()
	logtest.Run(t, newBench(engines.Etcd(t).Client(t)).subject())
}

func TestMeta(t *testing.T) {
	client := engines.Etcd(t).Client(t)
	var n atomic.Int64
	logtest.RunMeta(t, func(*testing.T) vlog.MetaStore { return Meta(client, fmt.Sprint("/meta/", n.Add(1))) })
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/etcd/embedded"
	"rebase/vlog/logtest"
)

// A client in process has other errors and another way of watching than one with a connection.
func TestConformanceInProcess(t *testing.T) {
	t.Parallel()
	start := func(o embedded.Options) *embedded.Server {
		ctx, cancel := context.WithTimeout(bg, 30*time.Second)
		defer cancel()
		s, err := embedded.Start(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	o := embedded.Options{Dir: t.TempDir(), Name: "a", Listen: fmt.Sprintf("http://127.0.0.1:%d", engines.FreePort(t))}
	server := start(o)
	b := newBench(server.Client())
	logtest.Run(t, b.subject())
	logtest.RunMeta(t, func(*testing.T) vlog.MetaStore { return Meta(server.Client(), fmt.Sprintf("/meta/%x", random())) })

	// When the member stops under the loglet, calls wait as they do for one that is away.
	l := b.create(t)
	mustAppend(t, l, "before")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(bg, 300*time.Millisecond)
	defer cancel()
	for i, call := range []func() error{
		func() error { _, err := l.Append(short, []byte("x")); return err },
		func() error { _, err := l.Tail(short); return err },
		func() error { _, err := l.WaitTail(short, 100); return err },
		func() error { return l.Seal(short) },
	} {
		if err := call(); err == nil || errors.Is(err, vlog.ErrSealed) || errors.Is(err, vlog.ErrMissing) {
			t.Errorf("call %d of a stopped member: %v", i, err)
		} else {
			t.Log(i, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(o)
	b.client = again.Client()
	b.opts.Client = func([]string) (*clientv3.Client, error) { return again.Client(), nil }
	l = b.again(t, l)
	defer l.Close()
	if got := logtest.All(t, l, 1); got[0] != "before" {
		t.Fatalf("after the restart: %q", got)
	}
}

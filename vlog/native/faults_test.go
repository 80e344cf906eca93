package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
	"rebase/vlog/logtest"
	"rebase/vlog/native/core"
)

func appendN(t *testing.T, l *Loglet, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if p, err := l.Append(bg, fmt.Append(nil, i)); err != nil || int(p) != i+1 {
			t.Fatalf("append %d: %d, %v", i, p, err)
		}
	}
}

func wantAll(t *testing.T, l *Loglet, n int) {
	t.Helper()
	got := logtest.All(t, l, 1)
	if len(got) != n {
		t.Fatalf("%d entries, want %d", len(got), n)
	}
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("entry %d is %q", i+1, body)
		}
	}
}

// A server that was away has an old disk. It goes on with what comes now, and what it has missed is read from others.
func TestStaleDiskComesBack(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Count: 3})
	defer l.Close()
	appendN(t, l, 0, 10)
	c.stop(2)
	appendN(t, l, 10, 20)
	c.start(2)
	c.settle()
	c.stop(1)
	appendN(t, l, 20, 30)
	at2 := c.open(2, l)
	defer at2.Close()
	wantAll(t, at2, 30)
	if err := at2.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if tail, err := at2.Tail(bg); err != nil || tail != (vlog.Tail{Next: 31, Sealed: true}) {
		t.Fatalf("%+v, %v", tail, err)
	}
}

// A server whose disk comes back empty is another one: with it there is no majority, and nothing is made up. When a majority of the disks is gone, the
// loglet is missing.
func TestEmptyDisksComeBack(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Count: 3})
	defer l.Close()
	c.stop(2) // it will know of nothing
	appendN(t, l, 0, 10)
	c.stop(1)
	c.nodes[1].disk = vfs.NewCrashableMem()
	c.start(1)
	c.start(2)
	c.settle()
	fresh := c.open(2, l)
	defer fresh.Close()
	if tail, err := fresh.Tail(bg); err != nil || tail.Next != 11 { // 0 and 2 are a majority
		t.Fatalf("%+v, %v", tail, err)
	}
	wantAll(t, fresh, 10)
	c.stop(2)
	waiting := make(chan error, 1)
	go func() { waiting <- l.Seal(bg) }()
	c.nodes[2].disk = vfs.NewCrashableMem()
	c.start(2)
	c.settle()
	if err := <-waiting; !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("seal without a majority of the disks: %v", err)
	}
	if _, err := c.node(0).open(bg, vlog.LogletSpec{ID: 1, Config: l.Config()}); !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("opened without a majority of the disks: %v", err)
	}
}

// A node is cut off and comes back, one after the other. What is acknowledged remains.
func TestPartitions(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Count: 3})
	defer l.Close()
	n := 0
	for i := range 6 {
		cut := 1 + i%2
		c.cutOff(cut)
		appendN(t, l, n, n+20)
		n += 20
		c.heal(cut)
	}
	far := c.open(1, l)
	defer far.Close()
	if tail, err := far.Tail(bg); err != nil || int(tail.Next) != n+1 {
		t.Fatalf("%+v, %v", tail, err)
	}
	wantAll(t, far, n)
}

// A process that is stopped (SIGSTOP, a disk that hangs) holds up nobody, and what is meant for it does not gather without bound.
func TestPausedServer(t *testing.T) {
	c := newClusterIn(t, []string{t.TempDir(), t.TempDir(), t.TempDir()})
	l := c.create(0, 1, Wish{Count: 3})
	defer l.Close()
	appendN(t, l, 0, 1)
	c.node(0).tcp.queueBytes = 1 << 20
	resume := c.nodes[2].pause()
	defer resume()
	body := bytes.Repeat([]byte("x"), 64<<10)
	most := 0
	for range 400 { // 25 MiB
		if _, err := l.Append(bg, body); err != nil {
			t.Fatal(err)
		}
		most = max(most, c.node(0).Stats().QueuedBytes)
	}
	if most > 8<<20 {
		t.Errorf("%d bytes were queued", most)
	}
	resume()
	c.settle()
	c.stop(1)
	if _, err := l.Append(bg, []byte("after")); err != nil { // needs the one that was stopped
		t.Fatal(err)
	}
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if tail, err := l.Tail(bg); err != nil || tail.Next != 403 {
		t.Fatalf("%+v, %v", tail, err)
	}
}

// Without a majority appenders wait, and beyond a bound they wait outside.
func TestAppendersWait(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Count: 3})
	defer l.Close()
	l.batches.limit = 100
	c.stop(1)
	c.stop(2)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := l.Append(bg, make([]byte, 30)); err != nil {
				t.Error(err)
			}
		})
		if i%10 == 0 {
			wg.Go(func() { // more than the bound goes alone
				if _, err := l.Append(bg, make([]byte, 200)); err != nil {
					t.Error(err)
				}
			})
			ctx, cancel := context.WithCancel(bg)
			wg.Go(func() {
				if _, err := l.Append(ctx, make([]byte, 40)); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			cancel()
		}
	}
	for {
		l.mu.Lock()
		bytes, waiting := l.batches.bytes, len(l.batches.queue)
		l.mu.Unlock()
		if bytes > 200 {
			t.Fatalf("%d bytes are on their way", bytes)
		}
		if waiting > 40 {
			break
		}
		runtime.Gosched()
	}
	c.start(1)
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batches.bytes != 0 || len(l.batches.queue)+len(l.batches.flying)+len(l.batches.waiting) != 0 {
		t.Fatalf("left: %+v", l.batches)
	}
}

// A connection that says something else than it should is closed, and the node goes on.
func TestStrangers(t *testing.T) {
	c := newCluster(t, 1)
	hello := func(m core.Message) string {
		f := frames{buf: []byte(preamble)}
		f.add(&m)
		f.cut()
		return string(bytes.Join(f.parts, nil))
	}
	good := core.Message{Kind: kindHello, Status: wireFormat, From: 5, To: c.nodes[0].id, Loglet: 7, Ref: 1, MaxBytes: 1}
	other := func(change func(*core.Message)) string {
		m := good
		change(&m)
		return hello(m)
	}
	for name, tc := range map[string]struct {
		send, want string
	}{
		"http":        {"GET / HTTP/1.1\r\n\r\n", ""},
		"no hello":    {other(func(m *core.Message) { m.Kind = core.Append }), ""},
		"no lane":     {other(func(m *core.Message) { m.MaxBytes = 4 }), ""},
		"chain":       {other(func(m *core.Message) { m.Loglet = 8 }), "serves chain 7, not 8"},
		"node":        {other(func(m *core.Message) { m.To = 99 }), "not 0000000000000063"},
		"version":     {other(func(m *core.Message) { m.Status = 2 }), "version 1"},
		"then damage": {hello(good) + "\x05\x00\x00\x00garbage..", ""},
		"then length": {hello(good) + "\xff\xff\xff\xff\x00\x00\x00\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", c.nodes[0].address)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := io.WriteString(nc, tc.send); err != nil {
				t.Fatal(err)
			}
			nc.SetReadDeadline(time.Now().Add(30 * time.Second)) // for a broken one
			got, err := io.ReadAll(nc)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("it was not closed")
			}
			if !bytes.Contains(got, []byte(tc.want)) {
				t.Fatalf("answer %q", got)
			}
		})
	}
	l := c.create(0, 1, Wish{})
	defer l.Close()
	appendN(t, l, 0, 3)
}

// A node that starts anew at another address is found there.
func TestAddressChanges(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Count: 3})
	defer l.Close()
	appendN(t, l, 0, 3)
	for _, i := range []int{1, 2} {
		c.stop(i)
		c.nodes[i].mu.Lock()
		c.nodes[i].address = "127.0.0.1:0"
		c.nodes[i].mu.Unlock()
		c.start(i)
	}
	appendN(t, l, 3, 6)
}

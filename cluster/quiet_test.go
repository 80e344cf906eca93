package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What etcd says over and over while a node is away does not fill the log, and what it says of other troubles is still told.
func TestEtcdIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newQuiet(slog.NewTextHandler(&out, nil)))
		for range 120 {
			log.With("n", 1).Warn("etcd: prober detected unhealthy status", "error", "connection refused")
			log.Warn("etcd: failed to reach the peer URL")
			log.With("n", 1).Warn("etcd: ignored streaming request; ID mismatch")
			time.Sleep(time.Second)
		}
		log.Error("etcd: something broke")
		said := out.String()
		if strings.Contains(said, "prober") || strings.Contains(said, "peer URL") {
			t.Errorf("told of a node that is away:\n%s", said)
		}
		if n := strings.Count(said, "ID mismatch"); n != 2 {
			t.Errorf("told %d times in two minutes of the same:\n%s", n, said)
		}
		if !strings.Contains(said, `"not told since"=59`) || !strings.Contains(said, "something broke") {
			t.Errorf("not told:\n%s", said)
		}
	})
}

// What fails again and again is complained of when it has for a while, and then now and then.
func TestComplaint(t *testing.T) {
	c := complaint{first: 10 * time.Second, every: time.Minute}
	now, n := time.Now(), 0
	for at := time.Duration(0); at <= 75*time.Second; at += 500 * time.Millisecond {
		if c.due(now.Add(at)) {
			n++
		}
		if at < 10*time.Second && n > 0 {
			t.Fatal("complained at once")
		}
	}
	if n != 2 {
		t.Errorf("complained %d times in 75 seconds", n)
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rebase/cluster"
	"rebase/vlog/backup"
)

// peerAddress is one whose port, and the one 100 above, are free.
func peerAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+100)); err == nil {
			second.Close()
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatal("no two free ports")
	return ""
}

// startNode starts a node of a cluster that checkpoints all the time and keeps little of its log.
func startNode(t *testing.T, data string, o Options, member cluster.Options) *Server {
	t.Helper()
	o.Data, o.Cluster, o.CheckpointEvery, o.SegmentBytes = data, &member, 100*time.Millisecond, 1<<20
	if o.LogRetain == 0 {
		o.LogRetain = 256 << 10
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutDown(t, s) })
	return s
}

func shutDown(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, s *Server, path, value string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/"+path+".json?ns=test&print=silent", strings.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("put %s: %s %s", path, res.Status, text)
	}
}

func read(t *testing.T, s *Server, path string) string {
	t.Helper()
	res, err := http.Get(s.URL() + "/" + path + ".json?ns=test")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually waits for something that comes about by itself.
func eventually(t *testing.T, what string, true_ func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !true_(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came about: ", what)
		}
	}
}

// sum is the digest of a replica's state, and where it was taken.
func sum(t *testing.T, s *Server) (sum [32]byte, at uint64) {
	t.Helper()
	n := s.data.db.Snapshot()
	defer n.Close()
	sum, err := n.Digest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return sum, n.Applied()
}

// A server by itself becomes the first node of a cluster, with its data. A second node has all of it, by a snapshot, since the log begins after it; and when it
// was away for longer than the log goes back, it gets another.
func TestGrowingIntoACluster(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	alone, err := Start(t.Context(), Options{Data: first})
	if err != nil {
		t.Fatal(err)
	}
	put(t, alone, "before", `{"a":1,"b":[1,2,3]}`)
	shutDown(t, alone)

	member := cluster.Options{Begin: true, Listen: peerAddress(t), Name: "a"}
	a := startNode(t, first, Options{}, member)
	put(t, a, "between", `"x"`)
	joiner := cluster.Options{Join: []string{member.Listen}, Listen: peerAddress(t), Name: "b"}
	b := startNode(t, second, Options{}, joiner)
	if got := read(t, b, ""); got != `{"before":{"a":1,"b":[1,2,3]},"between":"x"}` {
		t.Fatalf("the second node has %s", got)
	}
	put(t, b, "after", "true")
	if got := read(t, a, "after"); got != "true" {
		t.Fatalf("the first node has %s", got)
	}

	// The first node holds the log: the second can go away.
	shutDown(t, b)
	away := b.data.store.Applied()
	large := `"` + strings.Repeat("x", 100_000) + `"`
	for i := 0; ; i++ {
		put(t, a, fmt.Sprintf("large/%d", i%20), large)
		if begin, err := a.data.log.Trim(t.Context(), 0); err != nil {
			t.Fatal(err)
		} else if uint64(begin) > away+1 {
			break
		}
	}
	b = startNode(t, second, Options{}, joiner)
	if got := read(t, b, "large/0"); got != large {
		t.Fatalf("the second node has %d bytes", len(got))
	}
	if err := b.data.db.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	sumA, atA := sum(t, a)
	sumB, atB := sum(t, b)
	if sumA != sumB || atA != atB {
		t.Errorf("the states differ: %x at %d, %x at %d", sumA, atA, sumB, atB)
	}
	if _, err := Start(t.Context(), Options{Data: t.TempDir(), Cluster: &cluster.Options{Listen: peerAddress(t)}}); err == nil {
		t.Error("a node that neither begins nor joins a cluster has started")
	}
}

// Replicas that differ are found, and it is said which.
func TestDivergedReplica(t *testing.T) {
	member := cluster.Options{Begin: true, Listen: peerAddress(t), Name: "a"}
	a := startNode(t, t.TempDir(), Options{}, member)
	b := startNode(t, t.TempDir(), Options{}, cluster.Options{Join: []string{member.Listen}, Listen: peerAddress(t), Name: "b"})
	c := startNode(t, t.TempDir(), Options{}, cluster.Options{Join: []string{member.Listen}, Listen: peerAddress(t), Name: "c"})
	put(t, a, "x", "1")
	agree := func(s *Server, node *Server) (told, stray bool) {
		if err := s.digestNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		st, err := s.clusterStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range st.Nodes {
			told = told || n.Digest != ""
			if n.ID == node.data.cluster.ID().String() {
				stray = n.Diverged
			} else if n.Diverged {
				t.Fatalf("%s is said to differ", n.Name)
			}
		}
		return told, stray
	}
	if told, stray := agree(a, c); !told || stray {
		t.Fatalf("told %v, differs %v before anything happened", told, stray)
	}
	// Somebody changes one store by hand.
	c.data.db.Barrier(func(pos uint64) {
		batch := c.data.store.NewBatch()
		if err := errors.Join(batch.SetMeta([]byte("zz damage"), []byte("1")), batch.Commit(pos)); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, "the damaged replica is found", func() bool { _, stray := agree(a, c); return stray })
	if _, stray := agree(b, c); !stray {
		eventually(t, "the others find it, too", func() bool { _, stray := agree(b, c); return stray })
	}
}

// With a backup nothing of the log is forgotten, and a store that is too old is made anew from it.
func TestBackup(t *testing.T) {
	bucket := t.TempDir()
	o := Options{Backup: bucket, LogRetain: 64 << 10}
	s := startNode(t, t.TempDir(), o, cluster.Options{Begin: true, Listen: peerAddress(t)})
	value := `"` + strings.Repeat("y", 50_000) + `"`
	archived := func() int {
		n := 0
		for _, seg := range s.data.log.Chain().Segments {
			if seg.Kind == backup.Kind && seg.End > seg.Start {
				n++
			}
		}
		return n
	}
	for i := 0; archived() < 2; i++ {
		put(t, s, fmt.Sprintf("v/%d", i%10), value)
	}
	if begin, err := s.data.log.Trim(t.Context(), 0); err != nil || begin != 1 {
		t.Fatalf("the log begins at %d: %v", begin, err)
	}
	read := 0
	for pos, end := s.data.log.Chain().First(), s.data.log.Chain().Active().Start; pos < end; {
		entries, err := s.data.log.Read(t.Context(), pos, end, 1<<20)
		if err != nil || len(entries) == 0 {
			t.Fatalf("%d entries at %d: %v", len(entries), pos, err)
		}
		read += len(entries)
		pos = entries[len(entries)-1].Pos + 1
	}
	if read < 10 {
		t.Errorf("only %d entries are in the archive", read)
	}

	// What a node without any other to ask would do.
	other := &data{bucket: s.data.bucket}
	elsewhere := Options{Data: t.TempDir()}.withDefaults()
	dir := elsewhere.FS.PathJoin(elsewhere.Data, storeFolder)
	eventually(t, "a snapshot is in the backup", func() bool { return other.fetchBackup(t.Context(), elsewhere, 1, dir) == nil })
	if err := other.openStore(elsewhere); err != nil {
		t.Fatal(err)
	}
	defer other.store.Close()
	if at := other.store.Applied(); at == 0 || at > s.data.store.Applied() {
		t.Errorf("the snapshot is of position %d, the server at %d", at, s.data.store.Applied())
	}
	spaces, err := other.store.Namespaces()
	if err != nil || !slices.Contains(spaces, "test") {
		t.Errorf("the snapshot has the databases %q: %v", spaces, err)
	}
}

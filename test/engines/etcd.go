package engines

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// EtcdProcess is one etcd server: a process of its own, with fsync on.
type EtcdProcess struct {
	Name      string
	ClientURL string
	PeerURL   string
	proc      *process
}

// EtcdMembers is a cluster of etcd servers.
type EtcdMembers []*EtcdProcess

// Etcd starts an etcd server, of the version that go.mod names, and returns when it answers.
func Etcd(t testing.TB) *EtcdProcess {
	t.Helper()
	return EtcdCluster(t, 1)[0]
}

// EtcdCluster starts n etcd servers that form a cluster, and returns when all of them answer. More are etcd's options.
func EtcdCluster(t testing.TB, n int, more ...string) EtcdMembers {
	t.Helper()
	binary := etcdBinary(t)
	return started(t, "etcd", func() (EtcdMembers, error) { return startEtcd(t, binary, n, more) })
}

func etcdBinary(t testing.TB) string {
	t.Helper()
	return goBuild(t, "etcd-"+moduleVersion(t, "go.etcd.io/etcd/server/v3"), "go.etcd.io/etcd/server/v3")
}

func startEtcd(t testing.TB, binary string, n int, more []string) (EtcdMembers, error) {
	var members EtcdMembers
	var initial []string
	for i := range n {
		m := &EtcdProcess{
			Name:      fmt.Sprintf("m%d", i+1),
			ClientURL: fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)),
			PeerURL:   fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)),
		}
		initial = append(initial, m.Name+"="+m.PeerURL)
		members = append(members, m)
	}
	for _, m := range members {
		dir := t.TempDir()
		args := []string{
			binary, "--name", m.Name, "--data-dir", dir + "/data", "--log-level", "warn",
			"--listen-client-urls", m.ClientURL, "--advertise-client-urls", m.ClientURL,
			"--listen-peer-urls", m.PeerURL, "--initial-advertise-peer-urls", m.PeerURL,
			"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", "rebase-test",
			"--heartbeat-interval", "100", "--election-timeout", "1000",
		}
		m.proc = &process{t: t, name: m.Name, args: append(args, more...), dir: dir}
		t.Cleanup(m.Kill)
		if err := m.proc.start(); err != nil {
			return members, err
		}
	}
	for _, m := range members {
		if err := m.await(); err != nil {
			return members, err
		}
	}
	return members, nil
}

// await waits until the member answers a linearizable read.
func (m *EtcdProcess) await() error {
	client, err := etcdClient([]string{m.ClientURL})
	if err != nil {
		return err
	}
	defer client.Close()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := client.Get(ctx, "rebase-test")
		cancel()
		if err == nil {
			return nil
		}
		if m.proc.hasExited() || time.Now().After(deadline) {
			return fmt.Errorf("etcd %s does not answer: %w\n%s", m.Name, err, m.proc.logTail())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func etcdClient(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// Client returns a client of this member alone. It is closed when the test ends.
func (m *EtcdProcess) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	return EtcdMembers{m}.Client(t)
}

// Kill ends the process as a power cut of its own would: with SIGKILL. What the kernel has taken stays.
func (m *EtcdProcess) Kill() { m.proc.end(syscall.SIGKILL) }

// Pause stops the process without its connections noticing.
func (m *EtcdProcess) Pause() { m.proc.signal(syscall.SIGSTOP) }

// Continue lets a paused process run on.
func (m *EtcdProcess) Continue() { m.proc.signal(syscall.SIGCONT) }

// Restart starts a member that was killed, with its data. It does not wait until it answers, which takes a quorum.
func (m *EtcdProcess) Restart(t testing.TB) {
	t.Helper()
	if err := m.proc.start(); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the member answers, or fails the test.
func (m *EtcdProcess) Await(t testing.TB) {
	t.Helper()
	if err := m.await(); err != nil {
		t.Fatal(err)
	}
}

// Endpoints are the client URLs of all members.
func (ms EtcdMembers) Endpoints() []string {
	var all []string
	for _, m := range ms {
		all = append(all, m.ClientURL)
	}
	return all
}

// Client returns a client of all members. It is closed when the test ends.
func (ms EtcdMembers) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	client, err := etcdClient(ms.Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Leader returns the member that leads, as the others see it.
func (ms EtcdMembers) Leader(t testing.TB) *EtcdProcess {
	t.Helper()
	client := ms.Client(t)
	for range 300 {
		for _, m := range ms {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			status, err := client.Status(ctx, m.ClientURL)
			cancel()
			if err == nil && status.Leader == status.Header.MemberId {
				return m
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("engines: etcd has no leader")
	return nil
}

package engines

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ZooKeeperServer is one ZooKeeper server: a process of its own, with fsync on.
type ZooKeeperServer struct {
	// Address is where it takes clients, host:port.
	Address string
	proc    *process
}

// ZooKeeperEnsemble is a single server, or several that elect a leader.
type ZooKeeperEnsemble []*ZooKeeperServer

// ZooKeeper starts an ensemble of n servers and returns when all of them answer. Followers give up a leader, and a leader its
// office, after one second without a sign of life. Further lines go into every server's zoo.cfg.
func ZooKeeper(t testing.TB, n int, more ...string) ZooKeeperEnsemble {
	t.Helper()
	jars := zooKeeperJars(t)
	return started(t, "ZooKeeper", func() (ZooKeeperEnsemble, error) { return startZooKeeper(t, jars, n, more) })
}

// FetchZooKeeper fetches what ZooKeeper needs, for tests that start it where there is no network.
func FetchZooKeeper(t testing.TB) {
	t.Helper()
	zooKeeperJars(t)
}

// zooKeeperJars fetches the jars that zookeeper/pom.xml names, and Java and Maven if they are missing.
func zooKeeperJars(t testing.TB) string {
	t.Helper()
	pom := filepath.Join(root(t), "test", "engines", "zookeeper", "pom.xml")
	text, err := os.ReadFile(pom)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`<artifactId>zookeeper</artifactId>\s*<version>([^<]+)</version>`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("engines: %s does not say which ZooKeeper", pom)
	}
	if _, err := exec.LookPath("java"); err != nil {
		install(t, "default-jre-headless")
	}
	return once(t, "zookeeper-"+string(m[1]), func(path string) error {
		if _, err := exec.LookPath("mvn"); err != nil {
			install(t, "maven")
		}
		cmd := exec.Command("mvn", "-B", "-ntp", "-q", "-f", pom, "dependency:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+path)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
		return nil
	})
}

// install installs a Debian package; a test that needs one fails without the rights for it.
func install(t testing.TB, name string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("engines: %s is not installed, and apt-get cannot install it; install it as root: %v\n%s", name, err, out)
	}
}

func startZooKeeper(t testing.TB, jars string, n int, more []string) (ZooKeeperEnsemble, error) {
	var e ZooKeeperEnsemble
	var members strings.Builder
	for i := range n {
		e = append(e, &ZooKeeperServer{Address: fmt.Sprintf("127.0.0.1:%d", FreePort(t))})
		fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d;%s\n", i+1, FreePort(t), FreePort(t), e[i].Address)
	}
	for i, s := range e {
		dir := t.TempDir()
		// tickTime bounds everything: a session may be as short as 2 ticks, and quorum links fall silent for 2.
		cfg := fmt.Sprintf("tickTime=500\ninitLimit=20\nsyncLimit=2\ndataDir=%s\nadmin.enableServer=false\nmaxClientCnxns=0\n%s\n",
			dir, strings.Join(more, "\n"))
		if n == 1 {
			host, port, err := net.SplitHostPort(s.Address)
			if err != nil {
				return e, err
			}
			cfg += fmt.Sprintf("clientPortAddress=%s\nclientPort=%s\n", host, port)
		} else {
			cfg += "standaloneEnabled=false\n" + members.String()
			if err := os.WriteFile(filepath.Join(dir, "myid"), fmt.Appendln(nil, i+1), 0o644); err != nil {
				return e, err
			}
		}
		file := filepath.Join(dir, "zoo.cfg")
		if err := os.WriteFile(file, []byte(cfg), 0o644); err != nil {
			return e, err
		}
		s.proc = &process{t: t, name: fmt.Sprintf("zookeeper-%d", i+1), dir: dir, args: []string{
			"java", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-cp", filepath.Join(jars, "*"), "org.apache.zookeeper.server.quorum.QuorumPeerMain", file,
		}}
		t.Cleanup(s.Kill)
		if err := s.proc.start(); err != nil {
			return e, err
		}
	}
	for _, s := range e {
		if err := s.await(); err != nil {
			return e, err
		}
	}
	return e, nil
}

// Servers returns the addresses of all servers.
func (e ZooKeeperEnsemble) Servers() []string {
	var out []string
	for _, s := range e {
		out = append(out, s.Address)
	}
	return out
}

// Leader returns the server that leads (or stands alone), or nil if none says so.
func (e ZooKeeperEnsemble) Leader() *ZooKeeperServer {
	for _, s := range e {
		if mode := s.mode(); mode == "leader" || mode == "standalone" {
			return s
		}
	}
	return nil
}

var modeLine = regexp.MustCompile(`(?m)^Mode: (\w+)`)

// mode asks the server for its part in the ensemble; "" if it does not serve.
func (s *ZooKeeperServer) mode() string {
	c, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("srvr")); err != nil {
		return ""
	}
	text, _ := io.ReadAll(c) // what has come, it closes the connection
	if m := modeLine.FindSubmatch(bytes.TrimSpace(text)); m != nil {
		return string(m[1])
	}
	return ""
}

// await returns when the server serves.
func (s *ZooKeeperServer) await() error {
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if s.mode() != "" {
			return nil
		}
		if s.proc.hasExited() || time.Now().After(deadline) {
			return fmt.Errorf("%s does not serve: %s", s.proc.name, s.proc.logTail())
		}
	}
}

// Kill ends the server with SIGKILL. It does nothing if it is not running.
func (s *ZooKeeperServer) Kill() {
	if s.proc != nil {
		s.proc.end(syscall.SIGKILL)
	}
}

// Stop pauses the server, Cont lets it go on.
func (s *ZooKeeperServer) Stop() { s.proc.signal(syscall.SIGSTOP) }

// Cont lets a paused server go on.
func (s *ZooKeeperServer) Cont() { s.proc.signal(syscall.SIGCONT) }

// Restart starts the server again after Kill, on the same data, and returns when it serves.
func (s *ZooKeeperServer) Restart() {
	s.proc.t.Helper()
	if err := s.proc.start(); err != nil {
		s.proc.t.Fatal(err)
	}
	if err := s.await(); err != nil {
		s.proc.t.Fatalf("engines: %v", err)
	}
}

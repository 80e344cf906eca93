package harness

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(helperVariable); addr != "" {
		sendBack(addr)
	}
	os.Exit(Sandbox(m, nil, "strace"))
}

const helperVariable = "REBASE_TEST_ECHO"

// sendBack is a server, in a process of its own, that sends back what it gets.
func sendBack(addr string) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.WriteString("listening\n")
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// echo starts that server.
func echo(t *testing.T, n *Network, host string) (addr string) {
	t.Helper()
	addr = net.JoinHostPort(n.IP(host), "7")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(n.On(host), exe)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), helperVariable+"="+addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = startLocked(cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, len("listening"))); err != nil {
		t.Fatal(err)
	}
	return addr
}

// ask sends something over a new connection and wants it back.
func ask(addr string, size int, patience time.Duration) (time.Duration, error) {
	start := time.Now()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(start.Add(patience))
	sent := bytes.Repeat([]byte("ping"), size/4)
	go c.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		return 0, err
	}
	if !bytes.Equal(got, sent) {
		return 0, errors.New("something else comes back")
	}
	return time.Since(start), nil
}

func TestNetwork(t *testing.T) {
	n := NewNetwork(t, "a", "b")
	a, b := echo(t, n, "a"), echo(t, n, "b")
	must := func(what, addr string, size int) {
		t.Helper()
		took, err := ask(addr, size, time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, took)
	}
	mustNot := func(what, addr string) {
		t.Helper()
		if _, err := ask(addr, 4, 500*time.Millisecond); err == nil {
			t.Fatal(what)
		}
	}
	must("a", a, 4)
	must("64 MB by a", a, 64<<20) // large segments, both ways
	must("b", b, 4)

	n.Set(Outside, "a", Link{Cut: true})
	mustNot("what is cut is heard", a)
	must("b, when a is cut", b, 4)
	n.Set(Outside, "a", Link{})
	n.Set("a", Outside, Link{Cut: true})
	mustNot("what is cut answers", a)
	n.Heal()
	must("a, healed", a, 4)

	n.Set(Outside, "b", Link{Delay: 200 * time.Millisecond})
	if took, err := ask(b, 4, time.Minute); err != nil || took < 200*time.Millisecond {
		t.Errorf("over a slow link: %v, %v", took, err)
	}
	n.Set(Outside, "b", Link{Loss: 0.02, Delay: time.Millisecond, Jitter: time.Millisecond})
	must("64 KB over a lossy link", b, 64<<10)
	n.Heal()
	must("b, healed", b, 4)

	// From host to host.
	n.AddHost("c")
	c := echo(t, n, "c")
	from := func(host, addr string) error {
		line := append(n.On(host), "bash", "-c", "exec 3<>/dev/tcp/"+strings.Replace(addr, ":", "/", 1)+"; echo x >&3; read -t 1 -u 3")
		cmd := exec.Command(line[0], line[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(2*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		return cmd.Wait()
	}
	if err := from("a", c); err != nil {
		t.Error("a does not reach c:", err)
	}
	n.Partition("c")
	if from("a", c) == nil || from("c", b) == nil {
		t.Error("c is reached, or reaches, over a cut")
	}
	if err := from("a", b); err != nil {
		t.Error("a does not reach b, which is on its side:", err)
	}
	must("c, from outside", c, 4)
	n.Heal()
	n.Mute("c")
	if from("a", c) == nil {
		t.Error("c is heard although it is mute")
	}
	n.Heal()
	if err := from("a", c); err != nil {
		t.Error("a does not reach c after the cut:", err)
	}
}

func TestDisks(t *testing.T) {
	d := NewDisk(t, "300m")
	s := MustStart(t, d.Dir+"/data")
	put := func() (took time.Duration, status string) {
		c, err := Dial(s.Addr, "disk", "")
		if err != nil {
			return 0, err.Error()
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		m, err := c.Call("p", []byte(`{"p":"/x","d":1}`))
		if err != nil {
			return 0, err.Error()
		}
		return time.Since(start), m.Status
	}
	if _, status := put(); status != "ok" {
		t.Fatal(status)
	}
	stop := SlowDisk(t, s, 300*time.Millisecond)
	if took, status := put(); status != "ok" || took < 300*time.Millisecond {
		t.Errorf("on a slow disk: %v, %s", took, status)
	}
	stop()
	if _, status := put(); status != "ok" {
		t.Error(status)
	}
	d.Fill(0)
	if free := d.Free(); free > 8192 {
		t.Errorf("%d bytes are free on a full disk", free)
	}
	d.Relieve()
	if free := d.Free(); free < 1<<20 {
		t.Errorf("%d bytes are free on a relieved disk", free)
	}
	BrokenDisk(t, s, "EIO")
	if _, status := put(); status == "ok" {
		t.Error("a write is acknowledged that the disk has refused")
	}
}

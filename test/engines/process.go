package engines

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// process is a server that can be started several times with the same arguments.
type process struct {
	t    testing.TB
	name string
	args []string
	env  []string
	dir  string // for its output

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

func (p *process) output() string { return filepath.Join(p.dir, p.name+".log") }

// start starts it; it is killed when the test ends.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("engines: %s is running", p.name)
	}
	out, err := os.OpenFile(p.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // how it ended is in its output
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	return nil
}

// signal sends a signal to the process, which must be running.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		p.t.Errorf("engines: %s is not running", p.name)
		return
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("engines: signal %v to %s: %v", s, p.name, err)
	}
}

// end sends a signal and waits for the end. It does nothing if the process is not running.
func (p *process) end(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGCONT) // a paused process takes no other signal than SIGKILL
	p.cmd.Process.Signal(s)
	<-p.exited
	p.cmd = nil
}

// hasExited tells whether the process has ended of itself.
func (p *process) hasExited() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return true
	}
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// logTail is the end of what the process has written.
func (p *process) logTail() string {
	text, err := os.ReadFile(p.output())
	if err != nil {
		return err.Error()
	}
	if len(text) > 4000 {
		text = text[len(text)-4000:]
	}
	return string(bytes.TrimSpace(text))
}

var (
	portsMu sync.Mutex
	given   = map[int]bool{}
)

// FreePort returns a TCP port of the loopback that nothing listens on, and that it has not returned before. Another
// process may still be faster.
func FreePort(t testing.TB) int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if !given[port] {
			given[port] = true
			return port
		}
	}
	t.Fatal("engines: no free port")
	return 0
}

// started is a number of servers that start has begun. A port may be taken by another between its choice and its use: then it is tried again.
func started[S ~[]P, P interface{ Kill() }](t testing.TB, name string, start func() (S, error)) S {
	t.Helper()
	var err error
	for range 3 {
		var servers S
		if servers, err = start(); err == nil {
			return servers
		}
		for _, s := range servers {
			s.Kill()
		}
	}
	t.Fatalf("engines: start %s: %v", name, err)
	return nil
}

package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build compiles the server into a folder that lives until the test process ends;
// the second call returns what the first has made. Call Cleanup in TestMain.
func Build() (string, error) {
	build.once.Do(func() {
		if build.bin = os.Getenv(binaryVariable); build.bin != "" {
			return
		}
		if build.dir, build.err = os.MkdirTemp("", "rebase-harness"); build.err != nil {
			return
		}
		build.bin = filepath.Join(build.dir, "rebase")
		build.err = compile(build.bin)
	})
	return build.bin, build.err
}

// BuildVersion compiles a server that says it is of another version.
func BuildVersion(t testing.TB, version string) (bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), "rebase-"+version)
	if err := compile(bin, "-ldflags", "-s -w -X main.version="+version); err != nil {
		t.Fatal(err)
	}
	return bin
}

func compile(bin string, flags ...string) error {
	args := append(append([]string{"build", "-o", bin}, flags...), "rebase/cmd/rebase")
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Cleanup removes what Build has made.
func Cleanup() {
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
}

var build struct {
	once     sync.Once
	dir, bin string
	err      error
}

// Server is a running server process.
type Server struct {
	Addr string // host:port

	cmd       *exec.Cmd
	output    *tail
	listening chan string
	exited    chan struct{}
	err       error // of the process, once it has exited
}

// startTime bounds a start, replay included.
const startTime = time.Minute

// ErrNotStarted is wrapped by Start's errors when the process ended before it
// listened.
var ErrNotStarted = errors.New("the server did not start")

// StartError is how a start failed.
type StartError struct {
	Code   int
	Output string // what the process wrote to standard error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("%v: exit code %d\n%s", ErrNotStarted, e.Code, e.Output)
}

func (e *StartError) Unwrap() error { return ErrNotStarted }

// Command is a server process that is to be started.
type Command struct {
	Bin  string   // the server; "" is the one that Build makes
	On   []string // what its command line begins with, such as Network.On
	Args []string
	Env  []string  // further variables
	Log  io.Writer // gets what it writes to standard error, too; may be nil
}

// Start runs "rebase serve" on a data folder with further flags, on a free port, and
// returns when it listens. The process is killed when the test ends, if not before.
func Start(t testing.TB, data string, flags ...string) (*Server, error) {
	t.Helper()
	s, err := Launch(t, Command{Args: append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)})
	if err != nil {
		return nil, err
	}
	if err := s.Listening(startTime); err != nil {
		return nil, err
	}
	return s, nil
}

// Launch starts a server and does not wait for it. The process is killed when the test ends, if not before.
func Launch(t testing.TB, c Command) (*Server, error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc and signals as Linux has them")
	}
	if c.Bin == "" {
		var err error
		if c.Bin, err = Build(); err != nil {
			t.Fatal(err)
		}
	}
	line := append(append(slices.Clone(c.On), c.Bin), c.Args...)
	s := &Server{cmd: exec.Command(line[0], line[1:]...), output: new(tail), listening: make(chan string, 1), exited: make(chan struct{})}
	s.cmd.Stderr = s.output
	if c.Log != nil {
		s.cmd.Stderr = io.MultiWriter(s.output, c.Log)
	}
	// A server takes flags from variables, too; those of this process are for the tests.
	s.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REBASE_") }), c.Env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startLocked(s.cmd); err != nil {
		return nil, err
	}
	t.Cleanup(s.Kill)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on http://"); ok {
				s.listening <- url
			}
		}
		io.Copy(io.Discard, stdout)
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

// Listening waits until a server that was launched listens, and sets Addr. To be called once. A server that
// takes too long is ended.
func (s *Server) Listening(patience time.Duration) error {
	select {
	case s.Addr = <-s.listening:
		return nil
	case <-s.exited:
		return &StartError{s.cmd.ProcessState.ExitCode(), s.output.String()}
	case <-time.After(patience):
		s.cmd.Process.Signal(syscall.SIGQUIT) // which makes it say where it stands
		<-s.exited
		return fmt.Errorf("%w within %v\n%s", ErrNotStarted, patience, s.output)
	}
}

// MustStart is Start; a failure is the test's.
func MustStart(t testing.TB, data string, flags ...string) *Server {
	t.Helper()
	s, err := Start(t, data, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spawner starts processes from a thread that never ends: the signal that ties a
// process to its parent's life comes when the thread that forked it ends.
var spawner struct {
	once sync.Once
	jobs chan func()
}

func startLocked(cmd *exec.Cmd) error {
	spawner.once.Do(func() {
		spawner.jobs = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range spawner.jobs {
				f()
			}
		}()
	})
	done := make(chan error)
	spawner.jobs <- func() { done <- cmd.Start() }
	return <-done
}

// Kill ends the process with SIGKILL and waits for it. It may be called more than
// once.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// Signal sends the process a signal, such as SIGSTOP and SIGCONT.
func (s *Server) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// Stop ends the process with SIGTERM, as an operator would, and waits; the error is
// that of the process.
func (s *Server) Stop(ctx context.Context) error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("the server does not end: %w", context.Cause(ctx))
	}
}

// PID is the process's number.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// ExitCode is the code of a process that has exited; -1 if a signal ended it.
func (s *Server) ExitCode() int { return s.cmd.ProcessState.ExitCode() }

// Output is the end of what the process wrote to standard error.
func (s *Server) Output() string { return s.output.String() }

// RSS is the memory of the process that is in RAM, in bytes.
func (s *Server) RSS() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm: %q", text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 256 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailBytes; extra > tailBytes {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

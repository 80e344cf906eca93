package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is the process under test.
type server struct {
	name   string // before the names of its figures
	target Target
	pid    int
	cmd    *exec.Cmd // nil if it was not started here
	dir    string
	bin    string
}

// startServer runs a server of this program on a data folder and waits until it listens.
func startServer(ctx context.Context, bin, dir string) (*server, error) {
	cmd := exec.CommandContext(ctx, bin, "serve", "--listen", "127.0.0.1:0", "--data", dir, "--log-level", "warn")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() {
				for lines.Scan() {
				}
			}()
			s := &server{
				target: Target{strings.TrimSpace(url), "bench"},
				pid:    cmd.Process.Pid, cmd: cmd, dir: dir, bin: bin,
			}
			return s, nil
		}
	}
	return nil, errors.Join(errors.New("the server ended before it listened"), cmd.Wait())
}

// stop ends the server with a signal and waits for it.
func (s *server) stop(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	err := s.cmd.Wait()
	if sig == syscall.SIGKILL {
		return nil
	}
	return err
}

// cpu is the CPU time that the process has used, with the clock tick's resolution (10 ms).
func (s *server) cpu() (time.Duration, error) {
	if s.pid == 0 {
		return 0, errNoProcess
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; the fields count from behind it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", s.pid, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}

var errNoProcess = errors.New("the server's process id is not known: give --pid")

// rss is the memory of the process that is resident, in bytes.
func (s *server) rss() (int64, error) {
	if s.pid == 0 {
		return 0, errNoProcess
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc status")
}

// diskBytes is what the files of a folder take.
func diskBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

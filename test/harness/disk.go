package harness

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Disk is a small file system, in memory, that can be filled.
type Disk struct {
	Dir string
	t   testing.TB
}

// NewDisk mounts a file system of a size such as "400m". It needs a Sandbox.
func NewDisk(t testing.TB, size string) *Disk {
	t.Helper()
	if os.Getenv(sandboxVariable) == "" {
		t.Fatal("a small disk needs a sandbox: see harness.Sandbox")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal("mounting a small file system:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &Disk{dir, t}
}

const ballast = "ballast"

// Fill leaves so many bytes free. Filling again takes what has become free meanwhile.
func (d *Disk) Fill(free int64) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Dir, ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	zeros := make([]byte, 1<<20)
	for {
		n := d.Free() - free
		if n <= 0 {
			return
		}
		if _, err := f.Write(zeros[:min(n, int64(len(zeros)))]); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

// Free is how many bytes are free.
func (d *Disk) Free() int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.Dir, &fs); err != nil {
		d.t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// Relieve frees what Fill has taken.
func (d *Disk) Relieve() {
	if err := os.Remove(filepath.Join(d.Dir, ballast)); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
}

// SlowDisk makes every fsync and fdatasync of a process take so much longer, until the function that it returns is called or the
// process ends. strace does it, and as it looks at every call, the whole process becomes slower. The
// sandbox needs the tool "strace".
func SlowDisk(t testing.TB, s *Server, delay time.Duration) (stop func()) {
	t.Helper()
	return inject(t, s, fmt.Sprintf("fdatasync,fsync:delay_enter=%d", delay.Microseconds()))
}

// BrokenDisk makes every fsync and fdatasync of a process fail with an error such as "EIO".
func BrokenDisk(t testing.TB, s *Server, errno string) (stop func()) {
	t.Helper()
	return inject(t, s, "fdatasync,fsync:error="+errno)
}

// inject attaches strace. It returns when strace has done so.
func inject(t testing.TB, s *Server, what string) (stop func()) {
	t.Helper()
	cmd := exec.Command("strace", "-f", "-p", fmt.Sprint(s.PID()), "-e", "trace=fdatasync,fsync", "-e", "inject="+what, "-o", "/dev/null")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // at which it detaches
	said, err := cmd.StderrPipe()
	if err == nil {
		err = startLocked(cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	attached, exited := make(chan struct{}), make(chan struct{})
	var text strings.Builder
	go func() {
		defer close(exited)
		lines := bufio.NewScanner(said)
		for first := true; lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if first && strings.Contains(lines.Text(), " attached") {
				first = false
				close(attached)
			}
		}
		cmd.Wait()
	}()
	select {
	case <-attached:
	case <-exited:
		t.Fatalf("strace does not attach: %s", &text)
	case <-time.After(startTime):
		t.Fatal("strace does not attach in time")
	}
	end := func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-exited
	}
	t.Cleanup(end)
	return end
}

package crash

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rebase/test/harness"
)

// smallDisk mounts a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs to mount a small file system, as root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file that leaves so many bytes free.
func fill(t *testing.T, disk, name string, free int64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(disk, &fs); err != nil {
		t.Fatal(err)
	}
	n := int64(fs.Bavail)*fs.Bsize - free
	if n <= 0 {
		return
	}
	if err := os.WriteFile(filepath.Join(disk, name), make([]byte, n), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// ready says whether the server says that it can be written to.
func ready(addr string) bool {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + "/_rebase/ready")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// patience bounds waits that end sooner unless something is wrong.
const patience = time.Minute

func TestFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := max(3, kills(t, 0)/10)
	disk := smallDisk(t, "400m")
	f := newFleet(t, harness.Seed(t), "--log-retain", "4MiB", "--checkpoint-every", "200ms", "--cache", "16MiB")
	f.data = filepath.Join(disk, "data")
	for i, w := range f.workers {
		w.fails = true
		w.blobs = i%2 == 0 && !w.rest
	}
	f.start()
	for round := range rounds {
		stop := make(chan struct{})
		var all sync.WaitGroup
		for _, w := range f.workers {
			all.Go(func() { w.run(f.server.Addr, stop) })
		}
		time.Sleep(time.Duration(f.rng.IntN(300)) * time.Millisecond)
		fill(t, disk, "ballast", f.rng.Int64N(8<<20))
		ended := false
		for begin := time.Now(); ready(f.server.Addr); time.Sleep(20 * time.Millisecond) {
			if time.Since(begin) > patience {
				t.Fatalf("the disk is full, and the server says that it is ready\n%s", f.server.Output())
			}
			// What it frees by trimming must not keep it going for ever.
			fill(t, disk, "ballast2", 0)
		}
		select {
		case <-f.server.Exited():
			ended = true
			if code := f.server.ExitCode(); code != 1 {
				t.Errorf("exit code %d", code)
			}
		case <-time.After(patience):
		}
		if out := f.server.Output(); !strings.Contains(out, "no space left") {
			t.Errorf("the server does not say that the disk is full:\n%s", out)
		}
		t.Logf("round %d: the server ended by itself: %v", round, ended)
		f.server.Kill()
		close(stop)
		all.Wait()

		// Still no space: it may start or refuse, but must not forget.
		server, err := harness.Start(t, f.data, f.flags...)
		var refused *harness.StartError
		switch {
		case err == nil:
			f.server = server
			f.check()
			f.server.Kill()
		case !errors.As(err, &refused) || !strings.Contains(refused.Output, "no space left"):
			t.Errorf("on the full disk: %v", err)
		default:
			t.Logf("on the full disk: exit code %d", refused.Code)
		}
		for _, name := range []string{"ballast", "ballast2"} {
			if err := os.Remove(filepath.Join(disk, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		f.start()
		if !ready(f.server.Addr) {
			t.Fatal("there is space again, and the server is not ready")
		}
		f.check()
	}
	f.report(rounds)
}

package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"rebase/test/harness"
)

// exitCorrupt is the documented exit code for damaged data.
const exitCorrupt = 5

func overwrite(t *testing.T, path string, off int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// flip changes one byte, and changes it back when it is called again.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	overwrite(t, path, off, b[:])
}

// fingerprint is of all files in a folder, but for locks.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LOCK" {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%d bytes, %x", len(text), xxhash.Sum64(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// withoutREST leaves the workers whose entries in the log can be told.
func (f *fleet) withoutREST() *fleet {
	f.workers = slices.DeleteFunc(f.workers, func(w *worker) bool { return w.rest })
	return f
}

// A write that was cut off by the end of the power leaves the beginning of a block,
// or any mixture of its sectors and what was there before.
func TestTornTailIsCut(t *testing.T) {
	t.Parallel()
	rounds := max(6, kills(t, 0)/2)
	f := newFleet(t, harness.Seed(t), "--log-retain", "100GiB", "--cache", "16MiB").withoutREST()
	f.start()
	torn, appended := 0, 0
	for range rounds {
		f.work()
		all := segments(t, f.data)
		s := all[len(all)-1]
		if b := s.last(); len(s.blocks) > 1 && !f.acknowledged(b) {
			torn++
			keep := b.off + f.rng.Int64N(b.end-b.off)
			how := f.rng.IntN(4)
			t.Logf("the last block is at %d to %d, of %d; damage %d from %d", b.off, b.end, s.size, how, keep)
			switch how {
			case 0:
				if err := os.Truncate(s.path, keep); err != nil {
					t.Fatal(err)
				}
			case 1:
				overwrite(t, s.path, keep, make([]byte, b.end-keep))
			case 2:
				flip(t, s.path, keep)
			case 3:
				garbage := make([]byte, b.end-keep)
				for i := range garbage {
					garbage[i] = byte(f.rng.Uint32())
				}
				overwrite(t, s.path, keep, garbage)
			}
		} else {
			// Everything is acknowledged, so what was cut off comes behind it: a piece
			// of an earlier block passes for the beginning of a new one.
			appended++
			from := s.blocks[f.rng.IntN(len(s.blocks))]
			text, err := os.ReadFile(s.path)
			if err != nil {
				t.Fatal(err)
			}
			piece := slices.Clone(text[from.off:from.end])
			n := min(1+f.rng.IntN(len(piece)), int(s.size-b.end))
			t.Logf("%d of %d bytes of the block at %d are put behind the end at %d", n, len(piece), from.off, b.end)
			overwrite(t, s.path, b.end, piece[:n])
		}
		f.start()
		f.check()
	}
	t.Logf("%d blocks torn, %d pieces appended", torn, appended)
	f.report(rounds)
}

// The tests above are worth something only if they notice a loss.
func TestLossIsNoticed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, harness.Seed(t), "--log-retain", "100GiB", "--checkpoint-every", "1h").withoutREST()
	f.start()
	f.work()
	all := segments(t, f.data)
	s := all[len(all)-1]
	for len(s.blocks) > 0 && !f.acknowledged(s.last()) {
		s.blocks = s.blocks[:len(s.blocks)-1]
	}
	if len(s.blocks) < 2 {
		t.Fatal("nothing was acknowledged")
	}
	// Half of it, since the last block alone may hold nothing that anybody misses: what is overwritten, or a confirmation.
	lost := s.blocks[len(s.blocks)/2:]
	if err := os.Truncate(s.path, lost[0].off); err != nil {
		t.Fatal(err)
	}
	server, err := harness.Start(t, f.data, f.flags...)
	if err != nil {
		t.Logf("noticed at the start: %v", err)
		return
	}
	leaves, err := flatten(export(t, server.Addr))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range f.workers {
		if _, err := w.settle(leaves); err != nil {
			return
		}
	}
	t.Errorf("%d acknowledged blocks were cut off, and no worker misses anything", len(lost))
}

func TestDamagedLogIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t, harness.Seed(t), "--log-retain", "100GiB", "--cache", "16MiB")
	f.start()
	f.work()
	all := segments(t, f.data)
	type place struct {
		path string
		off  int64
	}
	var places []place
	for i, s := range all {
		end := s.last().end
		if i == len(all)-1 {
			end = s.last().off // nothing vouches for the last block of a log that was not closed
		}
		places = append(places, place{s.path, int64(f.rng.IntN(segmentHeader))}, place{s.path, segmentHeader + f.rng.Int64N(blockHeader)})
		for range max(6, kills(t, 0)/4) {
			if end > segmentHeader {
				places = append(places, place{s.path, segmentHeader + f.rng.Int64N(end-segmentHeader)})
			}
		}
	}
	for _, p := range places {
		flip(t, p.path, p.off)
		before := fingerprint(t, f.data)
		_, err := harness.Start(t, f.data, f.flags...)
		var refused *harness.StartError
		switch {
		case !errors.As(err, &refused):
			t.Fatalf("byte %d of %s is damaged, and the server starts: %v", p.off, p.path, err)
		case refused.Code != exitCorrupt:
			t.Errorf("exit code %d for damage at %d of %s\n%s", refused.Code, p.off, p.path, refused.Output)
		case !strings.Contains(refused.Output, p.path):
			t.Errorf("the message does not name %s\n%s", p.path, refused.Output)
		default:
			m := regexp.MustCompile(`offset (\d+)`).FindStringSubmatch(refused.Output)
			if m == nil {
				t.Errorf("the message names no offset\n%s", refused.Output)
				break
			}
			if at, _ := strconv.ParseInt(m[1], 10, 64); at > p.off {
				t.Errorf("the message says %d, the damage is at %d", at, p.off)
			}
		}
		for path, was := range fingerprint(t, f.data) {
			if before[path] != was {
				t.Errorf("the refused start has changed %s from %s to %s", path, before[path], was)
			}
		}
		flip(t, p.path, p.off)
	}
	t.Logf("%d places", len(places))
	f.start()
	f.check()
}

// A damaged store is refused, or what is damaged in it is not served. As long as the
// log is whole, taking the store away repairs it.
func TestDamagedStoreIsNotServed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, harness.Seed(t), "--log-retain", "100GiB", "--checkpoint-every", "100ms", "--cache", "16MiB")
	f.workers[0].blobs = true
	f.start()
	f.work()
	f.start()
	f.check()
	f.work()
	f.start()
	f.check()
	want := export(t, f.server.Addr)
	f.stop()
	whole := filepath.Join(t.TempDir(), "whole")
	dir := filepath.Join(f.data, "store")
	if err := os.CopyFS(whole, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
	}
	names, err := os.ReadDir(whole)
	if err != nil {
		t.Fatal(err)
	}
	refused, failed, intact, tables := 0, 0, 0, 0
	for _, name := range names {
		info, err := name.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 || name.IsDir() {
			continue
		}
		times := 2
		if filepath.Ext(name.Name()) == ".sst" {
			tables++
			times = max(4, kills(t, 0)/10)
		}
		for range times {
			path, off := filepath.Join(dir, name.Name()), f.rng.Int64N(info.Size())
			flip(t, path, off)
			server, err := harness.Start(t, f.data, f.flags...)
			if err != nil {
				var e *harness.StartError
				if !errors.As(err, &e) || e.Code != exitCorrupt {
					t.Errorf("byte %d of %s is damaged: %v", off, name.Name(), err)
				} else if !strings.Contains(e.Output, "Move the folder \"store\" away") || strings.Contains(e.Output, "goroutine ") {
					t.Errorf("byte %d of %s is damaged, and the message does not tell where:\n%s", off, name.Name(), e.Output)
				}
				refused++
				restore()
				continue
			}
			got, err := get(server.Addr, "/.json?format=export&ns="+ns)
			switch {
			case err != nil:
				failed++
				t.Logf("byte %d of %s is damaged: %v", off, name.Name(), err)
				for begin := time.Now(); !strings.Contains(server.Output(), "level=ERROR"); time.Sleep(10 * time.Millisecond) {
					if time.Since(begin) > patience {
						t.Fatalf("the server's log does not tell of byte %d of %s:\n%s", off, name.Name(), server.Output())
					}
				}
			case bytes.Equal(got, want):
				intact++
			default:
				t.Errorf("byte %d of %s is damaged, and wrong data are served: %d bytes instead of %d, different from %d on",
					off, name.Name(), len(got), len(want), commonPrefix(got, want))
			}
			server.Kill()
			restore()
		}
	}
	t.Logf("%d tables; damage refused %d times, failed to read %d times, not met %d times", tables, refused, failed, intact)
	if tables == 0 {
		t.Error("the store has no table")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	f.start()
	if got := export(t, f.server.Addr); !bytes.Equal(got, want) {
		t.Errorf("the store made from the log alone differs from byte %d on", commonPrefix(got, want))
	}
	t.Logf("the store was made anew within %v", time.Since(begin).Round(time.Millisecond))
	f.check()
}

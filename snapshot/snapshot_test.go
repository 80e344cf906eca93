package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rebase/blob"
	"rebase/store"
	"rebase/test/engines"
	"rebase/tree"
)

var bg = context.Background()

func openStore(t testing.TB, dir string, fs vfs.FS) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{FS: fs, CacheBytes: 4 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write commits batches at positions from to to.
func write(t testing.TB, s *store.Store, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		rng := rand.New(rand.NewPCG(uint64(i), 5))
		b := s.NewBatch()
		for range 3 {
			noise := make([]byte, rng.IntN(300)+1)
			for j := range noise {
				noise[j] = byte('a' + rng.IntN(26))
			}
			v := tree.NewString(string(noise)).WithPriority(tree.NewInt(int64(i)))
			if err := b.Set(fmt.Sprintf("ns%d", rng.IntN(3)), tree.Path(fmt.Sprintf("room%d/%d", rng.IntN(9), rng.IntN(500))), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.SetMeta([]byte("cursor"), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// digest walks everything that is in a store.
func digest(t testing.TB, r store.Reader, meta func([]byte, func(k, v []byte) bool) error, spaces []string) string {
	t.Helper()
	sum := crc32.New(castagnoli)
	n := 0
	for _, ns := range spaces {
		fmt.Fprintf(sum, "namespace %q\n", ns)
		each := func(kind string) func(p tree.Path, v *tree.Node) error {
			return func(p tree.Path, v *tree.Node) error {
				n++
				_, err := fmt.Fprintf(sum, "%s %q %s\n", kind, p, tree.AppendExport(nil, v))
				return err
			}
		}
		if err := r.Walk(ns, "", each("leaf"), each("priority")); err != nil {
			t.Fatal(err)
		}
	}
	if err := meta(nil, func(k, v []byte) bool { n++; fmt.Fprintf(sum, "meta %q %q\n", k, v); return true }); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d records, %08x", n, sum.Sum32())
}

func digestOf(t testing.TB, s *store.Store) string {
	t.Helper()
	n := s.Snapshot()
	defer n.Close()
	spaces, err := n.Namespaces()
	if err != nil {
		t.Fatal(err)
	}
	return digest(t, n, n.ScanMeta, spaces)
}

// reference is the digest of a store with the batches up to a position.
func reference(t testing.TB, position uint64) string {
	t.Helper()
	s := openStore(t, "reference", vfs.NewMem())
	defer s.Close()
	write(t, s, 1, int(position))
	return digestOf(t, s)
}

func stream(t testing.TB, batches int) ([]byte, uint64) {
	t.Helper()
	fs := vfs.NewMem()
	s := openStore(t, "db", fs)
	defer s.Close()
	write(t, s, 1, batches)
	var buf bytes.Buffer
	p, err := Write(bg, s, &buf, Options{FS: fs, Temp: "tmp"})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), p
}

// TestRoundTrip copies a store several times while it is written to. Each copy is what the store was at the copy's position, and goes on
// from there.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "db"), vfs.Default)
	defer s.Close()
	write(t, s, 1, 200)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 201; i < 1000; i++ { // the reference writes them all again
			select {
			case <-stop:
				return
			default:
				write(t, s, i, i)
			}
		}
	})
	last := uint64(0)
	for round := range 4 {
		var buf bytes.Buffer
		var seen, total int64
		o := Options{Temp: filepath.Join(dir, "tmp"), Progress: func(done, all int64) { seen, total = done, all }}
		p, err := Write(bg, s, &buf, o)
		if err != nil {
			t.Fatal(err)
		}
		if seen != total || total != int64(buf.Len()) {
			t.Errorf("progress ended at %d of %d, the stream has %d", seen, total, buf.Len())
		}
		if p < max(last, 200) {
			t.Fatalf("round %d: position %d after %d", round, p, last)
		}
		last = p
		to := filepath.Join(dir, fmt.Sprintf("copy%d", round))
		seen = 0
		behind := strings.NewReader("what follows")
		got, err := Restore(bg, io.MultiReader(iotest.HalfReader(&buf), behind), to, o)
		if err != nil || got != p {
			t.Fatalf("restored %d, %v; want %d", got, err, p)
		}
		if behind.Len() != len("what follows") {
			t.Error("it read beyond the end of the stream")
		}
		if seen != total {
			t.Errorf("progress of the restore ended at %d of %d", seen, total)
		}
		c := openStore(t, to, vfs.Default)
		if c.Applied() != p {
			t.Fatalf("copy is at %d, want %d", c.Applied(), p)
		}
		if a, b := digestOf(t, c), reference(t, p); a != b {
			t.Fatalf("copy at %d has %s, want %s", p, a, b)
		}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		write(t, c, int(p)+1, int(p)+20)
		if a, b := digestOf(t, c), reference(t, p+20); a != b {
			t.Fatalf("copy has %s after more batches, want %s", a, b)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	writer.Wait()
	if names, err := vfs.Default.List(filepath.Join(dir, "tmp")); err != nil || len(names) != 0 {
		t.Errorf("left over: %q, %v", names, err)
	}
}

func absent(t testing.TB, fs vfs.FS, dir string) {
	t.Helper()
	names, err := fs.List("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "copy") {
			t.Fatalf("left over: %s", name)
		}
	}
}

// TestDamage cuts the stream everywhere and flips a bit in every byte, or in many of them: nothing is restored.
func TestDamage(t *testing.T) {
	good, _ := stream(t, 5)
	fs := vfs.NewMem()
	try := func(name string, p []byte) {
		t.Helper()
		if _, err := Restore(bg, bytes.NewReader(p), "/copy", Options{FS: fs}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", name, err)
		}
		absent(t, fs, "/copy")
	}
	for n := 0; n < len(good); n += 1 + n/200 {
		try(fmt.Sprintf("cut at %d", n), good[:n])
	}
	try("cut before the last byte", good[:len(good)-1])
	step := 1
	for at := 0; at < len(good); at += step {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		try(fmt.Sprintf("bit of byte %d", at), bad)
		if at > 400 && at < len(good)-100 {
			step = 17
		} else {
			step = 1
		}
	}
	if _, err := Restore(bg, bytes.NewReader(good), "/copy", Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(bg, bytes.NewReader(good), "/copy", Options{FS: fs}); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("restore over a store: %v", err)
	}
}

// forge makes a stream, with good checksums, of files that may be anything.
func forge(position uint64, files ...[2]string) []byte {
	size := int64(headerSize + trailerSize)
	for _, f := range files {
		size += fileBytes(f[0], int64(len(f[1])))
	}
	var buf bytes.Buffer
	w := &writer{ctx: bg, w: &buf, sum: sha(), pace: newPace(Options{}, size)}
	w.Write(header{position, uint64(len(files)), uint64(size)}.encode())
	for _, f := range files {
		w.Write(fileRecord(f[0], uint64(len(f[1]))))
		w.Write([]byte(f[1]))
		w.Write(binary.LittleEndian.AppendUint32(nil, crc32.Checksum([]byte(f[1]), castagnoli)))
	}
	w.Write(trailer(position, [32]byte(w.sum.Sum(nil))))
	return buf.Bytes()
}

// TestForged: names that lead elsewhere, files twice, and what is no store.
func TestForged(t *testing.T) {
	fs := vfs.NewMem()
	for _, name := range []string{"../evil", "/evil", "a/b", "..", ".", "", "a\\b", "C:evil", ".hidden", "a\x00b", "LOCK", "trailing.", strings.Repeat("x", 256)} {
		if _, err := Restore(bg, bytes.NewReader(forge(1, [2]string{name, "x"})), "/copy", Options{FS: fs}); !errors.Is(err, ErrDamaged) {
			t.Errorf("file %q: %v", name, err)
		}
		absent(t, fs, "/copy")
	}
	for what, p := range map[string][]byte{
		"twice":    forge(1, [2]string{"a", "x"}, [2]string{"a", "y"}),
		"no files": forge(1),
		"no store": forge(1, [2]string{"a", "x"}),
		"a broken store": forge(1, [2]string{"marker.manifest.000001.MANIFEST-000001", ""}, [2]string{"MANIFEST-000001", "x"},
			[2]string{"marker.format-version.000001.013", ""}),
	} {
		if _, err := Restore(bg, bytes.NewReader(p), "/copy", Options{FS: fs}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		absent(t, fs, "/copy")
	}
	// A real store under another position.
	good, p := stream(t, 3)
	binary.LittleEndian.PutUint64(good[8:], p+1)
	var files [][2]string
	for at := headerSize; at < len(good)-trailerSize; {
		n, size := int(binary.LittleEndian.Uint32(good[at+4:])), int(binary.LittleEndian.Uint64(good[at+8:]))
		at += recordSize
		files = append(files, [2]string{string(good[at : at+n]), string(good[at+n : at+n+size])})
		at += n + size + sumSize
	}
	if _, err := Restore(bg, bytes.NewReader(forge(p+1, files...)), "/copy", Options{FS: fs}); !errors.Is(err, ErrDamaged) {
		t.Errorf("wrong position: %v", err)
	}
	if got, err := Restore(bg, bytes.NewReader(forge(p, files...)), "/copy", Options{FS: fs}); err != nil || got != p {
		t.Errorf("the right position: %d, %v", got, err)
	}
}

// TestCrash cuts the power during a Restore: afterwards there is a whole store or none, and a whole one if Restore had returned.
func TestCrash(t *testing.T) {
	good, p := stream(t, 10)
	want := reference(t, p)
	whole, none := 0, 0
	for at := int64(1); at < 200; at += 3 {
		mem := vfs.NewCrashableMem()
		left := at
		var clone *vfs.MemFS
		rng := rand.New(rand.NewPCG(uint64(at), 3))
		var mu sync.Mutex
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(at * 31 % 101), RNG: rng})
			}
			return nil
		}))
		if _, err := Restore(bg, bytes.NewReader(good), "copy", Options{FS: fs}); err != nil {
			t.Fatal(err)
		}
		acked := clone == nil
		if acked {
			clone = mem.CrashClone(vfs.CrashCloneCfg{})
		}
		if _, err := clone.Stat("copy"); err != nil {
			if acked {
				t.Fatalf("crash at %d: the store is gone: %v", at, err)
			}
			none++
			if _, err := Restore(bg, bytes.NewReader(good), "copy", Options{FS: clone}); err != nil {
				t.Fatalf("crash at %d: restore again: %v", at, err)
			}
		} else {
			whole++
		}
		s := openStore(t, "copy", clone)
		if got := digestOf(t, s); got != want || s.Applied() != p {
			t.Fatalf("crash at %d: store has %s at %d, want %s at %d", at, got, s.Applied(), want, p)
		}
		s.Close()
	}
	if whole == 0 || none == 0 {
		t.Fatalf("%d crashes after the end, %d before", whole, none)
	}
}

func TestCancelled(t *testing.T) {
	good, _ := stream(t, 10)
	fs := vfs.NewMem()
	ctx, cancel := context.WithCancel(bg)
	o := Options{FS: fs, Temp: "tmp", Progress: func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	}}
	if _, err := Restore(ctx, bytes.NewReader(good), "/copy", o); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled restore: %v", err)
	}
	absent(t, fs, "/copy")
	s := openStore(t, "db", fs)
	defer s.Close()
	write(t, s, 1, 10)
	if _, err := Write(ctx, s, io.Discard, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled write: %v", err)
	}
	broken := errors.New("connection lost")
	if _, err := Write(bg, s, &failing{broken}, Options{FS: fs, Temp: "tmp"}); !errors.Is(err, broken) {
		t.Fatalf("write to a broken connection: %v", err)
	}
	if names, err := fs.List("tmp"); err != nil || len(names) != 0 {
		t.Fatalf("left over: %q, %v", names, err)
	}
	src, err := Open(s, Options{FS: fs, Temp: "tmp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Clean("tmp", fs); err != nil {
		t.Fatal(err)
	}
	if names, err := fs.List("tmp"); err != nil || len(names) != 0 {
		t.Fatalf("not cleaned: %q, %v", names, err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Clean("nowhere", fs); err != nil {
		t.Fatal(err)
	}
}

type failing struct{ err error }

func (f *failing) Write([]byte) (int, error) { return 0, f.err }

// TestBucket uploads, lists, prunes and downloads, with a folder and with an S3 server that is restarted during the download.
func TestBucket(t *testing.T) {
	server := engines.S3(t)
	remote, err := blob.Open(bg, server.URL(server.Bucket, "backup"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]blob.Bucket{"folder": blob.OpenFolder(filepath.Join(t.TempDir(), "b"), vfs.Default), "s3": remote} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Temp: filepath.Join(dir, "tmp")}
			if _, err := Latest(bg, b, "snap/c1"); !errors.Is(err, blob.ErrNotFound) {
				t.Fatalf("latest of none: %v", err)
			}
			s := openStore(t, filepath.Join(dir, "db"), vfs.Default)
			defer s.Close()
			for i := range 4 {
				write(t, s, i*300+1, i*300+300)
				for range 2 { // the second finds it there
					info, err := Upload(bg, s, b, "snap/c1", o)
					if err != nil || info.Position != uint64(i*300+300) {
						t.Fatalf("upload: %+v, %v", info, err)
					}
				}
			}
			if _, err := Upload(bg, s, b, "snap/c10", o); err != nil {
				t.Fatal(err)
			}
			if n, err := Prune(bg, b, "snap/c1", 2); n != 2 || err != nil {
				t.Fatalf("pruned %d, %v", n, err)
			}
			if n, err := Prune(bg, b, "snap/c10", 0); n != 0 || err != nil {
				t.Fatalf("the last one was pruned: %d, %v", n, err)
			}
			all, err := List(bg, b, "snap/c1")
			if err != nil || len(all) != 2 || all[0].Position != 900 || all[1].Position != 1200 {
				t.Fatalf("list: %+v, %v", all, err)
			}
			info, err := Latest(bg, b, "snap/c1")
			if err != nil || info != all[1] {
				t.Fatalf("latest: %+v, %v", info, err)
			}
			var once sync.Once
			var restart sync.WaitGroup
			o.Progress = func(done, total int64) {
				if done > total/2 && b == remote {
					once.Do(func() {
						server.Kill()
						restart.Go(func() {
							time.Sleep(20 * time.Millisecond) // so that something fails; it matters to none
							server.Start()
						})
					})
				}
			}
			to := filepath.Join(dir, "copy")
			if p, err := Download(bg, b, info, to, o); p != 1200 || err != nil {
				t.Fatalf("download: %d, %v", p, err)
			}
			restart.Wait()
			c := openStore(t, to, vfs.Default)
			defer c.Close()
			if a, b := digestOf(t, c), digestOf(t, s); a != b {
				t.Fatalf("copy has %s, the store %s", a, b)
			}
			if _, err := Download(bg, b, Info{Key: keyOf("snap/c1", 7)}, to+"2", o); !errors.Is(err, blob.ErrNotFound) {
				t.Fatalf("download of what is not there: %v", err)
			}
		})
	}
}

func FuzzRestore(f *testing.F) {
	good, _ := stream(f, 2)
	f.Add(good[:min(len(good), 2000)], true)
	f.Add(forge(1, [2]string{"../x", "y"}), false)
	f.Add(forge(1, [2]string{"marker.manifest.000001.MANIFEST-000001", ""}, [2]string{"MANIFEST-000001", "x"}), false)
	f.Fuzz(func(t *testing.T, p []byte, mend bool) {
		if mend && len(p) >= headerSize {
			binary.LittleEndian.PutUint32(p[36:], crc32.Checksum(p[:36], castagnoli)) // beyond the header
		}
		fs := vfs.NewMem()
		if _, err := Restore(bg, bytes.NewReader(p), "/copy", Options{FS: fs}); err == nil {
			t.Fatal("random bytes were restored")
		}
		names, err := fs.List("/")
		if err != nil || len(names) != 0 {
			t.Fatalf("left over: %q, %v", names, err)
		}
	})
}

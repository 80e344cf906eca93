package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rebase/test/engines"
)

var bg = context.Background()

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b) // never fails
	return b
}

func put(t *testing.T, b Bucket, key string, body []byte) {
	t.Helper()
	if err := b.Put(bg, key, bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t *testing.T, b Bucket, key string, off, n int64) []byte {
	t.Helper()
	r, err := b.Get(bg, key, off, n)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return body
}

func keys(t *testing.T, b Bucket, prefix string) (out []string) {
	t.Helper()
	for o, err := range b.List(bg, prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		out = append(out, fmt.Sprintf("%s:%d", o.Key, o.Size))
	}
	return out
}

func TestFolder(t *testing.T) {
	testBucket(t, func(t *testing.T) Bucket {
		b, err := Open(bg, filepath.Join(t.TempDir(), "a", "bucket"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func TestMemoryFolder(t *testing.T) {
	testBucket(t, func(t *testing.T) Bucket { return OpenFolder("/bucket", vfs.NewMem()) })
}

func TestS3(t *testing.T) {
	server := engines.S3(t)
	n := 0
	testBucket(t, func(t *testing.T) Bucket {
		n++
		b, err := Open(bg, server.URL(server.Bucket, fmt.Sprintf("part/%d", n)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// testBucket is what every Bucket must do.
func testBucket(t *testing.T, fresh func(*testing.T) Bucket) {
	t.Run("PutGet", func(t *testing.T) {
		b := fresh(t)
		if err := Check(bg, b); err != nil {
			t.Fatalf("check: %v", err)
		}
		body := noise(1, 100_000)
		put(t, b, "log/a", body)
		put(t, b, "log/empty", nil)
		for _, r := range [][2]int64{{0, -1}, {0, 10}, {99_990, 10}, {99_990, 100}, {50_000, -1}, {5, 0}, {100_000, -1}, {100_000, 5}, {200_000, 5}} {
			want := body[min(r[0], 100_000):]
			if r[1] >= 0 {
				want = want[:min(int(r[1]), len(want))]
			}
			if got := get(t, b, "log/a", r[0], r[1]); !bytes.Equal(got, want) {
				t.Errorf("range %v: %d bytes, want %d", r, len(got), len(want))
			}
		}
		if got := get(t, b, "log/empty", 0, -1); len(got) != 0 {
			t.Errorf("empty object has %d bytes", len(got))
		}
		if n, err := b.Size(bg, "log/a"); n != 100_000 || err != nil {
			t.Errorf("size = %d, %v", n, err)
		}
	})
	t.Run("CreateOnly", func(t *testing.T) {
		b := fresh(t)
		put(t, b, "x/y", []byte("first"))
		if err := b.Put(bg, "x/y", strings.NewReader("other"), 5); !errors.Is(err, ErrExists) {
			t.Fatalf("second put: %v", err)
		}
		if got := get(t, b, "x/y", 0, -1); string(got) != "first" {
			t.Fatalf("object is %q", got)
		}
	})
	t.Run("OneWinner", func(t *testing.T) {
		b := fresh(t)
		for round := range 5 {
			key := fmt.Sprintf("race/%d", round)
			var wins atomic.Int32
			var winner atomic.Value
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					body := fmt.Sprintf("writer %d", i)
					switch err := b.Put(bg, key, strings.NewReader(body), int64(len(body))); {
					case err == nil:
						wins.Add(1)
						winner.Store(body)
					case !errors.Is(err, ErrExists):
						t.Errorf("put: %v", err)
					}
				})
			}
			wg.Wait()
			if wins.Load() != 1 {
				t.Fatalf("%d of 8 puts won", wins.Load())
			}
			if got := get(t, b, key, 0, -1); string(got) != winner.Load() {
				t.Fatalf("object is %q, acknowledged %q", got, winner.Load())
			}
		}
	})
	t.Run("Missing", func(t *testing.T) {
		b := fresh(t)
		if _, err := b.Size(bg, "no/such"); !errors.Is(err, ErrNotFound) {
			t.Errorf("size: %v", err)
		}
		for _, n := range []int64{-1, 0, 1} {
			if _, err := b.Get(bg, "no/such", 0, n); !errors.Is(err, ErrNotFound) {
				t.Errorf("get of %d bytes: %v", n, err)
			}
		}
		if err := b.Delete(bg, "no/such"); err != nil {
			t.Errorf("delete: %v", err)
		}
		if _, err := NewReader(bg, b, "no/such", 0); !errors.Is(err, ErrNotFound) {
			t.Errorf("reader: %v", err)
		}
	})
	t.Run("ListDelete", func(t *testing.T) {
		b := fresh(t)
		if got := keys(t, b, ""); len(got) != 0 {
			t.Fatalf("empty bucket lists %q", got)
		}
		for i, key := range []string{"a/b/c", "a/b-2", "a/b/d", "z", "a/c/e", "ab/c"} {
			put(t, b, key, make([]byte, i))
		}
		for prefix, want := range map[string]string{
			"":      "[a/b-2:1 a/b/c:0 a/b/d:2 a/c/e:4 ab/c:5 z:3]",
			"a":     "[a/b-2:1 a/b/c:0 a/b/d:2 a/c/e:4 ab/c:5]",
			"a/":    "[a/b-2:1 a/b/c:0 a/b/d:2 a/c/e:4]",
			"a/b":   "[a/b-2:1 a/b/c:0 a/b/d:2]",
			"a/b/":  "[a/b/c:0 a/b/d:2]",
			"a/b/d": "[a/b/d:2]",
			"none/": "[]",
		} {
			if got := fmt.Sprint(keys(t, b, prefix)); got != want {
				t.Errorf("list %q = %s, want %s", prefix, got, want)
			}
		}
		for o, err := range b.List(bg, "a/") {
			if err != nil || o.Key != "a/b-2" {
				t.Fatalf("first of the list is %v, %v", o, err)
			}
			break // must not hang or go on
		}
		if err := b.Delete(bg, "a/b/c"); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(keys(t, b, "a/b/")); got != "[a/b/d:2]" {
			t.Errorf("after deletion: %s", got)
		}
		put(t, b, "a/b/c", []byte("again"))
	})
	t.Run("BadKeys", func(t *testing.T) {
		b := fresh(t)
		for _, key := range []string{"", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", "a\\b", "a b", "ä", "a\x00b", strings.Repeat("k", maxKey+1)} {
			if err := b.Put(bg, key, strings.NewReader("x"), 1); err == nil || errors.Is(err, ErrExists) {
				t.Errorf("put %q: %v", key, err)
			}
			if _, err := b.Get(bg, key, 0, -1); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("get %q: %v", key, err)
			}
			if err := b.Delete(bg, key); err == nil {
				t.Errorf("delete %q worked", key)
			}
		}
	})
	t.Run("WrongSize", func(t *testing.T) {
		b := fresh(t)
		broken := errors.New("broken")
		for name, r := range map[string]io.Reader{
			"short":  strings.NewReader("1234"),
			"long":   strings.NewReader("123456"),
			"broken": io.MultiReader(strings.NewReader("123"), iotest.ErrReader(broken)),
			"end":    io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(broken)),
		} {
			if err := b.Put(bg, "size/"+name, r, 5); err == nil {
				t.Errorf("%s: put worked", name)
			}
		}
		if err := b.Put(bg, "size/slow", iotest.DataErrReader(iotest.OneByteReader(strings.NewReader("12345"))), 5); err != nil {
			t.Errorf("slow reader: %v", err)
		}
		if got := fmt.Sprint(keys(t, b, "size/")); got != "[size/slow:5]" {
			t.Errorf("stored: %s", got)
		}
	})
	t.Run("Large", func(t *testing.T) {
		b := fresh(t)
		body := noise(2, 2*minPart+12_345) // three parts
		if err := b.Put(bg, "large/short", bytes.NewReader(body), int64(len(body))+1); err == nil {
			t.Error("put of a short reader worked")
		}
		if err := b.Put(bg, "large/long", bytes.NewReader(body), int64(len(body))-1); err == nil {
			t.Error("put of a long reader worked")
		}
		put(t, b, "large/1", body)
		if err := b.Put(bg, "large/1", bytes.NewReader(body), int64(len(body))); !errors.Is(err, ErrExists) {
			t.Errorf("second put: %v", err)
		}
		r, err := NewReader(bg, b, "large/1", 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, body) {
			t.Errorf("read %d bytes, %v; want the same %d", len(got), err, len(body))
		}
		if got := get(t, b, "large/1", minPart-3, 6); !bytes.Equal(got, body[minPart-3:minPart+3]) {
			t.Errorf("over the edge of a part: %x", got)
		}
		if got := keys(t, b, ""); len(got) != 1 {
			t.Errorf("bucket holds %q", got)
		}
	})
	t.Run("Cancelled", func(t *testing.T) {
		b := fresh(t)
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_, sizeErr := b.Size(ctx, "a")
		_, getErr := b.Get(ctx, "a", 0, -1)
		var listErr error
		for _, listErr = range b.List(ctx, "") {
		}
		for i, err := range []error{b.Put(ctx, "a", strings.NewReader("x"), 1), sizeErr, getErr, b.Delete(ctx, "a"), listErr} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		ctx, cancel = context.WithCancel(bg)
		r := &onRead{noise(3, minPart+1), func(n int) {
			if n > minPart/2 {
				cancel()
			}
		}}
		if err := b.Put(ctx, "half", r, minPart+1); !errors.Is(err, context.Canceled) {
			t.Errorf("put that was cancelled half way: %v", err)
		}
		if got := keys(t, b, ""); len(got) != 0 {
			t.Errorf("bucket holds %q", got)
		}
	})
	t.Run("URL", func(t *testing.T) {
		b := fresh(t)
		put(t, b, "k", []byte("v"))
		if strings.HasPrefix(b.URL(), "file:///bucket") {
			return // in memory
		}
		again, err := Open(bg, b.URL())
		if err != nil {
			t.Fatal(err)
		}
		if again.URL() != b.URL() {
			t.Errorf("%s opens %s", b.URL(), again.URL())
		}
		if got := get(t, again, "k", 0, -1); string(got) != "v" {
			t.Errorf("read %q", got)
		}
	})
}

// onRead is a reader that tells how much has been read.
type onRead struct {
	left []byte
	f    func(done int)
}

func (r *onRead) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.left[:min(len(r.left), 64<<10)])
	r.left = r.left[n:]
	r.f(minPart + 1 - len(r.left))
	return n, nil
}

func TestOpenRefuses(t *testing.T) {
	for _, u := range []string{
		"", "relative/path", "ftp://host/x", "file://elsewhere/x", "s3:///nobucket", "s3://user:hunter2@bucket/x",
		"s3://bucket/x?endpiont=host", "s3://bucket/x?insecure=yes", "s3://bucket/../x", "s3://bucket/x?secret_key=hunter2", "http://a:hunter2@b/%zz",
	} {
		b, err := Open(bg, u)
		if err == nil {
			t.Errorf("%q opens %s", u, b.URL())
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the message shows a secret: %v", err)
		}
	}
}

// TestFolderCrash cuts the power at every moment of a Put: the object is whole or not there, and there if Put was acknowledged.
func TestFolderCrash(t *testing.T) {
	body := noise(4, 20_000)
	for seed := range uint64(150) {
		mem := vfs.NewCrashableMem()
		var left atomic.Int64
		left.Store(int64(seed % 30))
		var clone *vfs.MemFS
		rng := rand.New(rand.NewPCG(seed, 2))
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if left.Add(-1) == 0 {
				clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed * 37 % 101), RNG: rng})
			}
			return nil
		}))
		b := OpenFolder("/x/bucket", fs)
		put(t, b, "seg/1", body)
		acked := clone == nil
		if acked {
			clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rng})
		}
		after := OpenFolder("/x/bucket", clone)
		n, err := after.Size(bg, "seg/1")
		switch {
		case err == nil && n == int64(len(body)):
			if got := get(t, after, "seg/1", 0, -1); !bytes.Equal(got, body) {
				t.Fatalf("seed %d: the object is damaged", seed)
			}
		case acked || !errors.Is(err, ErrNotFound):
			t.Fatalf("seed %d: size %d, %v; acknowledged: %v", seed, n, err, acked)
		default:
			put(t, after, "seg/1", body)
		}
	}
}

// TestFolderErrors fails every operation of the file system once.
func TestFolderErrors(t *testing.T) {
	for at := range int64(25) {
		var left atomic.Int64
		left.Store(at + 1)
		mem := vfs.NewMem()
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if left.Add(-1) == 0 {
				return errorfs.ErrInjected
			}
			return nil
		}))
		b := OpenFolder("/x/bucket", fs)
		err := b.Put(bg, "seg/1", strings.NewReader("hello"), 5)
		left.Store(-1)
		if err == nil {
			if got := get(t, b, "seg/1", 0, -1); string(got) != "hello" {
				t.Fatalf("operation %d: put worked, object is %q", at, got)
			}
			continue
		}
		if err := b.Put(bg, "seg/1", strings.NewReader("hello"), 5); err != nil && !errors.Is(err, ErrExists) {
			t.Fatalf("operation %d: again: %v", at, err)
		}
		if got := get(t, b, "seg/1", 0, -1); string(got) != "hello" {
			t.Fatalf("operation %d: object is %q", at, got)
		}
	}
}

// noLinks is a file system without hard links.
type noLinks struct{ vfs.FS }

func (noLinks) Link(string, string) error { return errors.New("links are not supported") }

func TestFolderWithoutLinks(t *testing.T) {
	b := OpenFolder("/bucket", noLinks{vfs.NewMem()})
	put(t, b, "a/b", []byte("one"))
	if err := b.Put(bg, "a/b", strings.NewReader("two"), 3); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	if got := get(t, b, "a/b", 0, -1); string(got) != "one" {
		t.Fatalf("object is %q", got)
	}
}

func TestFolderIsPrivate(t *testing.T) {
	root := filepath.Join(t.TempDir(), "bucket")
	put(t, OpenFolder(root, vfs.Default), "a/b/c", []byte("x"))
	var open []string
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err != nil || d.IsDir() && info.Mode().Perm() != 0o700 {
			open = append(open, name)
		}
		return nil
	})
	if err != nil || len(open) > 0 {
		t.Fatalf("open to others: %q, %v", open, err)
	}
	if names, err := os.ReadDir(filepath.Join(root, tempFolder)); err != nil || len(names) != 0 {
		t.Fatalf("left over: %v, %v", names, err)
	}
	if !slices.Equal(keys(t, OpenFolder(root, vfs.Default), ""), []string{"a/b/c:1"}) {
		t.Fatal("the temporary folder is listed")
	}
}

// A folder that cannot be made is told of before anything is kept in it.
func TestCheckFindsThatNothingCanBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Open(bg, filepath.Join(file, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(bg, b); err == nil {
		t.Error("a bucket below a file can be used")
	}
}

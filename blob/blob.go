package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Bucket is a set of immutable objects, each under a key. Safe for concurrent use, also by several processes.
//
// Keys are paths: parts of letters, digits and "-_.=+@", joined by "/", none of them empty or beginning with a dot, 900 bytes at most. No key is the folder
// of another: where there is "a/b" there can be no "a".
type Bucket interface {
	// Put stores size bytes of r as the object. It appears whole once Put is done with it, and is durable when Put returns nil. If there is
	// one of that key already, whoever made it, Put changes nothing and returns ErrExists, possibly before r is read. r that is shorter or
	// longer than size is an error, and nothing is stored. After another error the object may or may not be there.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get reads n bytes from off on, and to the end if n is negative. What lies beyond the end is left out. The caller closes the reader;
	// reading may fail half way, see NewReader. ErrNotFound if there is no such object.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Size returns the length of an object; ErrNotFound if there is none.
	Size(ctx context.Context, key string) (int64, error)
	// List yields the objects whose key begins with prefix, in the byte order of keys. An error is the last thing it yields.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes an object. One that is not there is not an error.
	Delete(ctx context.Context, key string) error
	// URL is what Open opens this bucket by. It holds no credentials.
	URL() string
}

// Object is what List tells of an object.
type Object struct {
	Key  string
	Size int64
}

// Patience is how long a call repeats what fails for a reason that may pass, before it returns ErrUnreachable. Contexts end it earlier.
const Patience = 30 * time.Second

// Errors that callers tell apart. What is returned wraps them, says which object and what to do.
var (
	// ErrExists: the key is taken.
	ErrExists = errors.New("blob: the object exists already")
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("blob: no such object")
	// ErrNoBucket: the bucket itself does not exist.
	ErrNoBucket = errors.New("blob: no such bucket")
	// ErrAccess: the store refuses the credentials, or there are none.
	ErrAccess = errors.New("blob: access denied")
	// ErrRegion: the bucket is in another region.
	ErrRegion = errors.New("blob: wrong region")
	// ErrUnreachable: the store does not answer, or asks to come back later. It may pass by itself.
	ErrUnreachable = errors.New("blob: the object store is unavailable")
)

// Open returns the bucket of a URL: a folder ("/path", "file:///path"), which is made when something is put into it, or
// "s3://bucket/prefix?endpoint=host:port&region=name&insecure=1". Without an endpoint it is Amazon's; without a region AWS_REGION,
// AWS_DEFAULT_REGION or what the store says; insecure means HTTP without TLS. Open does not talk to the store; use Check for that.
func Open(_ context.Context, address string) (Bucket, error) {
	if filepath.IsAbs(address) {
		return OpenFolder(address, vfs.Default), nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("blob: the URL cannot be parsed; give a folder (/path) or s3://bucket/prefix?endpoint=host:port") // err quotes it, with a password in it maybe
	}
	switch {
	case u.User != nil:
		return nil, errors.New("blob: the URL holds credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment instead")
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && strings.HasPrefix(u.Path, "/") && u.RawQuery == "":
		return OpenFolder(filepath.FromSlash(u.Path), vfs.Default), nil
	case u.Scheme == "s3":
		return openS3(u)
	}
	return nil, fmt.Errorf("blob: %q is neither an absolute path nor a URL with file:/// or s3://", u.Redacted())
}

// Check finds out whether the bucket is there and may be read and written: it asks for an object that does not exist, makes it, and deletes it.
func Check(ctx context.Context, b Bucket) error {
	key := "check/" + strings.ToLower(rand.Text())
	switch r, err := b.Get(ctx, key, 0, 1); { // not Size: a HEAD request is not told why it fails
	case err == nil:
		return errors.Join(errors.New("blob: an object that nobody has made is there"), r.Close())
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if err := b.Put(ctx, key, strings.NewReader("rebase"), 6); err != nil {
		return fmt.Errorf("blob: nothing can be written: %w", err)
	}
	if err := b.Delete(ctx, key); err != nil {
		return fmt.Errorf("blob: nothing can be deleted: %w", err)
	}
	return nil
}

const maxKey = 900 // S3 allows 1024, with the prefix of the bucket

func checkKey(key string) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("blob: a key has 1 to %d bytes, this one %d", maxKey, len(key))
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part[0] == '.' || strings.ContainsFunc(part, notInKey) {
			return fmt.Errorf("blob: %q is not a key", key)
		}
	}
	return nil
}

// checkPrefix accepts every beginning of a key.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return checkKey(strings.TrimSuffix(prefix, "/"))
}

func notInKey(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.=+@", r)
}

// exactly reads size bytes of r and fails if there are fewer or more.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		var one [1]byte
		switch n, err := io.ReadFull(e.r, one[:]); {
		case n > 0:
			return 0, errors.New("blob: the object is longer than was said")
		default:
			return 0, err // io.EOF, or what failed
		}
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if e.left > 0 {
			return n, fmt.Errorf("blob: the object is %d bytes shorter than was said: %w", e.left, io.ErrUnexpectedEOF)
		}
		err = nil // the next call ends it
	}
	return n, err
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

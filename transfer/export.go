package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"

	"rebase/tree"
)

// compressed tells from a file's name whether it is gzip.
func compressed(name string) bool { return strings.HasSuffix(name, ".gz") }

// ExportFile writes the node at from to the file name, in the database's export
// format, compressed if the name ends in ".gz". The file appears under its name
// only when it is complete and on the disk; on an error it does not, and a file
// that had that name before is left as it was. A symbolic link is followed; a
// device or a pipe has no complete state, and is written to as it is. report, if
// not nil, is called now and then, from another goroutine.
func (c *Client) ExportFile(ctx context.Context, from Target, name string, report func(Progress)) (Progress, error) {
	if info, err := os.Stat(name); err == nil {
		if info.IsDir() {
			return Progress{}, fmt.Errorf("%s is a directory; give the name of a file", name)
		}
		if !info.Mode().IsRegular() {
			return c.exportTo(ctx, from, name, report)
		}
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return Progress{}, err
		}
	}
	dir := filepath.Dir(name)
	// Created here rather than by os.CreateTemp, whose files nobody but the owner
	// may read: the export is to have the mode that the user's umask gives.
	temp := filepath.Join(dir, fmt.Sprintf(".%s.%d.tmp", filepath.Base(name), os.Getpid()))
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return Progress{}, fmt.Errorf("a file in %s cannot be made: %w", dir, errors.Unwrap(err))
	}
	defer os.Remove(temp) // fails, as it should, once the file has been renamed
	defer f.Close()

	p, err := c.Export(ctx, from, f, compressed(name), report)
	if err != nil {
		return p, err
	}
	if err := f.Sync(); err != nil {
		return p, err
	}
	if err := f.Close(); err != nil {
		return p, err
	}
	if err := os.Rename(temp, name); err != nil {
		return p, err
	}
	return p, syncDir(dir)
}

// exportTo exports into a file that is no regular one. Renaming another over it
// would take a device away from the whole machine.
func (c *Client) exportTo(ctx context.Context, from Target, name string, report func(Progress)) (Progress, error) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return Progress{}, err
	}
	defer f.Close()
	p, err := c.Export(ctx, from, f, compressed(name), report)
	if err != nil {
		return p, err
	}
	return p, f.Close()
}

// syncDir makes a rename in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Export writes the node at from to w. The answer is checked on its way: what
// is not one complete JSON document is an error, however the connection ended.
// What has reached w by then is useless.
func (c *Client) Export(ctx context.Context, from Target, w io.Writer, compress bool, report func(Progress)) (Progress, error) {
	resp, err := c.do(ctx, http.MethodGet, from.rest("format", "export"), nil)
	if err != nil {
		return Progress{}, fmt.Errorf("export of %s: %w", from, err)
	}
	defer resp.Body.Close()

	var bytes, leaves atomic.Int64
	now := func() Progress { return Progress{Bytes: bytes.Load(), Leaves: leaves.Load()} }
	stop := every(report, now)
	defer stop()

	counted := &countingWriter{w: w, n: &bytes}
	buffered := bufio.NewWriterSize(counted, 256<<10)
	var out io.Writer = buffered
	var gz *gzip.Writer
	if compress {
		gz, err = gzip.NewWriterLevel(buffered, gzip.BestSpeed)
		if err != nil {
			return now(), err
		}
		out = gz
	}

	// The scanner reads what is written, through the tee: it counts the leaves
	// and knows where the document ends.
	tee := io.TeeReader(resp.Body, out)
	err = tree.ScanLeaves(tee,
		func(tree.Path, *tree.Node) error { leaves.Add(1); return nil },
		func(tree.Path, *tree.Node) error { return nil })
	if err == nil {
		_, err = io.Copy(io.Discard, tee)
	}
	if err == nil && gz != nil {
		err = gz.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	if counted.err != nil {
		err = counted.err // which came through the scanner, as if reading had failed
	}
	if err != nil {
		return now(), fmt.Errorf("export of %s: %w", from, err)
	}
	return now(), nil
}

type countingWriter struct {
	w   io.Writer
	n   *atomic.Int64
	err error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	c.err = err
	return n, err
}

package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"rebase/tree"
)

// ImportOptions say how a file is brought in. The zero value merges it into what
// is there.
type ImportOptions struct {
	// Replace deletes the target first. Nobody else should write below it until
	// the import has finished.
	Replace bool
	// Restart forgets an earlier import of the same file that was interrupted.
	Restart bool
	// BatchBytes is about how much goes into one write; 0 is 1 MiB.
	BatchBytes int
	// InFlight is how many writes may wait for their answers; 0 is 4.
	InFlight int
	// Report, if not nil, is called now and then, from another goroutine.
	Report func(Progress)
}

// saveInterval is the time between two records of how far an import has come.
// What comes after the last record is sent again.
const saveInterval = time.Second

// ImportFile writes the JSON document in the file name (export format or plain,
// compressed if the name ends in ".gz") to the target. On failure it leaves a
// small file beside it, named with [StateSuffix], by which the same call made
// again continues instead of starting over.
func (c *Client) ImportFile(ctx context.Context, name string, to Target, o ImportOptions) (Progress, error) {
	f, err := os.Open(name)
	if err != nil {
		return Progress{}, err
	}
	defer f.Close()
	print, err := fingerprintOf(f)
	if err != nil {
		return Progress{}, err
	}
	record := name + StateSuffix
	st := state{Version: stateVersion, Target: to.String(), Replace: o.Replace, File: print}
	if !o.Restart {
		if st, err = loadState(record, st); err != nil {
			return Progress{}, err
		}
	}
	run := &importRun{client: c, to: to, o: o, state: st, record: record}
	p, err := run.do(ctx, f, compressed(name))
	if err != nil {
		return p, fmt.Errorf("import of %s: %w", name, err)
	}
	if err := os.Remove(record); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	return p, nil
}

// Import is ImportFile for a stream. It cannot be continued after a failure.
func (c *Client) Import(ctx context.Context, r io.Reader, compress bool, to Target, o ImportOptions) (Progress, error) {
	run := &importRun{client: c, to: to, o: o}
	p, err := run.do(ctx, r, compress)
	if err != nil {
		return p, fmt.Errorf("import: %w", err)
	}
	return p, nil
}

// importRun is one import under way.
//
// The scanner's goroutine cuts the file into batches; as many goroutines as may
// be in flight encode and send them. Order does not matter between batches: the
// leaves of a document are different nodes, and priorities travel with a leaf of
// their object (see cutter). A document that names a node twice, which JSON
// discourages and no export does, is refused by the server if both are in one
// batch; otherwise either value may stay.
type importRun struct {
	client *Client
	to     Target
	o      ImportOptions
	record string // where state is saved; "" nowhere

	read atomic.Int64 // bytes of the file

	mu       sync.Mutex
	state    state
	done     map[int64]*batch // acknowledged ahead of their turn, by the number of leaves before them
	progress Progress
	saved    time.Time
}

func (r *importRun) do(ctx context.Context, in io.Reader, compress bool) (Progress, error) {
	if r.o.BatchBytes <= 0 {
		r.o.BatchBytes = 1 << 20
	}
	if r.o.InFlight <= 0 {
		r.o.InFlight = 4
	}
	r.done = make(map[int64]*batch)
	r.progress = Progress{Leaves: r.state.Leaves, Skipped: r.state.Leaves}
	stop := every(r.o.Report, r.now)
	defer stop()

	counted := bufio.NewReaderSize(&countingReader{in, &r.read}, 256<<10)
	var src io.Reader = counted
	if compress {
		gz, err := gzip.NewReader(counted)
		if err != nil {
			return r.now(), fmt.Errorf("not a gzip file: %w", err)
		}
		src = gz
	}
	src = withoutBOM(src)
	if r.o.Replace && r.state.Leaves == 0 {
		if err := r.client.write(ctx, http.MethodDelete, r.to.rest("print", "silent"), nil); err != nil {
			return r.now(), fmt.Errorf("deleting what is there: %w", err)
		}
	}

	// The first failure, on either side, ends the import.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sending sync.WaitGroup
	batches := make(chan *batch, r.o.InFlight)
	for range r.o.InFlight {
		sending.Go(func() {
			var buf []byte
			for b := range batches {
				if ctx.Err() != nil {
					continue
				}
				var err error
				if buf, err = r.send(ctx, b, buf[:0]); err != nil {
					cancel(err)
				}
			}
		})
	}
	c := &cutter{size: r.o.BatchBytes, skip: r.state.Leaves, emit: func(b *batch) error {
		b.offset = r.read.Load()
		select {
		case batches <- b:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
	err := tree.ScanLeaves(src, c.leaf, c.priority)
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		cancel(err)
	}
	close(batches)
	sending.Wait()
	err = context.Cause(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if e := r.save(); e != nil {
			err = errors.Join(err, fmt.Errorf("remembering how far it came: %w", e))
		}
		return r.progress, err
	}
	r.progress.Bytes = r.read.Load()
	return r.progress, nil
}

// send writes one batch and notes that it is on the server.
func (r *importRun) send(ctx context.Context, b *batch, buf []byte) ([]byte, error) {
	var err error
	switch {
	case len(b.items) == 1 && b.items[0].path.IsRoot() && !b.items[0].priority:
		// The document is a single leaf, which is no child that an update could name.
		buf = tree.AppendExport(buf, b.items[0].node)
		err = r.client.write(ctx, http.MethodPut, r.to.rest("print", "silent", "writeSizeLimit", "unlimited"), buf)
	default:
		if r.o.Replace {
			buf = b.encodeReplace(buf)
		} else {
			buf = b.encodeMerge(buf)
		}
		err = r.client.write(ctx, http.MethodPatch, r.to.rest("print", "silent", "writeSizeLimit", "unlimited"), buf)
	}
	if err != nil {
		return buf, err
	}
	return buf, r.acknowledged(b)
}

// acknowledged moves the mark up to which everything is on the server, and
// records it from time to time.
func (r *importRun) acknowledged(b *batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Leaves += b.leaves
	r.done[b.upTo-b.leaves] = b
	for {
		next, ok := r.done[r.state.Leaves]
		if !ok {
			break
		}
		delete(r.done, r.state.Leaves)
		r.state.Leaves = next.upTo
		r.progress.Bytes = next.offset
	}
	if time.Since(r.saved) < saveInterval {
		return nil
	}
	return r.save()
}

// save records the state; r.mu is held.
func (r *importRun) save() error {
	if r.record == "" || r.state.Leaves == 0 {
		return nil
	}
	r.saved = time.Now()
	return r.state.save(r.record)
}

func (r *importRun) now() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

// withoutBOM skips the mark that programs on Windows put before UTF-8.
func withoutBOM(r io.Reader) io.Reader {
	b, ok := r.(*bufio.Reader)
	if !ok {
		b = bufio.NewReader(r)
	}
	if head, _ := b.Peek(3); string(head) == "\xef\xbb\xbf" {
		b.Discard(3)
	}
	return b
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

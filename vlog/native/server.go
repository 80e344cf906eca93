package native

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"rebase/vlog/native/core"
)

// server is what runs around a core.Host. Messages are handled as they come; one goroutine brings records to the storage, always everything that has
// gathered while it was busy with the last (group commit).
type server struct {
	disk  storage
	send  func([]core.Message)
	log   *slog.Logger
	drops *atomic.Uint64

	mu         sync.Mutex
	host       *core.Host
	out        outbox
	pending    []core.Record
	bytes      int // of records that are not yet on the disk
	spare      []core.Record
	given      uint64 // records that the storage has finished
	committing bool   // somebody is writing to the storage
	reading    int    // loads under way
	more       sync.Cond
	closed     bool
	err        error // of the storage: nothing is answered any more
	done       sync.WaitGroup
}

// maxLoads bounds the reads under way. Beyond it they are dropped, and their clients ask again, or another server.
const maxLoads = 64

// maxPending bounds the bytes that wait for the disk. A disk that hangs is not noticed by those who send, for the process lives; and the log goes on
// without it, so there would be more and more. What comes beyond it is dropped: who still wants it there sends it again.
const maxPending = 64 << 20

// startServer starts a log server from what is on its disk.
func startServer(disk storage, send func([]core.Message), log *slog.Logger, drops *atomic.Uint64) (*server, error) {
	s := &server{disk: disk, send: send, log: log, drops: drops, host: core.NewHost(disk.Identity())}
	s.more.L = &s.mu
	if err := disk.Replay(s.host.Replay); err != nil {
		return nil, fmt.Errorf("vlog/native: start log server: %w", err)
	}
	s.host.Ready()
	s.done.Go(s.commit)
	return s, nil
}

// handle takes messages from the network. From the goroutine that reads a connection (reader) it writes a little to the disk by itself, if nobody
// else does: a lone append is spared a switch of goroutine, and what the connection brings meanwhile makes up the next commit.
func (s *server) handle(batch []core.Message, reader bool) {
	s.mu.Lock()
	for i := range batch {
		if s.closed || s.err != nil {
			break
		}
		if len(batch[i].Entries) > 0 && s.bytes >= maxPending {
			s.drops.Add(1)
			continue
		}
		out := s.host.Step(batch[i])
		s.out.add(out.Messages)
		for _, l := range out.Loads {
			if s.reading >= maxLoads {
				s.drops.Add(1)
				continue
			}
			s.reading++
			s.done.Go(func() { s.load(l) })
		}
		s.pending = append(s.pending, out.Records...)
		s.bytes += recordBytes(out.Records)
	}
	inline := reader && len(s.pending) > 0 && len(s.pending) <= inlineRecords && !s.committing && !s.closed && s.err == nil
	if inline {
		s.committing = true
	} else if len(s.pending) > 0 {
		s.more.Signal()
	}
	s.out.flush(&s.mu, s.send)
	if inline {
		s.mu.Lock()
		s.commitPending()
		if len(s.pending) > 0 || s.closed {
			s.more.Signal()
		}
		s.mu.Unlock()
	}
}

// inlineRecords is what a reader writes by itself at most.
const inlineRecords = 4

// load answers a Fetch. Not in handle, since the disk can take its time, and the messages behind need not wait for that.
func (s *server) load(l core.Load) {
	entries, err := s.disk.Read(core.Key{Loglet: l.Reply.Loglet, Incarnation: l.Reply.Incarnation}, l.Reply.First, l.Reply.Next, l.MaxBytes)
	if err != nil {
		s.log.Error("log server cannot read", "loglet", l.Reply.Loglet, "position", l.Reply.First, "err", err)
	}
	l.Reply.Entries = entries
	s.mu.Lock()
	s.reading--
	if err == nil && !s.closed {
		s.out.add([]core.Message{l.Reply})
	} // else another server is asked when this one does not answer
	s.out.flush(&s.mu, s.send)
}

func (s *server) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for (len(s.pending) == 0 || s.committing) && (!s.closed || s.committing) {
			s.more.Wait()
		}
		if s.closed || s.err != nil {
			return
		}
		s.committing = true
		s.commitPending()
	}
}

// commitPending brings what is pending to the disk, and sends what has waited for that. Caller holds mu and has set committing.
func (s *server) commitPending() {
	records := s.pending
	s.pending = s.spare[:0]
	s.mu.Unlock()
	err := s.disk.Append(records)
	n, bytes := len(records), recordBytes(records)
	clear(records)
	s.mu.Lock()
	s.spare, s.committing = records[:0], false
	if err != nil {
		s.err = err
		s.log.Error("log server stops: its disk has failed", "err", err)
		return
	}
	s.given += uint64(n)
	s.bytes -= bytes
	s.out.add(s.host.Synced(s.given).Messages)
	s.out.flush(&s.mu, s.send)
	s.mu.Lock()
}

func recordBytes(records []core.Record) (n int) {
	for _, r := range records {
		n += len(r.Payload) + walHeader
	}
	return n
}

// failed is the error after which the server takes part in nothing.
func (s *server) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// gone forgets a client.
func (s *server) gone(n core.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host.Gone(n)
}

// stop ends the process as a crash would: what has not been given to the disk is lost.
func (s *server) stop() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.more.Signal()
	s.done.Wait()
	return s.disk.Close()
}

package native

import (
	"fmt"
	"sync"

	"rebase/vlog/native/core"
)

// server is the process around a core.Host. Messages are handled as they come; one goroutine brings records to the storage, always everything that has
// gathered while it was busy with the last (group commit).
type server struct {
	disk storage
	send func([]core.Message)

	mu      sync.Mutex
	host    *core.Host
	pending []core.Record
	given   uint64 // records that the storage has finished
	more    sync.Cond
	closed  bool
	err     error // of the storage: nothing is answered any more
	done    chan struct{}
}

// startServer starts a log server from what is on its disk.
func startServer(disk storage, send func([]core.Message)) (*server, error) {
	s := &server{disk: disk, send: send, host: core.NewHost(disk.Identity()), done: make(chan struct{})}
	s.more.L = &s.mu
	if err := disk.Replay(s.host.Replay); err != nil {
		return nil, fmt.Errorf("vlog/native: start log server: %w", err)
	}
	s.host.Ready()
	go s.commit()
	return s, nil
}

// handle takes messages from the network.
func (s *server) handle(batch []core.Message) {
	s.mu.Lock()
	var messages []core.Message
	var loads []core.Load
	for _, m := range batch {
		if s.closed || s.err != nil {
			break
		}
		out := s.host.Step(m)
		messages = append(messages, out.Messages...)
		loads = append(loads, out.Loads...)
		if len(out.Records) > 0 {
			s.pending = append(s.pending, out.Records...)
			s.more.Signal()
		}
	}
	s.mu.Unlock()
	s.send(messages)
	for _, l := range loads {
		entries, err := s.disk.Read(core.Key{Loglet: l.Reply.Loglet, Incarnation: l.Reply.Incarnation}, l.Reply.First, l.Reply.Next, l.MaxBytes)
		if err != nil {
			continue // another server is asked when this one does not answer
		}
		l.Reply.Entries = entries
		s.send([]core.Message{l.Reply})
	}
}

func (s *server) commit() {
	defer close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pending) == 0 && !s.closed {
			s.more.Wait()
		}
		if s.closed {
			return
		}
		records := s.pending
		s.pending = nil
		s.mu.Unlock()
		err := s.disk.Append(records)
		s.mu.Lock()
		if err != nil {
			s.err = err
			return
		}
		s.given += uint64(len(records))
		out := s.host.Synced(s.given)
		s.mu.Unlock()
		s.send(out.Messages)
		s.mu.Lock()
	}
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
	<-s.done
	return s.disk.Close()
}

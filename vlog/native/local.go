package native

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// Local is a cluster of log servers in one process.
type Local struct {
	net  *network
	disk func(server int) (storage, error)

	mu      sync.Mutex
	members []core.Member
	servers []*server // nil: stopped
	detach  []func()
	logs    map[uint64]*localLog
	nodes   core.Node // the highest address given away
	closed  bool
}

type localLog struct {
	cfg       core.Config
	sequencer *sequencer
	detach    func()
}

// NewLocal starts n log servers in memory. What they hold lives as long as the Local, across Stop and Start of a server.
func NewLocal(n int) (*Local, error) {
	var disks []storage
	for i := range n {
		disks = append(disks, newMemory(uint64(i+1)))
	}
	return newLocalOn(n, func(i int) (storage, error) { return disks[i], nil })
}

// NewLocalOn starts n log servers, each of which keeps everything in a log of its own that open opens, and opens again when the server starts again. The
// sequencers live as long as the Local: the loglets of an earlier one are on the servers' disks, but have no use any more.
func NewLocalOn(n int, open func(server int) (vlog.Loglet, error)) (*Local, error) {
	return newLocalOn(n, func(i int) (storage, error) {
		log, err := open(i)
		if err != nil {
			return nil, err
		}
		w, err := openWAL(log)
		if err != nil {
			return nil, err
		}
		return w, nil
	})
}

func newLocalOn(n int, disk func(int) (storage, error)) (*Local, error) {
	l := &Local{net: newNetwork(), disk: disk, logs: map[uint64]*localLog{}, servers: make([]*server, n), detach: make([]func(), n)}
	for i := range n {
		l.nodes++
		l.members = append(l.members, core.Member{Node: l.nodes})
		if err := l.Start(i); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.members[i].Disk = l.servers[i].disk.Identity()
	}
	return l, nil
}

// Start starts server i again after Stop.
func (l *Local) Start(i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.servers[i] != nil {
		return nil
	}
	disk, err := l.disk(i)
	if err != nil {
		return fmt.Errorf("vlog/native: start log server %d: %w", i, err)
	}
	s, err := startServer(disk, l.net.send)
	if err != nil {
		return errors.Join(err, disk.Close())
	}
	l.servers[i] = s
	l.detach[i] = l.net.attach(l.members[i].Node, s.handle)
	return nil
}

// Stop ends server i as a crash would: what it has not yet given to its disk is lost.
func (l *Local) Stop(i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers[i] == nil {
		return nil
	}
	l.detach[i]()
	err := l.servers[i].stop()
	l.servers[i] = nil
	return err
}

// StopSequencer ends the sequencer of a loglet, for good: there is no way to start one again.
func (l *Local) StopSequencer(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if log := l.logs[id]; log != nil {
		log.detach()
		log.sequencer.stop()
	}
}

// Provider returns a vlog.Provider of loglets on these servers. The Config of a segment is not looked at.
func (l *Local) Provider() vlog.Provider {
	return func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		loglet, err := l.Open(spec)
		if err != nil {
			return nil, err
		}
		return loglet, nil
	}
}

// Open returns a handle on the loglet with spec's number, and makes it if spec says so.
func (l *Local) Open(spec vlog.LogletSpec) (*Loglet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, vlog.ErrClosed
	}
	log := l.logs[spec.ID]
	if log == nil {
		if !spec.Create {
			return nil, vlog.ErrMissing
		}
		l.nodes++
		cfg := core.Config{Loglet: spec.ID, Servers: l.members, Sequencer: l.nodes, Incarnation: uint64(l.nodes)}
		if err := cfg.Check(); err != nil {
			return nil, fmt.Errorf("vlog/native: loglet %d: %w", spec.ID, err)
		}
		log = &localLog{cfg: cfg, sequencer: startSequencer(cfg, l.net.send)}
		log.detach = l.net.attach(cfg.Sequencer, log.sequencer.handle)
		l.logs[spec.ID] = log
	}
	if spec.Lowest > 0 {
		l.net.send(forget(log.cfg, spec.Lowest))
		for id, old := range l.logs {
			if id < spec.Lowest {
				old.detach()
				old.sequencer.stop()
				delete(l.logs, id)
			}
		}
	}
	l.nodes++
	self := l.nodes
	near := int(self) % len(l.members)
	for range l.members {
		if l.servers[near] != nil {
			break
		}
		near = (near + 1) % len(l.members)
	}
	loglet := newLoglet(log.cfg, self, near, l.net.send)
	detach := l.net.attach(self, loglet.handle)
	loglet.leave = func() {
		detach()
		go l.gone(self, log) // not under the handle's lock
	}
	return loglet, nil
}

// gone makes the machines forget a client.
func (l *Local) gone(n core.Node, log *localLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	log.sequencer.gone(n)
	for _, s := range l.servers {
		if s != nil {
			s.gone(n)
		}
	}
}

// Close ends everything. Handles that are open should be closed before.
func (l *Local) Close() error {
	var err error
	for i := range l.servers {
		err = errors.Join(err, l.Stop(i))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return err
	}
	l.closed = true
	for _, log := range l.logs {
		log.detach()
		log.sequencer.stop()
	}
	return err
}

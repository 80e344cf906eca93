package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say where a journal is and how much of it is kept.
type Options struct {
	FS  vfs.FS // nil: the operating system's
	Dir string // made if it does not exist, for its owner alone

	// Retain is how many bytes of journal are kept; 0 is 100 MiB. The oldest file
	// goes when all together have more.
	Retain int64
	// FileBytes is the size at which the next file is begun; 0 is an eighth of
	// Retain.
	FileBytes int64

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // told of what could not be recorded; nil: none
	// OnEvent is called for every event, also those that are only counted, and
	// must not block. It may be nil.
	OnEvent func(Event)
	// OnFailure is called when an event could not be recorded. It may be nil.
	OnFailure func()
}

// Log is an open journal. Its methods are safe for concurrent use; a nil *Log
// records nothing.
type Log struct {
	o       Options
	refused refusals
	later   sync.WaitGroup

	mu     sync.Mutex
	gather *batch // what waits for the disk, nil if nothing does
	closed bool

	disk  sync.Mutex // held while writing
	files files
}

// batch is what is written with one sync.
type batch struct {
	lines []byte
	done  chan struct{}
	err   error // once done is closed
}

// ErrClosed is the error of recording after Close.
var ErrClosed = errors.New("audit: the journal is closed")

// Open opens the journal in a folder and goes on behind what is there.
func Open(o Options) (*Log, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Retain <= 0 {
		o.Retain = 100 << 20
	}
	if o.FileBytes <= 0 {
		o.FileBytes = max(o.Retain/8, 4096)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.OnFailure == nil {
		o.OnFailure = func() {}
	}
	l := &Log{o: o, files: files{fs: o.FS, dir: o.Dir, size: o.FileBytes, retain: o.Retain}}
	if err := l.files.open(); err != nil {
		return nil, fmt.Errorf("audit journal in %s: %w", o.Dir, err)
	}
	return l, nil
}

// Record keeps an event and returns when it is on the disk. A failure is also
// told to the logger, with the event: it must not be lost twice.
func (l *Log) Record(e Event) error {
	if l == nil {
		return nil
	}
	if e.Time.IsZero() {
		e.Time = l.o.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	if e.Outcome == "" {
		e.Outcome = Done
	}
	l.o.OnEvent(e)
	events := l.refused.admit(e)
	if len(events) == 0 {
		return nil
	}
	var lines []byte
	for _, e := range events {
		lines = append(lines, e.line()...)
	}
	err := l.write(lines, false)
	if err != nil {
		l.o.OnFailure()
		l.o.Logger.Error("an administrative act is not in the audit journal", "err", err,
			"act", string(e.Act), "outcome", string(e.Outcome), "who", e.Who, "from", e.From, "database", e.Database, "target", e.Target)
	}
	return err
}

// RecordLater is Record for who must not wait for the disk. Close waits for it; it must not be called after Close.
func (l *Log) RecordLater(e Event) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = l.o.Now()
	}
	l.later.Go(func() { _ = l.Record(e) }) // what cannot be recorded has been logged
}

// write adds lines with those that others add at this time.
func (l *Log) write(lines []byte, last bool) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = last
	b := l.gather
	lead := b == nil
	if lead {
		b = &batch{done: make(chan struct{})}
		l.gather = b
	}
	b.lines = append(b.lines, lines...)
	l.mu.Unlock()
	if lead {
		l.disk.Lock()
		l.mu.Lock()
		l.gather = nil // whoever comes now waits for the next
		l.mu.Unlock()
		b.err = l.files.append(b.lines)
		l.disk.Unlock()
		close(b.done)
	}
	<-b.done
	return b.err
}

// Close keeps the counts of refusals that were not kept, and closes the journal.
// Calls after the first do nothing.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.later.Wait()
	var lines []byte
	for _, e := range l.refused.rest() {
		lines = append(lines, e.line()...)
	}
	err := l.write(lines, true)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	return errors.Join(err, l.files.close())
}

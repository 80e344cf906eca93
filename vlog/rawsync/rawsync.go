// Package rawsync measures what a disk can do for a log: the yardstick beside which the log's own speed is reported,
// because absolute numbers say more about the machine than about the program.
//
// The reference is the least that a durable log with several appenders has to do: one file filled with zeros, frames of
// a 16-byte header with a CRC-32C and the payload, and group commit: whatever has gathered is written with one
// positioned write and one fdatasync, while the next group gathers. It keeps no index, serves no reads, makes no files
// and cannot recover. It does not use package vlog and must not.
package rawsync

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	fileBytes   = 64 << 20
	frameHeader = 16
)

// Measure appends payloads of the given size from that many goroutines, each waiting for its append to be durable before the
// next, for about the duration, and returns the appends per second. It uses and removes a file in dir.
func Measure(dir string, writers, payload int, duration time.Duration) (opsPerSec float64, err error) {
	r, err := Open(dir)
	if err != nil {
		return 0, fmt.Errorf("rawsync: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var total atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	body := make([]byte, payload)
	start := time.Now()
	deadline := start.Add(duration)
	for range writers {
		wg.Go(func() {
			n := int64(0)
			for time.Now().Before(deadline) {
				if err := r.Append(body); err != nil {
					failed.Store(&err)
					break
				}
				n++
			}
			total.Add(n)
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if e := failed.Load(); e != nil {
		return 0, fmt.Errorf("rawsync: %w", *e)
	}
	return float64(total.Load()) / elapsed.Seconds(), nil
}

type batch struct {
	buf  []byte
	err  error
	done chan struct{}
}

// Reference is the reference. Safe for concurrent use.
type Reference struct {
	path string
	file vfs.File
	off  int64

	mu      sync.Mutex
	pending *batch
	free    []byte // buffer of the batch before
	kick    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

// Open makes the reference's file in dir.
func Open(dir string) (*Reference, error) {
	r := &Reference{
		path: filepath.Join(dir, fmt.Sprintf("rawsync-%d.tmp", os.Getpid())),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	var err error
	if r.file, err = vfs.Default.OpenReadWrite(r.path, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < fileBytes && err == nil; off += int64(len(zeros)) {
		_, err = r.file.WriteAt(zeros, off)
	}
	if err = errors.Join(err, r.file.Sync()); err != nil {
		return nil, errors.Join(err, r.file.Close(), os.Remove(r.path))
	}
	r.pending = &batch{done: make(chan struct{})}
	go r.commitLoop()
	return r, nil
}

// Close removes the file. No Append may be under way.
func (r *Reference) Close() error {
	close(r.stop)
	<-r.stopped
	return errors.Join(r.file.Close(), os.Remove(r.path))
}

// Append returns when the payload is durable.
func (r *Reference) Append(payload []byte) error {
	var h [frameHeader]byte
	binary.LittleEndian.PutUint32(h[0:], crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	binary.LittleEndian.PutUint32(h[4:], uint32(len(payload)))
	r.mu.Lock()
	b := r.pending
	first := len(b.buf) == 0
	b.buf = append(append(b.buf, h[:]...), payload...)
	r.mu.Unlock()
	if first {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
	<-b.done
	return b.err
}

func (r *Reference) commitLoop() {
	defer close(r.stopped)
	for {
		select {
		case <-r.kick:
		case <-r.stop:
			return
		}
		r.mu.Lock()
		b := r.pending
		r.pending = &batch{buf: r.free[:0], done: make(chan struct{})}
		r.mu.Unlock()
		if len(b.buf) == 0 {
			close(b.done)
			continue
		}
		if r.off+int64(len(b.buf)) > fileBytes {
			r.off = 0
		}
		_, b.err = r.file.WriteAt(b.buf, r.off)
		if b.err == nil {
			b.err = r.file.SyncData()
		}
		r.off += int64(len(b.buf))
		r.free = b.buf
		close(b.done)
	}
}

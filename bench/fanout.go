package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The value written is `@` + sequence number + send time + padding to payloadBytes, so that a
// listener can find both without parsing.
const (
	payloadBytes = 100
	seqDigits    = 10
	timeDigits   = 19
)

func message(seq int64, at time.Time) string {
	s := fmt.Sprintf("@%0*d%0*d", seqDigits, seq, timeDigits, at.UnixNano())
	return s + string(bytes.Repeat([]byte{'x'}, payloadBytes-len(s)))
}

// parseMessage finds a message in a push.
func parseMessage(msg []byte) (seq, nanos int64, ok bool) {
	i := bytes.IndexByte(msg, '@')
	if i < 0 || len(msg) < i+1+seqDigits+timeDigits {
		return 0, 0, false
	}
	msg = msg[i+1:]
	for _, d := range msg[:seqDigits] {
		seq = 10*seq + int64(d-'0')
	}
	for _, d := range msg[seqDigits : seqDigits+timeDigits] {
		nanos = 10*nanos + int64(d-'0')
	}
	return seq, nanos, true
}

// listener counts what one connection is told.
type listener struct {
	conn       *conn
	last       atomic.Int64 // sequence number of the last message
	received   atomic.Int64
	outOfOrder atomic.Int64
	missed     atomic.Int64
	sample     []time.Duration // latencies, if wanted
	sampling   atomic.Bool
}

func (l *listener) run() {
	for {
		msg, err := l.conn.read()
		if err != nil {
			return
		}
		seq, nanos, ok := parseMessage(msg)
		if !ok {
			continue
		}
		last := l.last.Load()
		switch {
		case seq <= last:
			l.outOfOrder.Add(1)
		case seq > last+1 && last > 0:
			l.missed.Add(seq - last - 1)
		}
		l.last.Store(seq)
		l.received.Add(1)
		if l.sampling.Load() {
			l.sample = append(l.sample, time.Duration(time.Now().UnixNano()-nanos))
		}
	}
}

// fanout measures one writer to n listeners of one path.
func fanout(ctx context.Context, s *server, r *Report, n int, d time.Duration) error {
	name := fmt.Sprintf("%sfan-out to %d", s.name, n)
	path := fmt.Sprintf("/fanout%d", n)
	listeners := make([]*listener, n)
	var running sync.WaitGroup
	defer running.Wait()
	defer func() {
		for _, l := range listeners {
			if l != nil {
				l.conn.close()
			}
		}
	}()
	for i := range listeners {
		c, err := dial(ctx, s.target, 64<<10)
		if err != nil {
			return err
		}
		listeners[i] = &listener{conn: c}
		if err := c.call("q", fmt.Sprintf(`"p":%q,"h":""`, path), nil); err != nil {
			return err
		}
		running.Go(listeners[i].run)
	}
	w, err := newWriter(ctx, s.target, path)
	if err != nil {
		return err
	}
	defer w.conn.close()

	// Paced: latency.
	for _, l := range listeners {
		l.sampling.Store(true)
	}
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(d / 2); time.Now().Before(end) && ctx.Err() == nil; {
		<-pace.C
		if err := w.write(); err != nil {
			return err
		}
	}
	if err := awaitAll(ctx, listeners, w.seq); err != nil {
		return err
	}
	var samples []time.Duration
	for _, l := range listeners {
		l.sampling.Store(false)
		samples = append(samples, l.sample...)
	}
	r.add(name, "latency p50 at 100 msg/s", millis(quantile(samples, 0.5)), "ms", "")
	r.add(name, "latency p99 at 100 msg/s", millis(quantile(samples, 0.99)), "ms", "")

	// Saturated.
	before, cpuErr := s.cpu()
	begin, from := time.Now(), w.seq
	if err := saturate(ctx, listeners, w, d); err != nil {
		return err
	}
	took := time.Since(begin)
	deliveries := float64(w.seq-from) * float64(n)
	r.add(name, "deliveries at saturation", deliveries/took.Seconds(), "1/s", "")
	if after, err := s.cpu(); err == nil && cpuErr == nil {
		aim := ""
		switch {
		case s.name != "":
		case n <= 100:
			aim = "<= 1.0"
		case n <= 1000:
			aim = "<= 3.0"
		}
		r.add(name, "server CPU per delivery", float64((after-before).Nanoseconds())/deliveries/1000, "µs", aim)
	}
	var wrong, missed int64
	for _, l := range listeners {
		wrong += l.outOfOrder.Load()
		missed += l.missed.Load()
	}
	r.add(name, "out of order", float64(wrong), "messages", "0")
	r.add(name, "left out", float64(missed), "messages", "0")
	return ctx.Err()
}

// saturate writes as fast as the slowest listener takes it, and waits until everybody has everything.
func saturate(ctx context.Context, listeners []*listener, w *writer, d time.Duration) error {
	const window = 256
	for begin := time.Now(); time.Since(begin) < d && ctx.Err() == nil; {
		if err := w.write(); err != nil {
			return err
		}
		if w.seq%16 == 0 {
			for slowest(listeners) < w.seq-window && ctx.Err() == nil {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
	return awaitAll(ctx, listeners, w.seq)
}

func slowest(listeners []*listener) int64 {
	least := listeners[0].last.Load()
	for _, l := range listeners[1:] {
		least = min(least, l.last.Load())
	}
	return least
}

func awaitAll(ctx context.Context, listeners []*listener, seq int64) error {
	deadline := time.Now().Add(30 * time.Second)
	for slowest(listeners) < seq {
		if time.Now().After(deadline) {
			return fmt.Errorf("a listener has message %d of %d only, after 30 s of waiting", slowest(listeners), seq)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// writer writes numbered messages to a path, many under way at once.
type writer struct {
	conn     *conn
	path     string
	seq      int64
	answered atomic.Int64
	failed   atomic.Pointer[error]
}

func newWriter(ctx context.Context, t Target, path string) (*writer, error) {
	c, err := dial(ctx, t, 64<<10)
	if err != nil {
		return nil, err
	}
	return newWriterOn(c, path), nil
}

func newWriterOn(c *conn, path string) *writer {
	w := &writer{conn: c, path: path}
	go func() {
		for {
			msg, err := c.read()
			if err != nil {
				w.failed.Store(&err)
				return
			}
			if n, ok := answered(msg); ok {
				w.answered.Store(int64(n))
			}
		}
	}()
	return w
}

func (w *writer) write() error {
	const inFlight = 256
	for w.seq-w.answered.Load() >= inFlight {
		if err := w.failed.Load(); err != nil {
			return *err
		}
		time.Sleep(50 * time.Microsecond)
	}
	w.seq++
	_, err := w.conn.request("p", `"p":`+strconv.Quote(w.path)+`,"d":"`+message(w.seq, time.Now())+`"`)
	return err
}

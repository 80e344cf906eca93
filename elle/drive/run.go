package drive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rebase/elle/history"
)

// Notes writes down what else happens, such as faults, between the clients' operations. It may be called by many goroutines
// until Run returns.
type Notes func(what string, value any)

// Run drives a server until Options say that it is enough, or until ctx ends, which is no error. meanwhile runs beside the clients,
// on a goroutine of its own, unless it is nil; its context ends when no more operations are invoked, and Run
// waits for it. Run's error says that the server could not be reached in the end, or what is wrong with the options;
// the history is returned in the first case, too.
func Run(ctx context.Context, o Options, meanwhile func(context.Context, Notes)) (*history.History, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	start := time.Now()
	r := &runner{o: &o, ctx: ctx, rec: history.NewRecorder(func() int64 { return int64(time.Since(start)) }),
		base: fmt.Sprintf("%s/%d", o.Path, time.Now().UnixNano())}
	r.process.Store(int64(o.Clients))
	working, stop := context.WithCancel(ctx)
	defer stop()
	if o.Duration > 0 {
		var cancel context.CancelFunc
		working, cancel = context.WithTimeout(working, o.Duration)
		defer cancel()
	}
	var clients, others sync.WaitGroup
	for i := range o.Clients {
		clients.Go(func() { r.work(working, i) })
	}
	if meanwhile != nil {
		others.Go(func() {
			meanwhile(working, func(what string, value any) { r.rec.Note("nemesis", what, value) })
		})
	}
	clients.Wait()
	stop()
	others.Wait()
	settled := r.settle()
	h, err := r.rec.History()
	if err == nil {
		err = settled
	}
	if odd := r.odd.Load(); odd != nil {
		err = errors.Join(*odd, err)
	}
	return h, err
}

// runner is a run.
type runner struct {
	o    *Options
	ctx  context.Context
	rec  *history.Recorder
	base string // where everything is

	process atomic.Int64 // the next new one
	invoked atomic.Int64
	value   atomic.Int64 // the last one that was written
	writes  atomic.Int64 // which decide the group of keys
	odd     atomic.Pointer[error]
}

// pauseAfterRefusal keeps clients from spinning while there is no server.
const pauseAfterRefusal = 20 * time.Millisecond

// worker is a client and the process that it is at the moment.
type worker struct {
	*runner
	c       client
	process int64
	rng     *rand.Rand
}

// connectAs makes the i-th client, at one of the addresses.
func (r *runner) connectAs(i, address int) client {
	o := r.o.at(address)
	if r.o.Protocols[i%len(r.o.Protocols)] == "ws" {
		return newWS(o)
	}
	return newREST(o)
}

// failuresOfAServer is after how many failures on end that may have been conditions alone a client tries another address.
const failuresOfAServer = 5

func (r *runner) work(ctx context.Context, i int) {
	// Both protocols at each address.
	address, failures := i/len(r.o.Protocols), 0
	w := &worker{runner: r, c: r.connectAs(i, address), process: int64(i), rng: rand.New(rand.NewPCG(r.o.Seed, uint64(i)))}
	defer func() { w.c.close() }()
	for ctx.Err() == nil {
		if n := r.invoked.Add(1); r.o.Txns > 0 && n > int64(r.o.Txns) {
			return
		}
		err := w.operate()
		if failures++; err == nil || len(r.o.Others) == 0 {
			failures = 0
		}
		if err != nil && !certain(err) {
			// The process may still be at it. Another takes its place.
			w.process = r.process.Add(1) - 1
			failures = failuresOfAServer
		}
		if failures >= failuresOfAServer {
			w.c.close()
			address, failures = address+1, 0
			w.c = r.connectAs(i, address)
		}
		pause := r.o.Pause
		if err != nil {
			pause = max(pause, pauseAfterRefusal)
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// operate invokes one operation and sees it end. The error says how it ended, for the client's sake.
func (w *worker) operate() error {
	// An operation that has begun is seen to its end, or it would be in doubt for no reason.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.o.Timeout)
	defer cancel()
	switch w.o.Workload {
	case "list-append":
		return w.list(ctx)
	case "rw-register":
		return w.register(ctx)
	case "set":
		return w.set(ctx)
	}
	return w.counter(ctx)
}

// end records how an operation ended that may have written something.
func end(c *history.Call, err error, ok func()) error {
	switch {
	case err == nil:
		ok()
	case certain(err):
		c.Fail()
	default:
		c.Info()
	}
	return err
}

// endRead records how an operation ended that only reads: without an answer it is as if it had not been.
func endRead(c *history.Call, err error, ok func()) error {
	if err == nil {
		ok()
		return nil
	}
	c.Fail()
	if !certain(err) {
		err = &refusal{err}
	}
	return err
}

// settle waits for the server and reads everything once more.
func (r *runner) settle() error {
	deadline := time.Now().Add(r.o.Settle)
	address := 0
	w := &worker{runner: r, c: r.connectAs(0, address), process: r.process.Add(1) - 1}
	defer func() { w.c.close() }()
	last := r.group()
	for group := int64(0); group <= last; group++ {
		for {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.o.Timeout)
			err := w.final(ctx, group)
			cancel()
			if err == nil {
				break
			}
			if time.Now().After(deadline) || r.ctx.Err() != nil {
				return fmt.Errorf("the server does not answer in the end: %w", errors.Join(err, context.Cause(r.ctx)))
			}
			w.c.close()
			address++
			w.c = r.connectAs(0, address)
			time.Sleep(100 * time.Millisecond)
		}
		if w.o.Workload == "set" || w.o.Workload == "counter" {
			break
		}
	}
	return nil
}

// group is the group of keys in use: a new one for every so many writes.
func (r *runner) group() int64 { return r.writes.Load() / int64(r.o.Keys*r.o.MaxWrites) }

// at is the path of a group, and key the name of a key in it, in the server and in the history.
func (r *runner) at(group int64) string { return r.base + "/g" + strconv.FormatInt(group, 10) }

func keyName(i int) string { return "k" + strconv.Itoa(i) }

func (r *runner) key(group int64, i int) int64 { return group*int64(r.o.Keys) + int64(i) }

package history

import "sync"

// Recorder writes down what the clients of a test do while they do it. Its methods may be
// called by many goroutines; the order in which they take its lock is the order of truth,
// so an invocation must be recorded before its request is sent, and a completion after its
// answer is there.
type Recorder struct {
	mu  sync.Mutex
	b   *Builder
	now func() int64
	err error
}

// NewRecorder makes a Recorder. now gives the time in nanoseconds since some beginning, for
// messages; it may be nil.
func NewRecorder(now func() int64) *Recorder { return &Recorder{b: NewBuilder(), now: now} }

// Call is an operation that has been invoked. It ends by one call of OK, OKValue, Fail or
// Info; one that never ends is in doubt.
type Call struct {
	r *Recorder
	e Entry
}

// Txn invokes a transaction. A process does one thing at a time: one that invokes an
// operation while another of its own is open makes History fail.
func (r *Recorder) Txn(process int64, micros ...Micro) *Call {
	return r.invoke(Entry{Process: process, F: "txn", Micros: micros, Txn: true})
}

// Op invokes an operation that is no transaction, such as "add" with a value.
func (r *Recorder) Op(process int64, f string, value any) *Call {
	return r.invoke(Entry{Process: process, F: f, Value: DatumOf(value)})
}

// Note writes down what something else than a client did, such as a fault.
func (r *Recorder) Note(process, f string, value any) {
	r.add(Entry{Type: "info", Note: process, F: f, Value: DatumOf(value)})
}

func (r *Recorder) invoke(e Entry) *Call {
	e.Type = "invoke"
	r.add(e)
	return &Call{r, e}
}

func (r *Recorder) add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		t := r.now()
		e.Time = &t
	}
	if err := r.b.Add(e); err != nil && r.err == nil {
		r.err = err
	}
}

// OK has happened; micros are those of the transaction with what its reads returned.
func (c *Call) OK(micros ...Micro) {
	c.e.Micros = micros
	c.end("ok")
}

// OKValue has happened, and returned value.
func (c *Call) OKValue(value any) {
	c.e.Value = DatumOf(value)
	c.end("ok")
}

// Fail has certainly not happened, and never will.
func (c *Call) Fail() { c.end("fail") }

// Info is in doubt: it may have happened, or may yet.
func (c *Call) Info() { c.end("info") }

func (c *Call) end(typ string) {
	c.e.Type = typ
	c.r.add(c.e)
}

// History ends the recording. Calls that are open are in doubt. The Recorder must not be
// used afterwards. Its error is the first mistake of a caller.
func (r *Recorder) History() (*History, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	return r.b.History(), nil
}

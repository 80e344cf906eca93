package history

import "strconv"

// Key is a key of a history, numbered densely from 0 in order of appearance.
type Key uint32

// Value is a value of a history. Equal values have equal numbers. None is nil.
type Value uint32

// None is nil: the result of a read that is not known, or of a read that found nothing.
const None Value = 0

// Whole numbers from 0 to maxSmall-1 are their own names: Value(n+1). What has the
// highest bit is an index into the table of interned values.
const (
	interned Value = 1 << 31
	maxSmall       = 1<<31 - 1
)

// Small is n, if it is small enough to be its own name.
func (v Value) Small() (n int, ok bool) { return int(v) - 1, v != None && v < interned }

// Kind says what a micro-operation does.
type Kind uint8

// The kinds of micro-operations.
const (
	Append   Kind = iota // append Val to the list at Key
	Write                // set the register at Key to Val
	Read                 // read the register at Key: Val, or None if nothing or unknown
	ReadList             // read the list at Key: see History.List
)

func (k Kind) String() string {
	switch k {
	case Append:
		return "append"
	case Write:
		return "w"
	}
	return "r"
}

// IsRead tells whether k is Read or ReadList.
func (k Kind) IsRead() bool { return k >= Read }

// Mop is a micro-operation: one step of a transaction.
type Mop struct {
	Key Key
	// Val is the value of an Append, Write or Read. Of a ReadList it is private.
	Val Value
	// Len is the length of a ReadList.
	Len  uint32
	Kind Kind
}

// Type says how an operation ended.
type Type uint8

// How operations end. Info is "in doubt": it may have happened or not, and may still
// happen; an operation that never completed is in doubt too.
const (
	OK Type = iota
	Fail
	Info
)

func (t Type) String() string { return [...]string{"ok", "fail", "info"}[t] }

// NoProcess is the process of an operation that names none.
const NoProcess = -1

// NoEvent stands for an invocation or completion that the history does not have.
const NoEvent = -1

// Op is an operation: an invocation and its completion. A transaction is an operation
// with micro-operations.
type Op struct {
	Type    Type
	F       uint16 // History.F names it
	Process int32  // an index into History.Processes, or NoProcess
	// Invoke and Complete are positions in the order of events, or NoEvent: an operation
	// that is only known by its completion has no invocation, one that never ended has no
	// completion. A position is counted over invocations and completions of clients.
	Invoke, Complete int32
	first, count     uint32 // micro-operations
	// Val is the value of an operation that is no transaction: of its completion, if that
	// has one, else of its invocation.
	Val Value
	// Arg is the value of its invocation.
	Arg Value
}

// Note is an entry of a process that is no client, such as Jepsen's nemesis.
type Note struct {
	Before  int32 // position of the next event of a client
	Process string
	Type    string
	F       string
	Value   Value
}

// History is a history. Its fields must not be changed.
type History struct {
	// Ops are the operations in order of their invocations (of those without one, of
	// their completions).
	Ops []Op
	// Processes are the clients' names.
	Processes []int64
	Notes     []Note
	// Warnings tell what the reader had to assume.
	Warnings []string

	mops   []Mop
	spines [][]Value // by key: the longest list of which others were prefixes
	pool   []Value   // lists that are no prefix of their key's spine
	keys   []Value
	values table
	fs     []string

	events  []uint32 // operation<<1, plus 1 for a completion; by position
	indexes []int64  // by position; nil if each is its position
	times   []int64  // by position, nanoseconds; nil if none is known
}

// Mops are the micro-operations of operation op. An operation that is in doubt or failed
// has those of its completion if it lists any, else those of its invocation.
func (h *History) Mops(op int) []Mop {
	o := &h.Ops[op]
	return h.mops[o.first : o.first+o.count : o.first+o.count]
}

// MopCount is how many micro-operations all operations have together.
func (h *History) MopCount() int { return len(h.mops) }

// List is what a ReadList returned. It must not be changed.
func (h *History) List(m Mop) []Value {
	if m.Kind != ReadList {
		return nil
	}
	if m.Val == None {
		return h.spines[m.Key][:m.Len:m.Len]
	}
	at := uint32(m.Val) - 1
	return h.pool[at : at+m.Len : at+m.Len]
}

// Spine is a list that a committed read of key returned, or nil. Most reads are prefixes of
// it: see OnSpine.
func (h *History) Spine(key Key) []Value { return h.spines[key] }

// OnSpine tells whether the ReadList m is a prefix of its key's spine. If not, it differs
// from it, or it was longer than the spine and differed then.
func (h *History) OnSpine(m Mop) bool { return m.Kind == ReadList && m.Val == None }

// Keys is how many keys there are.
func (h *History) Keys() int { return len(h.keys) }

// KeyDatum is the key as it was written.
func (h *History) KeyDatum(k Key) Datum { return h.Datum(h.keys[k]) }

// Datum is the value as it was written.
func (h *History) Datum(v Value) Datum {
	if n, ok := v.Small(); ok {
		return IntDatum(int64(n))
	}
	if v == None {
		return Datum{}
	}
	return h.values.data[v&^interned]
}

// F is what the operation was called: "txn", "read", "add" …
func (h *History) F(op int) string { return h.fs[h.Ops[op].F] }

// Events are the events of clients in their order: 2*op for the invocation of operation
// op, 2*op+1 for its completion.
func (h *History) Events() []uint32 { return h.events }

// Index is the index that the history's file gives an event, or its position.
func (h *History) Index(event int32) int64 {
	if h.indexes == nil || event < 0 {
		return int64(event)
	}
	return h.indexes[event]
}

// Time is when the event was noticed, in nanoseconds since some beginning; ok tells
// whether the history says so.
func (h *History) Time(event int32) (ns int64, ok bool) {
	if h.times == nil || event < 0 {
		return 0, false
	}
	return h.times[event], true
}

// ProcessName is the process of an operation in words.
func (h *History) ProcessName(op int) string {
	if p := h.Ops[op].Process; p != NoProcess {
		return strconv.FormatInt(h.Processes[p], 10)
	}
	return "unknown"
}

// table interns the values that are not small numbers.
type table struct {
	data []Datum
	byID map[string]Value // by Datum.String
}

func (t *table) intern(d Datum) Value {
	switch d.Sort {
	case Nil:
		return None
	case Int:
		if d.Int >= 0 && d.Int < maxSmall-1 {
			return Value(d.Int + 1)
		}
	}
	name := d.String()
	if v, ok := t.byID[name]; ok {
		return v
	}
	if t.byID == nil {
		t.byID = map[string]Value{}
	}
	v := interned | Value(len(t.data))
	t.byID[name] = v
	t.data = append(t.data, d)
	return v
}

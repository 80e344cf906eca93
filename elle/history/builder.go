package history

import (
	"fmt"
	"slices"
)

// Entry is one entry of a history: an invocation or a completion, or a note of a process
// that is no client.
type Entry struct {
	Type    string // "invoke", "ok", "fail", "info"
	Process int64
	// Unknown says that the entry names no process. Such a completion belongs to the
	// oldest open invocation of an unknown process with the same F.
	Unknown bool
	// Note is the name of a process that is no client; Process is ignored then.
	Note string
	F    string
	// Micros are the micro-operations of a transaction; Txn says that it is one, though
	// Micros may be empty.
	Micros []Micro
	Txn    bool
	Value  Datum // of what is no transaction
	Index  *int64
	Time   *int64 // nanoseconds
}

// Builder puts a history together, entry by entry in the order of truth. It is not for
// use by several goroutines: see Recorder.
type Builder struct {
	h       History
	keyOf   []Key // by small Value: Key+1
	keyMap  map[Value]Key
	fOf     map[string]uint16
	procs   map[int64]int32 // index into h.Processes
	small   []int32         // the same for small numbers: index+1
	open    []int32         // by index into h.Processes: operation+1, or 0
	unknown []int32         // operations of unknown processes that are open
	pending map[int32]*pending
	free    []*pending

	withoutInvocation, withoutProcess int
	ev                                event // scratch of Add
}

// pending is what the invocation of an open operation said.
type pending struct {
	mops []Mop
	list []Value
	txn  bool
}

// event is an entry whose names are already interned. The lists of its mops are in list:
// Val is where one begins, plus 1.
type event struct {
	typ      evType
	process  int64
	known    bool
	note     string
	f        uint16
	hasF     bool
	txn      bool
	hasVal   bool
	mops     []Mop
	list     []Value
	val      Value
	index    int64
	hasIndex bool
	time     int64
	hasTime  bool
}

type evType uint8

const (
	evNone evType = iota
	evInvoke
	evOK
	evFail
	evInfo
)

var evTypes = map[string]evType{"invoke": evInvoke, "ok": evOK, "fail": evFail, "info": evInfo}

// NewBuilder makes an empty one.
func NewBuilder() *Builder {
	b := &Builder{
		keyMap: map[Value]Key{}, fOf: map[string]uint16{}, procs: map[int64]int32{},
		pending: map[int32]*pending{},
	}
	b.f("") // 0: what has no name
	return b
}

// Add adds an entry. Its error, an *Error without a line, says which field is wrong; the
// entry is then left out.
func (b *Builder) Add(e Entry) error {
	ev := &b.ev
	ev.reset()
	if ev.typ = evTypes[e.Type]; ev.typ == evNone {
		return &Error{Field: "type", Reason: fmt.Sprintf("%q is none of invoke, ok, fail, info", e.Type)}
	}
	ev.process, ev.known, ev.note = e.Process, !e.Unknown && e.Note == "", e.Note
	ev.f, ev.hasF = b.f(e.F), e.F != ""
	if e.Index != nil {
		ev.index, ev.hasIndex = *e.Index, true
	}
	if e.Time != nil {
		ev.time, ev.hasTime = *e.Time, true
	}
	ev.txn = e.Txn || e.Micros != nil
	for _, m := range e.Micros {
		mop := Mop{Kind: m.Kind, Key: b.key(b.value(m.Key))}
		if m.Kind == ReadList {
			mop.Val, mop.Len = Value(len(ev.list)+1), uint32(len(m.List))
			for _, d := range m.List {
				ev.list = append(ev.list, b.value(d))
			}
		} else {
			mop.Val = b.value(m.Value)
		}
		ev.mops = append(ev.mops, mop)
	}
	ev.val = b.value(e.Value)
	ev.hasVal = ev.txn || ev.val != None
	return b.add(ev)
}

func (ev *event) reset() {
	*ev = event{mops: ev.mops[:0], list: ev.list[:0]}
}

func (b *Builder) value(d Datum) Value { return b.h.values.intern(d) }

// smallKeys bounds the direct table from small numbers to keys.
const smallKeys = 1 << 20

func (b *Builder) key(v Value) Key {
	if v < smallKeys {
		if int(v) < len(b.keyOf) {
			if k := b.keyOf[v]; k != 0 {
				return k - 1
			}
		} else {
			b.keyOf = append(b.keyOf, make([]Key, int(v)+1-len(b.keyOf))...)
		}
		k := b.newKey(v)
		b.keyOf[v] = k + 1
		return k
	}
	k, ok := b.keyMap[v]
	if !ok {
		k = b.newKey(v)
		b.keyMap[v] = k
	}
	return k
}

func (b *Builder) newKey(v Value) Key {
	b.h.keys = append(b.h.keys, v)
	b.h.spines = append(b.h.spines, nil)
	return Key(len(b.h.keys) - 1)
}

func (b *Builder) f(name string) uint16 {
	i, ok := b.fOf[name]
	if !ok {
		if len(b.h.fs) == 1<<16 {
			return 0 // nobody has so many; they are only names
		}
		i = uint16(len(b.h.fs))
		b.h.fs = append(b.h.fs, name)
		b.fOf[name] = i
	}
	return i
}

// fBytes is f for a name that is most often the same.
func (b *Builder) fBytes(name []byte) uint16 {
	if i, ok := b.fOf[string(name)]; ok {
		return i
	}
	return b.f(string(name))
}

func (b *Builder) processIndex(p int64) int32 {
	if p >= 0 && p < smallKeys {
		if int(p) < len(b.small) {
			if i := b.small[p]; i != 0 {
				return i - 1
			}
		} else {
			b.small = append(b.small, make([]int32, int(p)+1-len(b.small))...)
		}
		i := b.newProcess(p)
		b.small[p] = i + 1
		return i
	}
	i, ok := b.procs[p]
	if !ok {
		i = b.newProcess(p)
		b.procs[p] = i
	}
	return i
}

func (b *Builder) newProcess(p int64) int32 {
	b.h.Processes = append(b.h.Processes, p)
	b.open = append(b.open, 0)
	return int32(len(b.h.Processes) - 1)
}

// add adds an event. ev's slices are its caller's.
func (b *Builder) add(ev *event) error {
	h := &b.h
	if ev.note != "" {
		h.Notes = append(h.Notes, Note{Before: int32(len(h.events)), Process: ev.note,
			Type: evNames[ev.typ], F: h.fName(ev), Value: ev.val})
		return nil
	}
	if ev.typ == evInvoke {
		return b.invoke(ev)
	}
	op := b.opened(ev)
	if op < 0 {
		// Completions without invocations are how some write down what a log of commits
		// said. What began when is then unknown.
		b.withoutInvocation++
		op = int32(len(h.Ops))
		h.Ops = append(h.Ops, Op{Process: NoProcess, Invoke: NoEvent, F: ev.f})
		if ev.known {
			h.Ops[op].Process = b.processIndex(ev.process)
		}
	}
	o := &h.Ops[op]
	o.Complete = int32(len(h.events))
	b.event(uint32(op)<<1|1, ev)
	switch ev.typ {
	case evOK:
		o.Type = OK
	case evFail:
		o.Type = Fail
	case evInfo:
		o.Type = Info
	}
	p := b.pending[op]
	mops, list := ev.mops, ev.list
	if !ev.txn && p != nil && p.txn {
		mops, list = p.mops, p.list
	}
	if len(mops) > 0 {
		o.first, o.count = b.commit(mops, list, ev.typ == evOK)
	}
	if ev.val != None {
		o.Val = ev.val
	}
	if p != nil {
		delete(b.pending, op)
		b.free = append(b.free, p)
	}
	return nil
}

var evNames = [...]string{"", "invoke", "ok", "fail", "info"}

func (h *History) fName(ev *event) string {
	if !ev.hasF {
		return ""
	}
	return h.fs[ev.f]
}

func (b *Builder) invoke(ev *event) error {
	h := &b.h
	op := int32(len(h.Ops))
	o := Op{Type: Info, F: ev.f, Process: NoProcess, Invoke: int32(len(h.events)), Complete: NoEvent,
		Val: ev.val, Arg: ev.val}
	if ev.known {
		o.Process = b.processIndex(ev.process)
		if other := b.open[o.Process]; other != 0 {
			at := h.Ops[other-1].Invoke
			return &Error{Field: "process", Reason: fmt.Sprintf(
				"process %d invokes an operation while the one it invoked at index %d is open", ev.process, h.Index(at))}
		}
		b.open[o.Process] = op + 1
	} else {
		b.withoutProcess++
		b.unknown = append(b.unknown, op)
	}
	h.Ops = append(h.Ops, o)
	b.event(uint32(op)<<1, ev)
	if ev.txn {
		var p *pending
		if n := len(b.free); n > 0 {
			p, b.free = b.free[n-1], b.free[:n-1]
		} else {
			p = &pending{}
		}
		p.txn = true
		p.mops = append(p.mops[:0], ev.mops...)
		p.list = append(p.list[:0], ev.list...)
		b.pending[op] = p
	}
	return nil
}

// opened is the open operation that the completion ev belongs to, closed, or -1.
func (b *Builder) opened(ev *event) int32 {
	if ev.known {
		p := b.processIndex(ev.process)
		op := b.open[p] - 1
		b.open[p] = 0
		return op
	}
	for i, op := range b.unknown {
		if !ev.hasF || b.h.Ops[op].F == ev.f {
			b.unknown = slices.Delete(b.unknown, i, i+1)
			return op
		}
	}
	return -1
}

// event notes that something happened.
func (b *Builder) event(e uint32, ev *event) {
	h := &b.h
	at := len(h.events)
	h.events = append(h.events, e)
	if ev.hasIndex && ev.index != int64(at) && h.indexes == nil {
		h.indexes = make([]int64, at, at+1)
		for i := range h.indexes {
			h.indexes[i] = int64(i)
		}
	}
	if h.indexes != nil {
		index := ev.index
		if !ev.hasIndex {
			index = int64(at)
		}
		h.indexes = append(h.indexes, index)
	}
	if ev.hasTime && h.times == nil {
		h.times = make([]int64, at, at+1)
	}
	if h.times != nil {
		h.times = append(h.times, ev.time)
	}
}

// commit keeps micro-operations. Lists that agree with the spine of their key become
// lengths; a list that is longer and agrees makes the spine grow, if it was read by a
// transaction that committed: what others have read may never have been there.
func (b *Builder) commit(mops []Mop, list []Value, committed bool) (first, count uint32) {
	h := &b.h
	first = uint32(len(h.mops))
	for _, m := range mops {
		if m.Kind == ReadList {
			read := list[m.Val-1:][:m.Len]
			spine := h.spines[m.Key]
			n := min(len(read), len(spine))
			if slices.Equal(read[:n], spine[:n]) && (len(read) == n || committed) {
				if len(read) > n {
					h.spines[m.Key] = append(spine, read[n:]...)
				}
				m.Val = None
			} else {
				m.Val = Value(len(h.pool) + 1)
				h.pool = append(h.pool, read...)
			}
		}
		h.mops = append(h.mops, m)
	}
	return first, uint32(len(mops))
}

// History ends the building: operations that are open stay in doubt. The Builder must not
// be used afterwards.
func (b *Builder) History() *History {
	h := &b.h
	for op := range h.Ops { // in order, so that the same entries give the same history
		if len(b.pending) == 0 {
			break
		}
		if p := b.pending[int32(op)]; p != nil {
			o := &h.Ops[op]
			o.first, o.count = b.commit(p.mops, p.list, false)
			delete(b.pending, int32(op))
		}
	}
	if b.withoutInvocation > 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("%d operations have a completion but no invocation: when they began is unknown", b.withoutInvocation))
	}
	if b.withoutProcess > 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("%d operations name no process: each completion was paired with the oldest open invocation of its kind, and there are no sessions", b.withoutProcess))
	}
	return h
}

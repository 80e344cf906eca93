package gen

import "strconv"

// Type tells the entries of a history apart.
type Type uint8

// The entries: an operation begins, has taken effect, has not and never will, or nobody knows.
const (
	Invoke Type = iota
	OK
	Fail
	Info
)

var typeNames = [...]string{"invoke", "ok", "fail", "info"}

func (t Type) String() string { return typeNames[t] }

// Kind is what one step of a transaction does.
type Kind uint8

// The steps. Add is that of sets and counters.
const (
	Read Kind = iota
	Append
	Write
	Add
)

// Op is one step of a transaction.
type Op struct {
	Kind Kind
	Key  int64
	Val  int64   // what is appended, written or added, or what was read
	List []int64 // what was read, of a list or a set; nil is the empty one
	// Known says that a read has a result. A register that was never written has a result without Set.
	Known, Set bool

	k    *key
	seen int64 // replicaStore: the version that the transaction began with
}

// Event is one entry of a history.
type Event struct {
	Index   int64
	Time    int64 // ns since the beginning
	Process int64
	Type    Type
	F       string // "txn", or "add" and "read" of the workloads set and counter
	Ops     []Op
	list    bool // reads are of lists
}

// AppendEDN appends the entry as a line of EDN, as Jepsen writes it.
func (e *Event) AppendEDN(dst []byte) []byte {
	dst = append(dst, "{:index "...)
	dst = strconv.AppendInt(dst, e.Index, 10)
	dst = append(dst, ", :time "...)
	dst = strconv.AppendInt(dst, e.Time, 10)
	dst = append(dst, ", :type :"...)
	dst = append(dst, typeNames[e.Type]...)
	dst = append(dst, ", :process "...)
	dst = strconv.AppendInt(dst, e.Process, 10)
	dst = append(dst, ", :f :"...)
	dst = append(dst, e.F...)
	dst = append(dst, ", :value "...)
	dst = e.appendValue(dst, &edn)
	return append(dst, "}\n"...)
}

// AppendJSON appends the entry as a line of JSON.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, e.Index, 10)
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, e.Time, 10)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, typeNames[e.Type]...)
	dst = append(dst, `","process":`...)
	dst = strconv.AppendInt(dst, e.Process, 10)
	dst = append(dst, `,"f":"`...)
	dst = append(dst, e.F...)
	dst = append(dst, `","value":`...)
	dst = e.appendValue(dst, &json)
	return append(dst, "}\n"...)
}

// syntax is where EDN and JSON differ in a value.
type syntax struct {
	null, comma string
	kinds       [3]string // of Read, Append, Write: up to the key
}

var (
	edn  = syntax{"nil", " ", [3]string{"[:r ", "[:append ", "[:w "}}
	json = syntax{"null", ",", [3]string{`["r",`, `["append",`, `["w",`}}
)

func (e *Event) appendValue(dst []byte, s *syntax) []byte {
	if e.F != "txn" {
		return e.appendResult(dst, &e.Ops[0], s)
	}
	dst = append(dst, '[')
	for i := range e.Ops {
		o := &e.Ops[i]
		if i > 0 {
			dst = append(dst, s.comma...)
		}
		dst = append(dst, s.kinds[o.Kind]...)
		dst = strconv.AppendInt(dst, o.Key, 10)
		dst = append(dst, s.comma...)
		dst = e.appendResult(dst, o, s)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

func (e *Event) appendResult(dst []byte, o *Op, s *syntax) []byte {
	switch {
	case o.Kind != Read:
		return strconv.AppendInt(dst, o.Val, 10)
	case !o.Known || e.Type != OK:
		return append(dst, s.null...)
	case e.list:
		return appendList(dst, o.List, s)
	case !o.Set:
		return append(dst, s.null...)
	}
	return strconv.AppendInt(dst, o.Val, 10)
}

func appendList(dst []byte, list []int64, s *syntax) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, s.comma...)
		}
		dst = strconv.AppendInt(dst, v, 10)
	}
	return append(dst, ']')
}

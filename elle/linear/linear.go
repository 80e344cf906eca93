package linear

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Nonlinearizable is what is found. It rules out strict serializability, too: an object that is not linearizable alone
// is not so among others.
const Nonlinearizable model.Anomaly = "nonlinearizable"

// NotDecided is why a history is not judged: the time was up.
const NotDecided = model.NotDecided

// Workloads are the names that Check knows.
//
//	keys          the keys of list-append or rw-register transactions, each alone
//	register      read and write
//	cas-register  read, write, and cas, whose value is [expected new]
//	mutex         acquire and release
//	kv            get, put and append of strings; values are [key string]
func Workloads() []string { return []string{"cas-register", "keys", "kv", "mutex", "register"} }

// step is an operation on one object, as porcupine's input.
type step struct {
	op    int
	f     string         // read, write, cas, acquire, release; of transactions ""
	val   string         // written; of cas, expected
	next  string         // of cas
	mops  []history.Mop  // of transactions, those on the key
	lists [][]byte       // by place in mops: what was read, encoded
	known bool           // results are
	read  string         // result of a read
	name  string         // for people
	key   *history.Datum // of transactions
}

// state is that of one object: a register's value, or a list's elements.
type state struct {
	text string // of the workloads with one object
	held bool
	val  history.Value // of transactions
	list string
}

// Check decides each object within a time. It panics if there is no such workload.
func Check(h *history.History, workload string, bound time.Duration) *anomaly.Analysis {
	a := &anomaly.Analysis{}
	if !slices.Contains(Workloads(), workload) {
		panic("linear: no workload " + workload)
	}
	deadline := time.Now().Add(bound)
	var objects [][]*step
	switch workload {
	case "keys":
		objects = keys(h)
	case "kv":
		objects = pairs(h)
	default:
		objects = [][]*step{single(h, workload)}
	}
	m := objectModel(workload)
	objects = slices.DeleteFunc(objects, func(o []*step) bool { return len(o) == 0 })
	// Most objects are easy. A hard one must not keep the others from being looked at: each has a short time
	// first, and those that are left have longer ones while nothing has been found.
	for slice := firstSlice; len(objects) > 0 && len(a.Found) == 0; slice *= 4 {
		var hard [][]*step
		for _, object := range objects {
			left := min(slice, time.Until(deadline))
			if left <= 0 {
				hard = append(hard, object)
				continue
			}
			ops := operations(h, object)
			switch porcupine.CheckOperationsTimeout(m, ops, left) {
			case porcupine.Unknown:
				hard = append(hard, object)
			case porcupine.Illegal:
				// How far one can come costs much more than to know that one does not come through.
				_, info := porcupine.CheckOperationsVerbose(m, ops, min(left, maxWitness))
				a.Found = append(a.Found, witness(h, object, info))
			}
		}
		objects = hard
		if time.Until(deadline) <= 0 {
			break
		}
	}
	if len(objects) > 0 {
		a.Unknown = append(a.Unknown, NotDecided)
	}
	return a
}

const firstSlice = 100 * time.Millisecond

// maxWitness bounds the search for an explanation.
const maxWitness = time.Second

func operations(h *history.History, object []*step) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(object))
	for i, s := range object {
		o := &h.Ops[s.op]
		ops[i] = porcupine.Operation{ClientId: i, Input: s, Output: s, Call: int64(o.Invoke), Return: math.MaxInt64}
		if o.Type == history.OK {
			ops[i].Return = int64(o.Complete)
		}
	}
	return ops
}

// witness names the operation at which the longest attempts to order them end.
func witness(h *history.History, object []*step, info porcupine.LinearizationInfo) anomaly.Anomaly {
	longest := 0
	placed := map[int]bool{}
	for _, attempts := range info.PartialLinearizationsOperations() {
		for _, attempt := range attempts {
			if len(attempt) < longest {
				continue
			}
			if len(attempt) > longest {
				longest = len(attempt)
				clear(placed)
			}
			for _, o := range attempt {
				placed[o.Input.(*step).op] = true
			}
		}
	}
	// Of those in no longest attempt, the one that ended first had to be in.
	var stuck *step
	for _, s := range object {
		if o := &h.Ops[s.op]; !placed[s.op] && o.Type == history.OK && (stuck == nil || o.Complete < h.Ops[stuck.op].Complete) {
			stuck = s
		}
	}
	out := anomaly.Anomaly{Type: Nonlinearizable}
	what := "the object"
	if key := object[0].key; key != nil {
		what = "key " + key.String()
		out.Facts = append(out.Facts, anomaly.Fact{Name: "key", Value: *key})
	}
	if stuck == nil {
		out.Ops = []int{object[0].op}
		out.Text = fmt.Sprintf("No order of the %d operations on %s explains what they returned", len(object), what)
		return out
	}
	out.Ops = []int{stuck.op}
	out.Text = fmt.Sprintf("No order of the operations on %s explains T1: %s. At most %d of %d operations can be put in order, never together with it",
		what, stuck.name, longest, len(object))
	return out
}

// single are the operations of a history of one object.
func single(h *history.History, workload string) []*step {
	var out []*step
	for op := range h.Ops {
		o := &h.Ops[op]
		s := &step{op: op, f: h.F(op), val: h.Datum(o.Arg).String(), known: o.Type == history.OK}
		if o.Type == history.Fail || o.Invoke == history.NoEvent {
			continue
		}
		switch {
		case s.f == "read" && workload != "mutex":
			if s.read = h.Datum(o.Val).String(); !s.known {
				continue
			}
			s.name = "read " + s.read
		case s.f == "write" && workload != "mutex":
			s.name = "write " + s.val
		case s.f == "cas" && workload == "cas-register":
			d := h.Datum(o.Arg)
			if d.Sort != history.List || len(d.Items) != 2 {
				continue
			}
			s.val, s.next = d.Items[0].String(), d.Items[1].String()
			s.name = "cas " + d.String()
		case (s.f == "acquire" || s.f == "release") && workload == "mutex":
			s.name = s.f
		default:
			continue
		}
		out = append(out, s)
	}
	return out
}

// pairs are the operations on each key of a store of strings.
func pairs(h *history.History) [][]*step {
	var objects [][]*step
	place := map[string]int{}
	for op := range h.Ops {
		o := &h.Ops[op]
		d := h.Datum(o.Arg)
		if o.Type == history.Fail || o.Invoke == history.NoEvent || d.Sort != history.List || len(d.Items) != 2 {
			continue
		}
		s := &step{op: op, known: o.Type == history.OK, val: d.Items[1].Text, key: &d.Items[0]}
		s.name = h.F(op) + " " + d.String()
		switch s.f = h.F(op); s.f {
		case "get":
			if result := h.Datum(o.Val); s.known && len(result.Items) == 2 {
				s.f, s.read, s.name = "read", result.Items[1].Text, "get "+result.String()
			} else {
				continue
			}
		case "put":
			s.f = "write"
		case "append":
		default:
			continue
		}
		name := s.key.String()
		i, ok := place[name]
		if !ok {
			i = len(objects)
			place[name] = i
			objects = append(objects, nil)
		}
		objects[i] = append(objects[i], s)
	}
	return objects
}

// keys are the operations of transactions on every key.
func keys(h *history.History) [][]*step {
	objects := make([][]*step, h.Keys())
	for op := range h.Ops {
		o := &h.Ops[op]
		if o.Type == history.Fail || o.Invoke == history.NoEvent {
			continue
		}
		mops := h.Mops(op)
		for i, m := range mops {
			if slices.ContainsFunc(mops[:i], func(e history.Mop) bool { return e.Key == m.Key }) {
				continue
			}
			key := h.KeyDatum(m.Key)
			s := &step{op: op, known: o.Type == history.OK, key: &key}
			effect := false
			for _, other := range mops[i:] {
				if other.Key != m.Key {
					continue
				}
				s.mops = append(s.mops, other)
				var list []byte
				if other.Kind == history.ReadList {
					for _, v := range h.List(other) {
						list = binary.LittleEndian.AppendUint32(list, uint32(v))
					}
				}
				s.lists = append(s.lists, list)
				s.name += h.Micro(other).String()
				effect = effect || !other.Kind.IsRead()
			}
			if s.known || effect {
				objects[m.Key] = append(objects[m.Key], s)
			}
		}
	}
	return objects
}

var seed = maphash.MakeSeed()

// objectModel says what operations do.
func objectModel(workload string) porcupine.Model {
	initial := state{text: history.Datum{}.String()}
	if workload == "kv" {
		initial.text = ""
	}
	return porcupine.Model{
		Init:  func() any { return initial },
		Equal: func(a, b any) bool { return a == b },
		// Without it all orders of the same operations are searched one by one.
		Hash: func(at any) uint64 {
			s := at.(state)
			return maphash.String(seed, s.text) ^ maphash.String(seed, s.list) ^ uint64(s.val)
		},
		Step: func(at, input, _ any) (bool, any) {
			s, now := input.(*step), at.(state)
			switch s.f {
			case "read":
				return s.read == now.text, now
			case "write":
				now.text = s.val
				return true, now
			case "append":
				now.text += s.val
				return true, now
			case "cas":
				if now.text != s.val {
					return !s.known, now // one in doubt may come to nothing
				}
				now.text = s.next
				return true, now
			case "acquire":
				ok := !now.held || !s.known
				now.held = true
				return ok, now
			case "release":
				ok := now.held || !s.known
				now.held = false
				return ok, now
			}
			for i, m := range s.mops {
				switch m.Kind {
				case history.Write:
					now.val = m.Val
				case history.Append:
					now.list += string(binary.LittleEndian.AppendUint32(nil, uint32(m.Val)))
				case history.Read:
					if s.known && m.Val != now.val {
						return false, now
					}
					if s.known && m.Val == history.None && now.list != "" {
						return false, now
					}
				case history.ReadList:
					if s.known && string(s.lists[i]) != now.list {
						return false, now
					}
				}
			}
			return true, now
		},
		DescribeOperation: func(input, _ any) string { return input.(*step).name },
	}
}

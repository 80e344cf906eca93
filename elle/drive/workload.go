package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rebase/elle/history"
)

// step is a micro-operation that is planned.
type step struct {
	write bool
	key   int // in its group
	value int64
}

// plan makes the steps of a transaction, with so many of them writes: all, none, or some.
func (w *worker) plan(reads, writes bool) []step {
	steps := make([]step, 1+w.rng.IntN(4))
	for i := range steps {
		s := &steps[i]
		for s.key+1 < w.o.Keys && w.rng.IntN(2) == 0 {
			s.key++ // each is half as likely as the one before it
		}
		s.write = writes && (!reads || w.rng.IntN(2) == 0)
		if s.write {
			s.value = w.value.Add(1)
			w.writes.Add(1)
		}
	}
	return steps
}

// list is a transaction of list-append: it reads the group, and writes it if nobody else has.
func (w *worker) list(ctx context.Context) error {
	group := w.group()
	steps := w.plan(true, true)
	micros := make([]history.Micro, len(steps))
	writes := false
	for i, s := range steps {
		if micros[i] = history.ReadOf(w.key(group, s.key)); s.write {
			micros[i] = history.AppendTo(w.key(group, s.key), s.value)
			writes = true
		}
	}
	call := w.rec.Txn(w.process, slices.Clone(micros)...) // which it keeps, and results go into micros
	value, tag, err := w.c.get(ctx, w.at(group), writes)
	lists := map[string]string{}
	if err == nil {
		err = w.decode(value, &lists)
	}
	if err != nil { // nothing has been written
		return endRead(call, err, nil)
	}
	for i, s := range steps {
		name := keyName(s.key)
		if s.write {
			lists[name] = strings.TrimPrefix(lists[name]+" "+strconv.FormatInt(s.value, 10), " ")
			continue
		}
		if micros[i], err = w.readList(w.key(group, s.key), lists[name]); err != nil {
			return endRead(call, err, nil)
		}
	}
	if writes {
		text, _ := json.Marshal(lists)
		err = w.c.put(ctx, w.at(group), tag, text)
	}
	return end(call, err, func() { call.OK(micros...) })
}

func (r *runner) readList(key int64, text string) (history.Micro, error) {
	m := history.ReadElements(key)
	for word := range strings.FieldsSeq(text) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return m, r.strange("key %d has the list %q", key, text)
		}
		m.List = append(m.List, history.IntDatum(n))
	}
	return m, nil
}

// register is a transaction of rw-register: it reads, or it updates several paths, or it does both by a conditional write.
func (w *worker) register(ctx context.Context) error {
	group := w.group()
	kind := w.rng.IntN(5) // two to read, two to update, one to do both
	steps := w.plan(kind != 2 && kind != 3, kind > 1)
	micros := make([]history.Micro, len(steps))
	reads, writes := false, false
	for i, s := range steps {
		if micros[i] = history.ReadOf(w.key(group, s.key)); s.write {
			micros[i] = history.WriteTo(w.key(group, s.key), s.value)
			writes = true
		} else {
			reads = true
		}
	}
	call := w.rec.Txn(w.process, slices.Clone(micros)...) // which it keeps, and results go into micros
	if !reads {                                           // from above the group, so that paths have several segments
		update := map[string]int64{}
		for _, s := range steps {
			update[strings.TrimPrefix(w.at(group), w.base+"/")+"/"+keyName(s.key)] = s.value
		}
		text, _ := json.Marshal(update)
		return end(call, w.c.patch(ctx, w.base, text), func() { call.OK(micros...) })
	}
	value, tag, err := w.c.get(ctx, w.at(group), writes)
	values := map[string]int64{}
	if err == nil {
		err = w.decode(value, &values)
	}
	if err != nil {
		return endRead(call, err, nil)
	}
	for i, s := range steps {
		name := keyName(s.key)
		if s.write {
			values[name] = s.value
		} else if v, ok := values[name]; ok {
			micros[i] = history.ReadValue(w.key(group, s.key), v)
		}
	}
	if writes {
		text, _ := json.Marshal(values)
		err = w.c.put(ctx, w.at(group), tag, text)
	}
	return end(call, err, func() { call.OK(micros...) })
}

// set adds an element, or reads them all.
func (w *worker) set(ctx context.Context) error {
	if w.rng.IntN(20+int(w.value.Load()/50)) == 0 { // the more there is, the more a read takes
		return w.final(ctx, 0)
	}
	n := w.value.Add(1)
	call := w.rec.Op(w.process, "add", n)
	path := fmt.Sprintf("%s/set/e%d", w.base, n)
	return end(call, w.c.put(ctx, path, "", strconv.AppendInt(nil, n, 10)), func() { call.OKValue(n) })
}

// counter increments, or reads.
func (w *worker) counter(ctx context.Context) error {
	if w.rng.IntN(3) == 0 {
		return w.final(ctx, 0)
	}
	n := 1 + w.rng.Int64N(5)
	call := w.rec.Op(w.process, "add", n)
	body := fmt.Appendf(nil, `{".sv":{"increment":%d}}`, n)
	return end(call, w.c.put(ctx, w.base+"/counter", "", body), func() { call.OKValue(n) })
}

// final reads all that a group has, or the one object that there is.
func (w *worker) final(ctx context.Context, group int64) error {
	switch w.o.Workload {
	case "set", "counter":
		return w.readObject(ctx)
	}
	micros := make([]history.Micro, w.o.Keys)
	for i := range micros {
		micros[i] = history.ReadOf(w.key(group, i))
	}
	call := w.rec.Txn(w.process, slices.Clone(micros)...) // which it keeps, and results go into micros
	value, _, err := w.c.get(ctx, w.at(group), false)
	if err == nil && w.o.Workload == "list-append" {
		lists := map[string]string{}
		err = w.decode(value, &lists)
		for i := range micros {
			if err == nil {
				micros[i], err = w.readList(w.key(group, i), lists[keyName(i)])
			}
		}
	} else if err == nil {
		values := map[string]int64{}
		err = w.decode(value, &values)
		for i := range micros {
			if v, ok := values[keyName(i)]; ok {
				micros[i] = history.ReadValue(w.key(group, i), v)
			}
		}
	}
	return endRead(call, err, func() { call.OK(micros...) })
}

func (w *worker) readObject(ctx context.Context) error {
	call := w.rec.Op(w.process, "read", nil)
	if w.o.Workload == "counter" {
		value, _, err := w.c.get(ctx, w.base+"/counter", false)
		var n int64
		if err == nil {
			err = w.decode(value, &n)
		}
		return endRead(call, err, func() { call.OKValue(n) })
	}
	value, _, err := w.c.get(ctx, w.base+"/set", false)
	elements := map[string]int64{}
	if err == nil {
		err = w.decode(value, &elements)
	}
	return endRead(call, err, func() {
		list := make([]any, 0, len(elements))
		for _, n := range elements {
			list = append(list, n)
		}
		call.OKValue(list)
	})
}

// decode reads what the server answered; null leaves what is there.
func (r *runner) decode(value []byte, to any) error {
	if value = bytes.TrimSpace(value); len(value) == 0 || string(value) == "null" {
		return nil
	}
	if err := json.Unmarshal(value, to); err != nil {
		return r.strange("the server answers %.100q: %v", value, err)
	}
	return nil
}

// strange is a refusal, and makes the run fail: what the server has is not what was ever written.
func (r *runner) strange(format string, args ...any) error {
	err := refused(format, args...)
	r.odd.CompareAndSwap(nil, &err)
	return err
}

package cluster

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// registerModel is a place that holds a number, 0 for none.
var registerModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		at, op := state.(int64), input.(*registerOp)
		switch op.kind {
		case 'r':
			return at == op.value, at
		case 'c':
			return at == op.from, op.value
		}
		return true, op.value
	},
	DescribeOperation: func(input, _ any) string { return input.(*registerOp).String() },
}

func (op *registerOp) String() string {
	what := fmt.Sprintf("read %d", op.value)
	switch op.kind {
	case 'w':
		what = fmt.Sprintf("write %d", op.value)
	case 'c':
		what = fmt.Sprintf("write %d if %d", op.value, op.from)
	}
	end := time.Duration(op.ended).String()
	if !op.sure {
		end += ", unanswered"
	}
	return fmt.Sprintf("client %d at %s: %s (%v to %s)", op.client, op.node, what, time.Duration(op.called), end)
}

// operations are what porcupine is to order, of one key. Writes that are in doubt and that nobody has seen are left out: that is
// sound because refused conditional writes are left out as well, so that nothing is explained by them. The
// others happened before the first who saw them was answered, or written on their condition.
func operations(ops []*registerOp) []porcupine.Operation {
	seen := map[int64]int64{} // value: when somebody who knew of it was answered, at the earliest
	for _, op := range ops {
		value := op.value
		switch op.kind {
		case 'w':
			continue
		case 'c':
			value = op.from
		}
		end := op.ended
		if !op.sure {
			end = math.MaxInt64
		}
		if was, ok := seen[value]; !ok || end < was {
			seen[value] = end
		}
	}
	// Those that only unseen ones in doubt have seen are open, and harmless.
	var list []porcupine.Operation
	for _, op := range ops {
		end := op.ended
		if !op.sure {
			var ok bool
			if end, ok = seen[op.value]; !ok {
				continue
			}
		}
		list = append(list, porcupine.Operation{ClientId: op.client, Input: op, Call: op.called, Return: end})
	}
	return list
}

// linearizable says what is wrong with a history, key by key; "" if nothing is. Undecided is how many keys were too hard.
func linearizable(ops []*registerOp, bound time.Duration) (wrong string, keys, undecided int) {
	byKey := map[string][]*registerOp{}
	for _, op := range ops {
		byKey[op.key] = append(byKey[op.key], op)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		switch porcupine.CheckOperationsTimeout(registerModel, operations(byKey[key]), bound) {
		case porcupine.Unknown:
			undecided++
		case porcupine.Illegal:
			if wrong == "" {
				wrong = explain(key, byKey[key], bound)
			}
		}
	}
	return wrong, len(byKey), undecided
}

// until is what was known of a history at a moment: what had not ended was in doubt.
func until(ops []*registerOp, at int64) (list []*registerOp) {
	for _, op := range ops {
		switch {
		case op.called > at, op.kind == 'r' && op.ended > at:
		case op.ended > at:
			open := *op
			open.sure = false
			list = append(list, &open)
		default:
			list = append(list, op)
		}
	}
	return list
}

// explain shows what went before the first answer that cannot be. What is linearizable is so at every earlier moment, too.
func explain(key string, ops []*registerOp, bound time.Duration) string {
	slices.SortFunc(ops, func(a, b *registerOp) int { return int(a.ended - b.ended) })
	first, _ := slices.BinarySearchFunc(ops, true, func(op *registerOp, _ bool) int {
		if porcupine.CheckOperationsTimeout(registerModel, operations(until(ops, op.ended)), bound) == porcupine.Illegal {
			return 0
		}
		return -1
	})
	if first == len(ops) {
		return key + " is not linearizable"
	}
	at := ops[first].ended
	before := until(ops, at)
	slices.SortFunc(before, func(a, b *registerOp) int { return int(a.called - b.called) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s is not linearizable: this answer cannot be: %s\nit had before it:\n", key, ops[first])
	for _, op := range before[max(0, len(before)-20):] {
		fmt.Fprintf(&b, "  %s\n", op)
	}
	return b.String()
}

// TestCheckerOfRegisters shows that what is wrong is seen, and what is not is let pass.
func TestCheckerOfRegisters(t *testing.T) {
	write := func(client int, value, called, ended int64, sure bool) *registerOp {
		return &registerOp{client: client, key: "k", kind: 'w', value: value, called: called, ended: ended, sure: sure}
	}
	read := func(client int, value, called, ended int64) *registerOp {
		return &registerOp{client: client, key: "k", kind: 'r', value: value, called: called, ended: ended, sure: true}
	}
	cas := func(client int, from, value, called, ended int64, sure bool) *registerOp {
		return &registerOp{client: client, key: "k", kind: 'c', from: from, value: value, called: called, ended: ended, sure: sure}
	}
	for _, c := range []struct {
		name string
		ops  []*registerOp
		good bool
	}{
		{"one after the other", []*registerOp{write(1, 1, 0, 1, true), read(2, 1, 2, 3), cas(1, 1, 2, 4, 5, true), read(2, 2, 6, 7)}, true},
		{"the past", []*registerOp{write(1, 1, 0, 1, true), write(1, 2, 2, 3, true), read(2, 1, 4, 5)}, false},
		{"lost", []*registerOp{write(1, 1, 0, 1, true), read(2, 0, 2, 3)}, false},
		{"two winners", []*registerOp{write(1, 1, 0, 1, true), cas(1, 1, 2, 2, 9, true), cas(2, 1, 3, 2, 9, true)}, false},
		{"late, in doubt", []*registerOp{write(1, 1, 0, 1, false), write(2, 2, 5, 6, true), read(2, 2, 7, 8), read(3, 1, 9, 10)}, true},
		{"there and gone again", []*registerOp{write(1, 1, 0, 1, false), read(2, 1, 7, 8), read(3, 0, 9, 10)}, false},
		{"in doubt, twice", []*registerOp{write(1, 1, 0, 1, false), write(2, 2, 5, 6, true), read(3, 1, 7, 8), write(2, 3, 9, 10, true), read(3, 1, 11, 12)}, false},
		{"in doubt, never seen", []*registerOp{write(1, 1, 0, 1, false), write(2, 2, 5, 6, true), read(3, 2, 7, 8)}, true},
		{"seen by one in doubt alone", []*registerOp{write(1, 1, 0, 1, false), cas(2, 1, 2, 5, 6, false), read(3, 2, 7, 8)}, true},
	} {
		wrong, _, undecided := linearizable(c.ops, time.Minute)
		if undecided > 0 || (wrong == "") != c.good {
			t.Errorf("%s: judged %q", c.name, wrong)
		}
	}
}

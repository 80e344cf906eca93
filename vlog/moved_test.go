package vlog_test

import (
	"fmt"
	"testing"

	"rebase/vlog"
)

// A log that is moved and moved without anything being written keeps a chain that fits into the register, and nobody loses track of it.
func TestMovedWithoutEnd(t *testing.T) {
	w := newWorld()
	a, b := pair(t, w)
	next := vlog.Position(1)
	write := func(l *vlog.Log) {
		t.Helper()
		p, err := l.Append(bg, fmt.Append(nil, next))
		if err != nil || p != next {
			t.Fatalf("appended at %d, %v; not at %d", p, err, next)
		}
		next++
	}
	write(a)
	for i := range 300 {
		reconfigure(t, []*vlog.Log{a, b}[i/7%2], fmt.Sprint("moved", i))
		if i%50 == 49 {
			write(b)
			write(a)
		}
	}
	if n := len(a.Chain().Segments); n > 80 {
		t.Errorf("the chain has %d segments", n)
	}
	fresh := w.open(t)
	defer fresh.Close()
	for _, l := range []*vlog.Log{a, b, fresh} {
		for p := vlog.Position(1); p < next; p++ {
			es, err := l.Read(bg, p, p+1, 100)
			if err != nil || len(es) != 1 || string(es[0].Payload) != fmt.Sprint(p) {
				t.Fatalf("at %d: %+v, %v", p, es, err)
			}
		}
		write(l)
	}
}

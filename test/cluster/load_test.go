package cluster

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// soak says whether there is time.
func soak() bool { return os.Getenv("REBASE_FAULTS") == "soak" }

// load is what clients do while something happens to the cluster.
type load struct {
	c         *cluster
	name      string
	accounts  *accounts
	registers *registers
	start     time.Time
	end       time.Time // when clients were told to stop

	mu    sync.Mutex
	marks []mark
}

// mark is a moment at which something was done.
type mark struct {
	what string
	at   time.Time
}

// loads numbers the places where clients work: each load has its own.
var loads int

// calm is how long clients work before and after what happens.
const calm = 500 * time.Millisecond

// under lets clients work while do happens, and then holds what they saw against what was promised.
// It returns the load for further checks.
func (c *cluster) under(t *testing.T, name string, seed uint64, do func(l *load)) *load {
	t.Helper()
	loads++
	path := fmt.Sprintf("load%d", loads)
	l := &load{c: c, name: name, start: time.Now()}
	l.accounts = openAccounts(c, path+"/accounts")
	l.registers = openRegisters(c, path+"/registers", seed)
	done := false
	defer func() {
		if !done {
			close(l.registers.stop)
			l.accounts.abort()
			l.registers.done.Wait()
		}
	}()
	time.Sleep(calm)
	do(l)
	time.Sleep(calm)
	l.end = time.Now()
	l.registers.close()
	done = true
	l.accounts.close()
	wrong, keys, undecided := linearizable(l.registers.ops, 5*time.Second)
	if wrong != "" {
		t.Error(wrong)
	}
	if undecided*2 > keys {
		t.Errorf("of %d registers %d could not be judged", keys, undecided)
	}
	l.report(t, keys, undecided)
	return l
}

// peaceful says that no client was told of an error, and none had to go elsewhere of its own accord.
func (l *load) peaceful(t *testing.T) {
	t.Helper()
	for _, b := range l.accounts.clients {
		if len(b.refusals)+len(b.unsure)+b.moves > 0 {
			t.Errorf("%s was not served in peace: %d moves, %d writes in doubt, other answers %v", b.name, b.moves, len(b.unsure), b.refusals)
		}
	}
	if len(l.registers.strange) > 0 {
		t.Errorf("operations on registers were not answered in peace: %v", l.registers.strange)
	}
}

// mark notes that something is done now.
func (l *load) mark(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks = append(l.marks, mark{fmt.Sprintf(format, args...), time.Now()})
}

// report prints what was done and how long it was felt.
func (l *load) report(t *testing.T, keys, undecided int) {
	t.Helper()
	byNode := map[string][]ack{}
	var all []ack
	refusals := map[string]int{}
	moves, redirects, unsure := 0, 0, 0
	for _, b := range l.accounts.clients {
		all = append(all, b.acks...)
		for _, a := range b.acks {
			byNode[a.node] = append(byNode[a.node], a)
		}
		for status, n := range b.refusals {
			refusals[status] += n
		}
		moves += b.moves
		redirects += b.redirects
		unsure += len(b.unsure)
	}
	if len(all) < 100 {
		t.Errorf("only %d writes were acknowledged", len(all))
	}
	sure := 0
	for _, op := range l.registers.ops {
		if op.sure {
			sure++
		}
	}
	if sure < 100 {
		t.Errorf("only %d operations on registers were answered", sure)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d writes acknowledged, %d in doubt, %d moves of clients, %d redirects; %d operations on registers, %d in doubt; %d keys, %d not decided",
		l.name, len(all), unsure, moves, redirects, sure, len(l.registers.ops)-sure, keys, undecided)
	if len(refusals)+len(l.registers.strange) > 0 {
		fmt.Fprintf(&b, "; other answers: %v %v", refusals, l.registers.strange)
	}
	for i, m := range l.marks {
		end := l.end
		if i+1 < len(l.marks) {
			end = l.marks[i+1].at
		}
		fmt.Fprintf(&b, "\n    %s after %.1f s: no write acknowledged for %v", m.what, m.at.Sub(l.start).Seconds(), silence(all, m.at, end))
		for _, name := range slices.Sorted(maps.Keys(byNode)) {
			fmt.Fprintf(&b, ", at %s for %v", name, silence(byNode[name], m.at, end))
		}
		fmt.Fprintf(&b, "; longest write %v", longest(all, m.at, end))
	}
	t.Log(b.String())
}

// silence is the longest time without an acknowledgement between two moments.
func silence(acks []ack, from, to time.Time) time.Duration {
	slices.SortFunc(acks, func(a, b ack) int { return a.at.Compare(b.at) })
	last, most := from, time.Duration(0)
	for _, a := range acks {
		if a.at.After(from) && a.at.Before(to) {
			most = max(most, a.at.Sub(last))
			last = a.at
		}
	}
	return max(most, to.Sub(last)).Round(time.Millisecond)
}

// longest is the longest time that an acknowledged write took which was sent, or under way, between two moments.
func longest(acks []ack, from, to time.Time) (most time.Duration) {
	for _, a := range acks {
		if a.at.After(from) && a.sent.Before(to) {
			most = max(most, a.at.Sub(a.sent))
		}
	}
	return most.Round(time.Millisecond)
}

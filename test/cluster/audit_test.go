package cluster

import (
	"fmt"
	"strings"
	"testing"
)

// TestAuditOfAccounts shows that what is wrong with a ledger is seen.
func TestAuditOfAccounts(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*accounts, *ledger)
		want string // "" if all is well
	}{
		{"as it should be", func(*accounts, *ledger) {}, ""},
		{"one in doubt was made", func(a *accounts, l *ledger) {
			a.clients[0].unsure[3] = true
			l.Log["a"][entryName(3)], l.Count["a"], l.Total = 3, 4, 6
		}, ""},
		{"one in doubt was not made", func(a *accounts, l *ledger) { a.clients[0].unsure[3] = true }, ""},
		{"lost", func(a *accounts, l *ledger) { delete(l.Log["a"], entryName(1)); l.Count["a"]--; l.Total-- }, "acknowledged writes are lost"},
		{"lost and counted", func(a *accounts, l *ledger) { delete(l.Log["a"], entryName(1)) }, "have been counted"},
		{"made twice", func(a *accounts, l *ledger) { l.Count["a"]++; l.Total++ }, "have been counted"},
		{"torn", func(a *accounts, l *ledger) { l.Total++ }, "have been counted"},
		{"never made", func(a *accounts, l *ledger) { l.Log["a"][entryName(9)] = 9; l.Count["a"]++; l.Total++ }, "never made"},
		{"an end without a note", func(a *accounts, l *ledger) { l.Ended["a"] = 0 }, "promised a note"},
		{"two notes of an end", func(a *accounts, l *ledger) { l.Ended["a"] = 2 }, "promised a note"},
		{"two orders", func(a *accounts, l *ledger) {
			a.listeners[1].order[1], a.listeners[1].order[2] = a.listeners[1].order[2], a.listeners[1].order[1]
		}, "to one listener"},
		{"heard of twice", func(a *accounts, l *ledger) { a.listeners[0].order[6] = a.listeners[0].order[1] }, "again as write"},
	} {
		n := &node{name: "n"}
		a := &accounts{clients: []*bookkeeper{}, listeners: []*listener{{home: n, order: map[int64]string{}}, {home: n, order: map[int64]string{}}}}
		l := &ledger{Log: map[string]map[string]int{}, Count: map[string]int{}, Ended: map[string]int{}}
		for name, entries := range map[string]int{"a": 3, "b": 2} {
			b := &bookkeeper{name: name, acked: map[int]bool{}, unsure: map[int]bool{}, sessions: 1, ended: 1}
			l.Log[name] = map[string]int{}
			for i := range entries {
				b.acked[i] = true
				l.Log[name][entryName(i)] = i
				l.Total++
				for _, who := range a.listeners {
					who.order[l.Total] = fmt.Sprintf("log/%s/%s", name, entryName(i))
				}
			}
			l.Count[name], l.Ended[name] = entries, 1
			if a.clients = append(a.clients, b); name == "a" {
				a.clients[0], a.clients[len(a.clients)-1] = b, a.clients[0]
			}
		}
		c.harm(a, l)
		problems := strings.Join(a.audit(l), "\n")
		if (problems == "") != (c.want == "") || !strings.Contains(problems, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, problems, c.want)
		}
	}
}

package simple

import (
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/history"
)

// bank holds every read against the first: the same accounts, the same total. Nobody may be in debt.
func (c *checker) bank() {
	var accounts []element
	var total int64
	first := true
	c.reads(func(op int, d history.Datum) {
		if d.Sort != history.Map {
			c.found(BadValue, []int{op}, nil, "T1 read %v, which is no map of accounts", d)
			return
		}
		var names []element
		var sum int64
		whole := true
		for i := 0; i+1 < len(d.Items); i += 2 {
			name, balance := d.Items[i], d.Items[i+1]
			names = append(names, elementOf(name))
			facts := []anomaly.Fact{{Name: "account", Value: name}, {Name: "balance", Value: balance}}
			switch {
			case balance.Sort != history.Int:
				whole = false
				c.found(WrongAccounts, []int{op}, facts, "T1 read the balance %v of account %v", balance, name)
			case balance.Int < 0:
				c.found(NegativeBalance, []int{op}, facts, "T1 read the balance %v of account %v", balance, name)
				fallthrough
			default:
				sum += balance.Int
			}
		}
		slices.SortFunc(names, func(a, b element) int {
			switch {
			case a == b:
				return 0
			case a.n < b.n || a.n == b.n && a.text < b.text:
				return -1
			}
			return 1
		})
		if first {
			accounts, total, first = names, sum, !whole
			return
		}
		if !slices.Equal(names, accounts) {
			c.found(WrongAccounts, []int{op}, nil, "T1 read %d accounts which are not the %d that were there at first", len(names), len(accounts))
		} else if whole && sum != total {
			c.found(WrongTotal, []int{op}, []anomaly.Fact{{Name: "total", Value: sum}, {Name: "expected", Value: total}},
				"T1 read accounts with %d in total, but there were %d", sum, total)
		}
	})
}

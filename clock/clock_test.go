package clock

import "testing"

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		o, reverse Order
		name       string
	}{
		{Equal, Equal, "equal"},
		{Before, After, "before"},
		{After, Before, "after"},
		{Concurrent, Concurrent, "concurrent"},
		{Order(9), Order(9), "Order(9)"},
	} {
		if c.o.Reverse() != c.reverse || c.o.String() != c.name {
			t.Errorf("%v: reverse %v, want %s, reverse %v", c.o, c.o.Reverse(), c.name, c.reverse)
		}
	}
	if got, want := (&FormatError{"lamport stamp", 3, "ends too early"}).Error(), "lamport stamp: byte 3: ends too early"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

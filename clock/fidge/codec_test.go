package fidge

import (
	"testing"

	"rebase/clock/internal/codectest"
)

func TestForms(t *testing.T) {
	a, b := New(1), New(300)
	s := b.Receive(a.Event())
	if got, want := s.String(), "f300[1:2,300:1]"; got != want {
		t.Errorf("text %s, want %s", got, want)
	}
	data, _ := s.MarshalBinary()
	if got, want := string(data), "f\xac\x02\x02\x01\x02\xaa\x02\x01"; got != want {
		t.Errorf("binary %x, want %x", got, want)
	}
	x, _ := Meet(NewSync(1), NewSync(2))
	if got, want := x.String(), "s1[1:1,2:1]"; got != want {
		t.Errorf("text %s, want %s", got, want)
	}
	// Not even as text is one taken for the other.
	if err := new(SyncStamp).UnmarshalText([]byte(s.String())); err == nil {
		t.Error("a stamp of messages was read as one of rendezvous")
	}
	if err := new(Stamp).UnmarshalText([]byte("f3[1:2]")); err == nil {
		t.Error("a stamp without its own component was read")
	}
}

func TestOfferTravels(t *testing.T) {
	a, b := NewSync(1), NewSync(2)
	x, y := a.Offer(), b.Offer()
	data, err := x.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var z Offer
	if err := z.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Accept(z).String(), "s2[1:1,2:1]"; got != want {
		t.Errorf("the partner has %s, want %s", got, want)
	}
	if got, want := a.Accept(y).String(), "s1[1:1,2:1]"; got != want {
		t.Errorf("the process has %s, want %s", got, want)
	}
}

func FuzzStamp(f *testing.F) {
	a, b := New(1), New(70000)
	x := a.Event()
	codectest.Fuzz[Stamp](f, x, b.Receive(x), New(0).Event())
}

func FuzzSyncStamp(f *testing.F) {
	a, b := Meet(NewSync(1), NewSync(1<<64-1))
	codectest.Fuzz[SyncStamp](f, a, b, NewSync(0).Event())
}

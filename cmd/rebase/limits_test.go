package main

import (
	"testing"

	"rebase/gateway/limit"
	"rebase/server"
)

func TestLimitFlag(t *testing.T) {
	was := limit.Limits{Connections: 7, Operations: limit.Rate{PerSecond: 8, Burst: 9}, Bytes: limit.Rate{PerSecond: 10}}
	for text, want := range map[string]limit.Limits{
		"none":                               {},
		"connections=0":                      {Operations: was.Operations, Bytes: was.Bytes},
		"operations=5/s":                     {Connections: 7, Operations: limit.Rate{PerSecond: 5}, Bytes: was.Bytes},
		"bytes=1MiB/s, operations=0":         {Connections: 7, Bytes: limit.Rate{PerSecond: 1 << 20}},
		"connections=1,operations=2,bytes=3": {Connections: 1, Operations: limit.Rate{PerSecond: 2}, Bytes: limit.Rate{PerSecond: 3}},
	} {
		var f limitFlag
		if err := f.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		got := was
		if f.apply(&got); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{"", "5", "connections", "connections=-1", "connections=x", "speed=5", "bytes=1X", "connections=1;operations=2", "operations=99999999999"} {
		var f limitFlag
		if err := f.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// Flags change the limits of their scope and leave the others.
func TestLimitFlags(t *testing.T) {
	c := serveCmd{LimitWrite: 1 << 20}
	if err := c.LimitUser.UnmarshalText([]byte("connections=3")); err != nil {
		t.Fatal(err)
	}
	l, want := server.DefaultLimits(), server.DefaultLimits()
	want.User.Connections, want.Write = 3, 1<<20
	if c.limits(&l); l != want {
		t.Errorf("%+v, want %+v", l, want)
	}
}

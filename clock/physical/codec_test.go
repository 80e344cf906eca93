package physical

import (
	"math"
	"testing"

	"rebase/clock/internal/codectest"
)

func TestForms(t *testing.T) {
	s := Stamp{-300, 2}
	data, _ := s.MarshalBinary()
	if s.String() != "-300ns@2" || string(data) != "P\xd7\x04\x02" {
		t.Errorf("%s, %x", s, data)
	}
	for _, text := range []string{"-0ns@1", "9223372036854775808ns@1", "-9223372036854775809ns@1", "01ns@1", "1@1", "--1ns@1", "1ns@-1", ""} {
		if err := new(Stamp).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	x, y := Stamp{1, 2}, Stamp{2, 1}
	if n := testing.AllocsPerRun(100, func() {
		if !x.Less(y) {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzStamp(f *testing.F) {
	codectest.Fuzz[Stamp](f, Stamp{}, Stamp{1, 2}, Stamp{math.MaxInt64, 1<<64 - 1}, Stamp{math.MinInt64, 0}, Stamp{-1, 1})
}

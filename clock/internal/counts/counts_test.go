package counts

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
)

// model is a vector as a map without zeros.
type model map[clock.Proc]uint64

func (m model) vector() Vector {
	var v Vector
	for _, p := range slices.Sorted(maps.Keys(m)) {
		v = append(v, Entry{p, m[p]})
	}
	return v
}

func draw(t *rapid.T, name string) model {
	// Few processes, so that vectors overlap; sometimes many, for the search by halves.
	top := rapid.SampledFrom([]uint64{4, 4, 200}).Draw(t, name+" top")
	return rapid.MapOf(rapid.Custom(func(t *rapid.T) clock.Proc { return clock.Proc(rapid.Uint64Max(top).Draw(t, "p")) }),
		rapid.Uint64Range(1, 3)).Draw(t, name)
}

func TestAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		v, w := a.vector(), b.vector()
		less, more := false, false
		m := maps.Clone(a)
		for p := range clock.Proc(202) {
			if v.Get(p) != a[p] {
				t.Fatalf("%v.Get(%d) = %d", v, p, v.Get(p))
			}
			less, more = less || a[p] < b[p], more || a[p] > b[p]
			if b[p] > 0 {
				m[p] = max(a[p], b[p])
			}
		}
		want := map[[2]bool]clock.Order{{false, false}: clock.Equal, {true, false}: clock.Before,
			{false, true}: clock.After, {true, true}: clock.Concurrent}[[2]bool{less, more}]
		if got := Compare(v, w); got != want {
			t.Fatalf("%v is %v %v, want %v", v, got, w, want)
		}
		if got := Max(v, w); !slices.Equal(got, m.vector()) {
			t.Fatalf("Max(%v, %v) = %v", v, w, got)
		}
		p, n := clock.Proc(rapid.Uint64Max(202).Draw(t, "p")), rapid.Uint64Max(3).Draw(t, "n")
		before := slices.Clone(v)
		set := maps.Clone(a)
		set[p] = n
		if n == 0 {
			delete(set, p)
		}
		if got := v.With(p, n); !slices.Equal(got, set.vector()) {
			t.Fatalf("%v.With(%d, %d) = %v", v, p, n, got)
		}
		if !slices.Equal(v, before) {
			t.Fatalf("With changed %v to %v", before, v)
		}
	})
}

func TestDecodersRefuse(t *testing.T) {
	for _, c := range []struct{ text, msg string }{
		{"[1:0]", "a count of 0 is not written"},
		{"[01:1]", "number with leading zero"},
		{"[2:1,1:1]", "processes out of order"},
		{"[1:1,1:1]", "processes out of order"},
		{"[1:4611686018427387905]", "count above the limit"},
		{"[18446744073709551616:1]", "number too large"},
		{"[1:1", `expected "]"`},
		{"[:1]", "expected a number"},
		{"[1:1,]", "expected a number"},
		{"[1:1]]", "more bytes than the stamp has"},
	} {
		r := Read("test", c.text)
		r.Text()
		if err, _ := r.End().(*clock.FormatError); err == nil || err.Msg != c.msg && err.Msg != `expected ","` {
			t.Errorf("%s: %v, want %s", c.text, err, c.msg)
		}
	}
	for _, c := range []struct{ data, msg string }{
		{"", "ends too early"},
		{"\x01\x01\x00", "a count of 0 is not written"},
		{"\x81\x00\x01\x01", "number not in its shortest form"},
		{"\x7f\x01\x01", "more entries than bytes"},
		{"\x01\x01\xff", "ends too early"},
		{"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01", "number too large"},
		{"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x00\x01", "process number too large"},
		{"\x01\x01\x81\x80\x80\x80\x80\x80\x80\x80\x40", "count above the limit"},
		{"\x00\x00", "more bytes than the stamp has"},
	} {
		r := Read("test", c.data)
		r.Binary()
		if err, _ := r.End().(*clock.FormatError); err == nil || err.Msg != c.msg {
			t.Errorf("%x: %v, want %s", c.data, err, c.msg)
		}
	}
}

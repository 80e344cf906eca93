package learnedsort

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"unsafe"
)

// stretch makes many keys of few bytes: the fuzzer shapes how they are distributed, and the length makes every way
// reachable. Each eight bytes are a range of keys, how many are in it, and in which order.
func stretch(data []byte) []uint64 {
	var keys []uint64
	for len(data) >= 12 && len(keys) < 1<<17 {
		from := binary.LittleEndian.Uint64(data)
		width, count, order := uint64(1)<<(data[8]%64), int(data[9])<<(data[10]%9), data[11]
		data = data[12:]
		step := width/uint64(count+1) + 1
		jitter := newJitter(count)
		for i := range uint64(count) {
			switch order % 5 {
			case 0:
				keys = append(keys, from+i*step)
			case 1:
				keys = append(keys, from-i*step)
			case 2:
				keys = append(keys, from+i*step+uint64(jitter.below(int(min(16*step, 1<<40)))))
			case 3:
				keys = append(keys, from+uint64(jitter.below(int(width>>1+1))))
			case 4:
				keys = append(keys, from)
			}
		}
	}
	for len(data) >= 8 {
		keys = append(keys, binary.LittleEndian.Uint64(data))
		data = data[8:]
	}
	return keys
}

// keyOf is the key with these bits.
func keyOf[K Key](b uint64) K { return *(*K)(unsafe.Pointer(&b)) }

func seeds(f *testing.F) {
	f.Add([]byte{})
	for order := range byte(5) {
		for _, width := range []byte{20, 63} {
			b := binary.LittleEndian.AppendUint64(nil, 0x3ff0000000000000)
			b = append(b, width, 200, 7, order)
			f.Add(b)
			f.Add(slices.Concat(b, []byte{1, 2, 3, 4, 5, 6, 7, 8, width, 255, 5, 3}, make([]byte, 16)))
		}
	}
}

func fuzzSort[K Key](t *testing.T, data []byte) {
	var x []K
	for _, u := range stretch(data) {
		x = append(x, keyOf[K](u))
	}
	want := slices.Clone(x)
	slices.Sort(want)
	if Sort(x); slices.CompareFunc(x, want, cmp.Compare) != 0 {
		t.Errorf("%d keys of type %T: not what slices.Sort gives", len(x), x)
	}
}

func FuzzSortFloat64(f *testing.F) { seeds(f); f.Fuzz(fuzzSort[float64]) }
func FuzzSortUint64(f *testing.F)  { seeds(f); f.Fuzz(fuzzSort[uint64]) }
func FuzzSortInt64(f *testing.F)   { seeds(f); f.Fuzz(fuzzSort[int64]) }

func FuzzSortRecords(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var x []Record
		for i, u := range stretch(data) {
			x = append(x, Record{u, uint64(i)})
		}
		SortRecords(x)
		for i := 1; i < len(x); i++ {
			if a, b := x[i-1], x[i]; a.Key > b.Key || a.Key == b.Key && a.Value >= b.Value {
				t.Fatalf("%d records: not sorted at %d, or not stably", len(x), i)
			}
		}
	})
}

func FuzzSortStable(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		type pair struct {
			key   float64
			place int
		}
		var x []pair
		for i, u := range stretch(data) {
			x = append(x, pair{keyOf[float64](u), i})
		}
		want := slices.Clone(x)
		slices.SortStableFunc(want, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
		SortStable(x, func(p pair) float64 { return p.key })
		for i := range x {
			if x[i].place != want[i].place {
				t.Fatalf("%d elements: not what slices.SortStableFunc gives, at %d", len(x), i)
			}
		}
	})
}

func FuzzSortStrings(f *testing.F) {
	f.Add([]byte("one two three"), byte(' '), 0)
	f.Add(bytes.Repeat([]byte("a common beginning\x00\x00\x01\n"), 30), byte('\n'), 7)
	f.Fuzz(func(t *testing.T, data []byte, separator byte, shift int) {
		var x []string
		for i := range 200 { // cut at many places, so that there are enough
			shift := (i * (shift&0xff + 1)) % (len(data) + 1)
			for _, part := range bytes.Split(data[shift:], []byte{separator}) {
				x = append(x, string(part))
			}
			if len(x) > 5000 {
				break
			}
		}
		want := slices.Clone(x)
		slices.Sort(want)
		if SortStrings(x); !slices.Equal(x, want) {
			t.Errorf("%d strings: not what slices.Sort gives", len(x))
		}
	})
}

func FuzzCDF(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint64(0))
	b := binary.LittleEndian.AppendUint64(nil, 0x3ff0000000000000)
	f.Add(append(b, 60, 200, 3, 3), append(b, 20, 200, 2, 0), uint64(0x3ff0000000000001))
	f.Fuzz(func(t *testing.T, train, other []byte, probe uint64) {
		fuzzCDF[float64](t, stretch(train), stretch(other), probe)
		fuzzCDF[int64](t, stretch(train), stretch(other), probe)
	})
}

func fuzzCDF[K Key](t *testing.T, train, other []uint64, probe uint64) {
	as := func(u []uint64) (x []K) {
		for _, b := range u {
			x = append(x, keyOf[K](b))
		}
		return x
	}
	c, run, k := Train(as(train)), as(other), keyOf[K](probe)
	c.Sort(run)
	if !slices.IsSorted(run) {
		t.Fatalf("%d keys of type %T: not sorted", len(run), run)
	}
	want, found := slices.BinarySearch(run, k)
	if got, ok := c.Index(run).Search(run, k); got != want || ok != found {
		t.Errorf("Search(%v) = %d, %v; it is %d, %v", k, got, ok, want, found)
	}
	for i, b := range c.Split(9) {
		// The bound is the first key of its part, unless no key is.
		if c.Part(b, 9) <= i {
			t.Errorf("bound %d, %v, is in part %d", i, b, c.Part(b, 9))
		}
	}
}

// What decodes is canonical, and safe to ask anything.
func FuzzDecode(f *testing.F) {
	for _, d := range dists[:6] {
		x := d.floats(seeded(1), 3000)
		Sort(x)
		b, _ := Train(x).Index(x).MarshalBinary()
		f.Add(b)
		b, _ = Train(x).MarshalBinary()
		f.Add(b)
	}
	b, _ := Train([]int64{7, 7}).MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzDecode[float64](t, data)
		fuzzDecode[int64](t, data)
		fuzzDecode[uint64](t, data)
	})
}

func fuzzDecode[K Key](t *testing.T, data []byte) {
	var c CDF[K]
	if err := c.UnmarshalBinary(data); err == nil {
		if b, _ := c.MarshalBinary(); !bytes.Equal(b, data) {
			t.Error("a CDF has two forms")
		}
		x := []K{c.Quantile(0.3), c.Quantile(0), c.Quantile(1)}
		c.Sort(x)
		c.Split(5)
	} else if !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	var x Index[K]
	if err := x.UnmarshalBinary(data); err == nil {
		if b, _ := x.MarshalBinary(); !bytes.Equal(b, data) {
			t.Error("an Index has two forms")
		}
		k := x.CDF().Quantile(0.7)
		if lo, hi := x.Position(k); lo < 0 || hi < lo || hi > x.Len() {
			t.Errorf("bounds [%d, %d] of %d", lo, hi, x.Len())
		}
	} else if !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

package external

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// shapes are distributions of keys, as the bits that are in the file.
var shapes = []struct {
	name string
	key  func(r *rand.Rand, i, n int) uint64
}{
	{"hashes", func(r *rand.Rand, i, n int) uint64 { return r.Uint64() }},
	{"normal floats", func(r *rand.Rand, i, n int) uint64 { return math.Float64bits(r.NormFloat64()) }},
	{"odd floats", func(r *rand.Rand, i, n int) uint64 {
		return math.Float64bits([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), r.ExpFloat64()}[r.IntN(6)])
	}},
	{"times", func(r *rand.Rand, i, n int) uint64 { return 1790000000e9 + uint64(i)*1e6 + r.Uint64N(5e7) }},
	{"one key", func(r *rand.Rand, i, n int) uint64 { return 42 }},
	{"nearly one key", func(r *rand.Rand, i, n int) uint64 {
		if r.IntN(n/3) == 0 {
			return r.Uint64()
		}
		return 42
	}},
	{"two keys", func(r *rand.Rand, i, n int) uint64 { return 1<<63 + r.Uint64N(2) }},
	{"many scales", func(r *rand.Rand, i, n int) uint64 { return r.Uint64() >> r.IntN(64) }},
	{"clusters", func(r *rand.Rand, i, n int) uint64 { return r.Uint64N(4)<<60 + r.Uint64N(1<<14) }},
	{"falling", func(r *rand.Rand, i, n int) uint64 { return uint64(n-i) << 30 }},
}

func makeFile(t testing.TB, f Format, n int, key func(r *rand.Rand, i, n int) uint64) (name string, data []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(n), 1))
	data = make([]byte, n*f.Width)
	for i := range n {
		record := data[i*f.Width:]
		for j := range f.Width {
			record[j] = byte(i >> (8 * (j % 4))) // tells apart what has equal keys
		}
		if k := key(r, i, n); f.BigEndian {
			binary.BigEndian.PutUint64(record[f.Offset:], k)
		} else {
			binary.LittleEndian.PutUint64(record[f.Offset:], k)
		}
	}
	name = filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(name, data, 0o640); err != nil {
		t.Fatal(err)
	}
	return name, data
}

// sorted is what SortFile has to make of data.
func sorted(f Format, data []byte) []byte {
	var all [][]byte
	for at := 0; at < len(data); at += f.Width {
		all = append(all, data[at:at+f.Width])
	}
	slices.SortStableFunc(all, func(a, b []byte) int {
		switch x, y := f.bits(a), f.bits(b); f.Kind {
		case Int64:
			return cmp.Compare(int64(x), int64(y))
		case Float64:
			return cmp.Compare(math.Float64frombits(x), math.Float64frombits(y))
		default:
			return cmp.Compare(x, y)
		}
	})
	return bytes.Join(all, nil)
}

func TestSortFile(t *testing.T) {
	formats := []Format{
		Records, Uint64s, Int64s, Float64s,
		{Width: 24, Offset: 16, Kind: Float64},
		{Width: 13, Offset: 3, BigEndian: true},
		{Width: 16, BigEndian: true},
		{Width: 16, Offset: 8},
		{Width: 8, Kind: Int64, BigEndian: true},
	}
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			for i, f := range formats {
				for _, n := range []int{0, 1, 500, 20_000} {
					if n > 0 && n < 20_000 && i > 1 {
						continue
					}
					in, data := makeFile(t, f, n, func(r *rand.Rand, i, _ int) uint64 { return shape.key(r, i, max(n, 3)) })
					out := filepath.Join(t.TempDir(), "out")
					result, err := SortFile(t.Context(), out, in, Options{Format: f, Memory: 1})
					if err != nil {
						t.Fatal(err)
					}
					got, err := os.ReadFile(out)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, sorted(f, data)) {
						t.Errorf("%+v, %d records: not what a stable sort gives", f, n)
					}
					if result.Records != int64(n) || result.Ranges < 1 || n == 20_000 && shape.name != "one key" && result.Ranges < 2 {
						t.Errorf("%+v, %d records: %+v", f, n, result)
					}
					onlyThere(t, filepath.Dir(out), "out")
				}
			}
		})
	}
}

// onlyThere checks that nothing is in a folder but what is named.
func onlyThere(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("there are %v in the folder, not %v", names, want)
	}
}

func TestRangesOfSmoothKeysAreOfEqualDepth(t *testing.T) {
	for _, shape := range []int{0, 1, 3} {
		f := Records
		if shape == 1 {
			f.Kind = Float64
		}
		in, _ := makeFile(t, f, 400_000, shapes[shape].key)
		result, err := SortFile(t.Context(), in+".sorted", in, Options{Format: f, Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		mean := float64(result.Records) / float64(result.Ranges)
		if result.Ranges < 10 || float64(result.Largest) > 1.1*mean || result.Again > 0 {
			t.Errorf("%s: the largest of %d ranges is %.2f of the mean; %d again", shapes[shape].name, result.Ranges, float64(result.Largest)/mean, result.Again)
		}
	}
}

func TestSortFileInPlaceKeepsItsMode(t *testing.T) {
	in, data := makeFile(t, Records, 5000, shapes[0].key)
	if _, err := SortFile(t.Context(), in, in, Options{}); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(in)
	if !bytes.Equal(got, sorted(Records, data)) {
		t.Error("not sorted")
	}
	if info, _ := os.Stat(in); info.Mode() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestProgressGrows(t *testing.T) {
	in, data := makeFile(t, Records, 300_000, shapes[0].key)
	var seen []Progress
	if _, err := SortFile(t.Context(), in, in, Options{Memory: 1 << 20, Progress: func(p Progress) { seen = append(seen, p) }}); err != nil {
		t.Fatal(err)
	}
	var phases []Phase
	for i, p := range seen {
		if i > 0 && p.Phase == seen[i-1].Phase {
			if p.Done < seen[i-1].Done || p.Total != seen[i-1].Total {
				t.Errorf("%+v after %+v", p, seen[i-1])
			}
			continue
		}
		phases = append(phases, p.Phase)
		if i > 0 && seen[i-1].Done != seen[i-1].Total {
			t.Errorf("%s ended at %d of %d", seen[i-1].Phase, seen[i-1].Done, seen[i-1].Total)
		}
	}
	if !slices.Equal(phases, []Phase{Sampling, Partitioning, Sorting}) {
		t.Errorf("phases %v", phases)
	}
	if last := seen[len(seen)-1]; last.Done != int64(len(data)) || last.Total != last.Done {
		t.Errorf("it ended with %+v", last)
	}
}

// Whenever it is cancelled, the result is as it was, and nothing is left.
func TestCancelling(t *testing.T) {
	in, _ := makeFile(t, Records, 200_000, shapes[0].key)
	for _, phase := range []Phase{Sampling, Partitioning, Sorting} {
		dir, temp := t.TempDir(), t.TempDir()
		out := filepath.Join(dir, "out")
		if err := os.WriteFile(out, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := SortFile(ctx, out, in, Options{Memory: 1 << 20, TempDir: temp, Progress: func(p Progress) {
			if p.Phase == phase {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while %s: %v", phase, err)
		}
		if got, _ := os.ReadFile(out); string(got) != "before" {
			t.Errorf("cancelled while %s: the result has changed", phase)
		}
		onlyThere(t, dir, "out")
		onlyThere(t, temp)
	}
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, make([]byte, 24), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for _, c := range []struct {
		name, dst, src string
		o              Options
		want           string
	}{
		{"no whole number", out, in, Options{}, "24 bytes are not a whole number of records of 16 bytes"},
		{"no room for the key", out, in, Options{Format: Format{Width: 8, Offset: 1}}, "a key of 8 bytes at 1 does not fit into records of 8 bytes"},
		{"no such kind", out, in, Options{Format: Format{Width: 8, Kind: 9}}, "there is no kind of keys 9"},
		{"a folder", out, dir, Options{}, "not a regular file"},
	} {
		_, err := SortFile(t.Context(), c.dst, c.src, c.o)
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) || !bytes.Contains([]byte(err.Error()), []byte(c.src)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := SortFile(t.Context(), out, out, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	big, _ := makeFile(t, Records, 20_000, shapes[0].key)
	if _, err := SortFile(t.Context(), out, big, Options{Memory: 1, TempDir: filepath.Join(dir, "nowhere")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder for ranges: %v", err)
	}
	onlyThere(t, dir, "in")
}

func FuzzSortFile(f *testing.F) {
	f.Add([]byte("a few bytes that are repeated"), uint16(4000), uint8(16), uint8(0), uint8(0), false)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f, 1}, uint16(9000), uint8(9), uint8(1), uint8(2), true)
	f.Fuzz(func(t *testing.T, data []byte, times uint16, width, offset, kind uint8, big bool) {
		format := Format{Width: int(width%40) + 8, Kind: Kind(kind % 3), BigEndian: big}
		format.Offset = int(offset) % (format.Width - 7)
		all := bytes.Repeat(data, int(times))
		all = all[:min(len(all), 1<<19)/format.Width*format.Width]
		for i := 0; i+4 <= len(all); i += 64 {
			binary.LittleEndian.PutUint32(all[i:], binary.LittleEndian.Uint32(all[i:])*uint32(i+1))
		}
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, all, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := SortFile(t.Context(), name, name, Options{Format: format, Memory: 1}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sorted(format, all)) {
			t.Errorf("%+v, %d bytes: not what a stable sort gives", format, len(all))
		}
	})
}

package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"rebase/blob"
	"rebase/vlog"
)

// sparse is a sealed loglet with gaps between its positions.
type sparse struct {
	entries []vlog.Entry
	first   vlog.Position
}

func (s *sparse) Read(_ context.Context, from, to vlog.Position, maxBytes int) (out []vlog.Entry, err error) {
	if from >= to {
		return nil, nil
	}
	if from < s.first {
		return nil, &vlog.TrimmedError{First: s.first}
	}
	for _, e := range s.entries {
		if e.Pos < from {
			continue
		}
		if maxBytes -= len(e.Payload); e.Pos >= to || maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out, nil
}

// TestSparse compares an archive of random entries at random positions with what it was made from.
func TestSparse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := &sparse{first: 1}
		p := vlog.Position(0)
		for range rapid.IntRange(0, 60).Draw(t, "entries") {
			p += vlog.Position(rapid.OneOf(rapid.Just(1), rapid.IntRange(1, 5), rapid.IntRange(1<<20, 1<<21)).Draw(t, "gap"))
			from.entries = append(from.entries, vlog.Entry{Pos: p, Payload: []byte(rapid.StringN(0, 400, 400).Draw(t, "payload"))})
		}
		tail := p + vlog.Position(rapid.IntRange(1, 1<<21).Draw(t, "behind"))
		if len(from.entries) > 0 && rapid.Bool().Draw(t, "trimmed") {
			from.first = vlog.Position(rapid.Uint64Range(1, uint64(p)).Draw(t, "first"))
		}
		start := vlog.Position(rapid.IntRange(1, 1000).Draw(t, "start"))
		log := &oneSegment{segment: vlog.Segment{ID: 9, Kind: "mem", Start: start, End: start + tail - 1, Sealed: true}, loglet: from}
		b, _ := memBucket()
		o := ArchiveOptions{Log: "x", ObjectBytes: rapid.IntRange(1, 3000).Draw(t, "object"), blockBytes: rapid.IntRange(1, 1000).Draw(t, "block")}
		if n, err := Archive(bg, log, b, o); n != 1 || err != nil {
			t.Fatalf("archived %d, %v", n, err)
		}
		l, err := Provider(Options{Open: bucketOf(b), CacheBytes: rapid.SampledFrom([]int{1, 2000, 1 << 20}).Draw(t, "cache")})(bg, vlog.LogletSpec{ID: 9, Config: log.segment.Config})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if got, err := l.Tail(bg); err != nil || got != (vlog.Tail{Next: tail, Sealed: true}) {
			t.Fatalf("tail = %+v, %v; want %d", got, err, tail)
		}
		some := func(label string) vlog.Position {
			if len(from.entries) > 0 && rapid.Bool().Draw(t, label+" near") {
				e := rapid.SampledFrom(from.entries).Draw(t, label)
				return e.Pos + vlog.Position(rapid.IntRange(0, 2).Draw(t, label+" off"))
			}
			return vlog.Position(rapid.Uint64Range(1, uint64(tail)+3).Draw(t, label))
		}
		for range rapid.IntRange(1, 20).Draw(t, "reads") {
			if rapid.IntRange(0, 9).Draw(t, "trim") == 0 {
				p := some("before")
				got, err := l.Trim(bg, p)
				if want := max(from.first, min(p, tail)); err != nil || got != want {
					t.Fatalf("trim(%d) = %d, %v; want %d", p, got, err, want)
				}
				from.first = got
			}
			a, z, limit := some("from"), some("to"), rapid.IntRange(0, 2000).Draw(t, "limit")
			got, err := l.Read(bg, a, z, limit)
			if a >= min(z, tail) {
				if len(got) != 0 || err != nil {
					t.Fatalf("read [%d,%d) = %d entries, %v", a, z, len(got), err)
				}
				continue
			}
			want, wantErr := from.Read(bg, a, z, limit)
			if (err == nil) != (wantErr == nil) || wantErr != nil && err.Error() != wantErr.Error() {
				t.Fatalf("read [%d,%d): %v, want %v", a, z, err, wantErr)
			}
			// It may return less, but not nothing.
			if len(got) > len(want) || len(want) > 0 && len(got) == 0 {
				t.Fatalf("read [%d,%d) of %d bytes = %d entries, want %d", a, z, limit, len(got), len(want))
			}
			for i, e := range got {
				if e.Pos != want[i].Pos || string(e.Payload) != string(want[i].Payload) {
					t.Fatalf("read [%d,%d): entry %d at %d, want one at %d", a, z, i, e.Pos, want[i].Pos)
				}
			}
		}
	})
}

// archived returns an archive of the entries of fill, in a folder in memory.
func archived(t testing.TB, n int) (vlog.Segment, blob.Bucket, vfs.FS) {
	t.Helper()
	from := &sparse{first: 1}
	for i := 1; i <= n; i++ {
		from.entries = append(from.entries, vlog.Entry{Pos: vlog.Position(i), Payload: body(i)})
	}
	log := &oneSegment{segment: vlog.Segment{ID: 1, Kind: "mem", Start: 1, End: vlog.Position(n + 1), Sealed: true}, loglet: from}
	b, fs := memBucket()
	archive(t, log, b, small(0))
	return log.segment, b, fs
}

func open(t testing.TB, s vlog.Segment, b blob.Bucket) vlog.Loglet {
	t.Helper()
	l, err := Provider(Options{Open: bucketOf(b)})(bg, vlog.LogletSpec{ID: s.ID, Config: s.Config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func rewrite(t testing.TB, fs vfs.FS, key string, change func([]byte) []byte) {
	t.Helper()
	name := "/bucket/" + key
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(change(p)); err != nil {
		t.Fatal(err)
	}
	out.Close()
}

// TestDamage flips bits and cuts files: a read is right, or fails and says where.
func TestDamage(t *testing.T) {
	s, b, fs := archived(t, 16)
	found := 0
	for _, key := range listing(t, b) {
		size, _ := b.Size(bg, key)
		for at := range int(size) {
			rewrite(t, fs, key, func(p []byte) []byte { p[at] ^= 1 << (at % 8); return p })
			l := open(t, s, b)
			for p := vlog.Position(1); p <= 16; {
				es, err := l.Read(bg, p, 17, 500)
				if err != nil {
					var corrupt *vlog.CorruptError
					if !errors.As(err, &corrupt) || !strings.Contains(corrupt.File, key) {
						t.Fatalf("%s, byte %d: %v", key, at, err)
					}
					found++
					break
				}
				if len(es) == 0 || es[0].Pos != p {
					t.Fatalf("%s, byte %d: read at %d gave %d entries", key, at, p, len(es))
				}
				for _, e := range es {
					if string(e.Payload) != string(body(int(e.Pos))) {
						t.Fatalf("%s, byte %d: damage returned as entry %d", key, at, e.Pos)
					}
					p++
				}
			}
			rewrite(t, fs, key, func(p []byte) []byte { p[at] ^= 1 << (at % 8); return p })
		}
	}
	want(t, open(t, s, b), 1, 16)
	if found < 1000 {
		t.Errorf("only %d damages found", found)
	}
	for _, key := range listing(t, b) {
		var old []byte
		rewrite(t, fs, key, func(p []byte) []byte { old = slices.Clone(p); return p[:len(p)-20] })
		_, err := readTo(open(t, s, b), 16)
		var corrupt *vlog.CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s is cut: %v", key, err)
		}
		if err := b.Delete(bg, key); err != nil {
			t.Fatal(err)
		}
		if _, err := readTo(open(t, s, b), 16); !errors.Is(err, vlog.ErrMissing) {
			t.Errorf("%s is gone: %v", key, err)
		}
		if err := b.Put(bg, key, strings.NewReader(string(old)), int64(len(old))); err != nil {
			t.Fatal(err)
		}
	}
	want(t, open(t, s, b), 1, 16)
}

func readTo(l vlog.Loglet, n vlog.Position) (p vlog.Position, err error) {
	for p = 1; p <= n; {
		es, err := l.Read(bg, p, n+1, 500)
		if err != nil || len(es) == 0 {
			return p, err
		}
		p = es[len(es)-1].Pos + 1
	}
	return p, nil
}

// TestDamagedBefore: an object that an interrupted Archive has left, and that was damaged since, is written again.
func TestDamagedBefore(t *testing.T) {
	s, b, fs := archived(t, 200)
	n := 0
	for _, key := range listing(t, b) {
		rewrite(t, fs, key, func(p []byte) []byte { p[len(p)/2] ^= 1; return p })
		n++
	}
	from := &sparse{first: 1}
	for i := 1; i <= 200; i++ {
		from.entries = append(from.entries, vlog.Entry{Pos: vlog.Position(i), Payload: body(i)})
	}
	again := &oneSegment{segment: vlog.Segment{ID: 1, Kind: "mem", Start: 1, End: 201, Sealed: true}, loglet: from}
	archive(t, again, b, small(0))
	if string(again.segment.Config) != string(s.Config) {
		t.Errorf("the second archive is another: %s, %s", again.segment.Config, s.Config)
	}
	want(t, open(t, again.segment, b), 1, 200)
	if got := len(listing(t, b)); got != n {
		t.Errorf("%d objects, there were %d", got, n)
	}
}

// TestTrimCrash stops at each operation of a trim with its deletions, and trims on in a new process.
func TestTrimCrash(t *testing.T) {
	for _, late := range []bool{false, true} {
		for at := int64(1); at < 20; at++ {
			s, b, _ := archived(t, 200)
			all := len(listing(t, b))
			f := &failing{Bucket: b, late: late}
			f.left.Store(at)
			l := open(t, s, f)
			p, err := l.Trim(bg, 120)
			l.(*Loglet).calls.Wait() // for the deletions
			l.Close()
			l = open(t, s, b)
			if _, rerr := l.Read(bg, 100, 110, 100); err == nil && (p != 120 || !errors.Is(rerr, vlog.ErrTrimmed)) {
				t.Fatalf("crash at %d: trim was acknowledged at %d, then read: %v", at, p, rerr)
			}
			want(t, l, 120, 200)
			if p, err := l.Trim(bg, 160); p != 160 || err != nil {
				t.Fatalf("crash at %d: trim = %d, %v", at, p, err)
			}
			l.(*Loglet).calls.Wait()
			want(t, l, 160, 200)
			keys := listing(t, b)
			for _, key := range keys {
				if next, ok := nextOf(key[strings.LastIndex(key, "/")+1:]); ok && next <= 160 || strings.HasSuffix(key, trimName(120)) {
					t.Fatalf("crash at %d: %s is still there", at, key)
				}
			}
			if len(keys) >= all {
				t.Fatalf("nothing was deleted: %d of %d", len(keys), all)
			}
		}
	}
}

// TestTrimmedByAnother: another process has trimmed, and what this one reads is gone.
func TestTrimmedByAnother(t *testing.T) {
	s, b, _ := archived(t, 200)
	l, other := open(t, s, b), open(t, s, b)
	if _, err := l.Read(bg, 200, 201, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Trim(bg, 150); err != nil {
		t.Fatal(err)
	}
	other.(*Loglet).calls.Wait()
	var trimmed *vlog.TrimmedError
	if _, err := l.Read(bg, 1, 201, 10); !errors.As(err, &trimmed) || trimmed.First != 150 {
		t.Fatalf("read of what another has trimmed: %v", err)
	}
	want(t, l, 150, 200)
	if err := other.(*Loglet).Remove(bg); err != nil {
		t.Fatal(err)
	}
	if keys := listing(t, b); len(keys) != 0 {
		t.Fatalf("left after removal: %q", keys)
	}
	if _, err := open(t, s, b).Read(bg, 180, 201, 10); !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("read of what was removed: %v", err)
	}
}

func TestProviderRefuses(t *testing.T) {
	p := Provider(Options{})
	if _, err := p(bg, vlog.LogletSpec{ID: 1, Create: true}); err == nil {
		t.Error("an archive was created")
	}
	for _, cfg := range []string{"", "{}", "null", `{"log":"../x"}`, fmt.Sprintf(`{"log":"x","first":5,"tail":2,"start":1,"manifest":"%064x"}`, 1)} {
		if _, err := p(bg, vlog.LogletSpec{ID: 1, Config: []byte(cfg)}); err == nil {
			t.Errorf("config %q was accepted", cfg)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "ä", "a b", strings.Repeat("x", 201)} {
		if _, err := Archive(bg, &oneSegment{}, nil, ArchiveOptions{Log: name}); err == nil {
			t.Errorf("log name %q was accepted", name)
		}
	}
}

func TestCacheBound(t *testing.T) {
	c := newCache(1000)
	for i := range 100 {
		c.put(cacheKey{"a", i}, make([]byte, 90), 90)
		c.put(cacheKey{"big", i}, nil, 501)
		if c.size > 1000 || len(c.items) != c.order.Len() {
			t.Fatalf("cache holds %d bytes in %d items", c.size, len(c.items))
		}
	}
	if _, ok := c.get(cacheKey{"a", 99}); !ok {
		t.Error("the newest is not in the cache")
	}
	if _, ok := c.get(cacheKey{"a", 1}); ok {
		t.Error("an old one is still in the cache")
	}
}

func FuzzManifest(f *testing.F) {
	b := newBuilder(50)
	for i := 1; i < 10; i++ {
		b.add(vlog.Entry{Pos: vlog.Position(i * i), Payload: body(i)})
	}
	_, o := b.finish()
	f.Add((&manifest{Log: "x", Segment: 3, Start: 7, First: 1, Tail: 100, Objects: []object{o}}).encode())
	f.Add((&manifest{Log: "x", Segment: 3, Start: 7, First: 1, Tail: 1}).encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= manifestHeaderSize {
			binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p[manifestHeaderSize:], castagnoli)) // beyond the checksum
		}
		m, err := decodeManifest(p)
		if err != nil {
			return
		}
		again, err := decodeManifest(m.encode())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func FuzzBlock(f *testing.F) {
	b := newBuilder(1000)
	for i := 1; i < 30; i++ {
		b.add(vlog.Entry{Pos: vlog.Position(i * i), Payload: body(i)})
	}
	p, o := b.finish()
	f.Add(p[objectHeaderSize:b.refs[1].offset], p[o.Index:], uint64(o.First), uint64(o.Next), o.Index)
	f.Fuzz(func(t *testing.T, block, index []byte, first, next, at uint64) {
		last := vlog.Position(0)
		check := func(e vlog.Entry) bool {
			if e.Pos <= last && last != 0 {
				t.Fatalf("position %d behind %d", e.Pos, last)
			}
			last = e.Pos
			return true
		}
		_ = decodeBlock(block, check)
		last = 0
		if len(block) >= blockHeaderSize {
			_ = records(block, check) // as if the checksum were right
		}
		refs, err := decodeIndex(index, object{First: vlog.Position(first), Next: vlog.Position(next), Index: at})
		for i, r := range refs {
			if err == nil && (r.offset >= at || i > 0 && r.offset <= refs[i-1].offset) {
				t.Fatalf("index %v of an object whose blocks end at %d", refs, at)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(Config{URL: "s3://b/x", Log: "l", Segment: 1, Start: 1, First: 1, Tail: 2, Manifest: strings.Repeat("0a", 32)}.Encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		if c, err := DecodeConfig(p); err == nil {
			if again, err := DecodeConfig(c.Encode()); err != nil || again != c && strings.ToValidUTF8(c.URL, "") == c.URL {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
	})
}

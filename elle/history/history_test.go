package history

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// drawEntries makes a well-formed history: each process does one thing at a time.
func drawEntries(t *rapid.T) []Entry {
	key := rapid.OneOf(
		rapid.Map(rapid.Int64Range(-3, 5), IntDatum),
		rapid.Map(rapid.StringMatching(`[a-z"\\é\n]{0,3}`), StringDatum))
	value := rapid.OneOf(rapid.Map(rapid.Int64Range(-2, 9), IntDatum),
		rapid.Map(rapid.Int64(), IntDatum), rapid.Map(rapid.String(), StringDatum))
	var entries []Entry
	open := map[int64][]Micro{}
	index := rapid.Int64Range(0, 3).Draw(t, "first index")
	for range rapid.IntRange(0, 30).Draw(t, "events") {
		if rapid.IntRange(0, 9).Draw(t, "note") == 0 {
			entries = append(entries, Entry{Type: "info", Note: "nemesis", F: "kill", Value: value.Draw(t, "value")})
			continue
		}
		p := rapid.Int64Range(0, 4).Draw(t, "process")
		e := Entry{Process: p, F: "txn", Txn: true}
		i, now := index, index*10
		e.Index, e.Time = &i, &now
		index++
		if micros, ok := open[p]; ok {
			delete(open, p)
			e.Type = rapid.SampledFrom([]string{"ok", "fail", "info"}).Draw(t, "type")
			for _, m := range micros {
				if m.Kind == Read && e.Type == "ok" {
					switch rapid.IntRange(0, 2).Draw(t, "result") {
					case 0:
						m.Value = value.Draw(t, "read")
					case 1:
						m = Micro{Kind: ReadList, Key: m.Key, List: rapid.SliceOfN(value, 0, 4).Draw(t, "list")}
					}
				}
				e.Micros = append(e.Micros, m)
			}
		} else {
			e.Type = "invoke"
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				m := Micro{Kind: rapid.SampledFrom([]Kind{Append, Write, Read}).Draw(t, "kind"), Key: key.Draw(t, "key")}
				if m.Kind != Read {
					m.Value = value.Draw(t, "value")
				}
				e.Micros = append(e.Micros, m)
			}
			open[p] = e.Micros
		}
		entries = append(entries, e)
	}
	return entries
}

func build(t interface{ Fatal(...any) }, entries []Entry) *History {
	b := NewBuilder()
	for _, e := range entries {
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.History()
}

// dump is all that a history says.
func dump(t interface{ Fatal(...any) }, h *History) string {
	var b bytes.Buffer
	if err := h.WriteEDN(&b); err != nil {
		t.Fatal(err)
	}
	return b.String() + strings.Join(h.Warnings, "\n")
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := build(t, drawEntries(t))
		var edn, lines bytes.Buffer
		if err := h.WriteEDN(&edn); err != nil {
			t.Fatal(err)
		}
		if err := h.WriteJSON(&lines); err != nil {
			t.Fatal(err)
		}
		window := rapid.IntRange(1, 200).Draw(t, "window")
		again, err := Parse(bytes.NewReader(edn.Bytes()), ParseOptions{Format: EDN, Window: window})
		if err != nil {
			t.Fatalf("%v in\n%s", err, edn.String())
		}
		if got := dump(t, again); got != dump(t, h) {
			t.Fatalf("%s\nwant\n%s", got, edn.String())
		}
		again, err = Parse(&lines, ParseOptions{Format: JSON, Window: window})
		if err != nil {
			t.Fatal(err)
		}
		if got := dump(t, again); got != dump(t, h) {
			t.Fatalf("%s\nwant\n%s", got, edn.String())
		}
	})
}

// Whatever the lists are and in whatever order they come, each is kept as it was.
func TestListsAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOf(rapid.SliceOfN(rapid.IntRange(1, 2), 0, 5)).Draw(t, "lists")
		b := NewBuilder()
		for _, list := range lists {
			values := make([]any, len(list))
			for i, v := range list {
				values[i] = v
			}
			if err := b.Add(Entry{Type: "ok", Process: 1, Micros: []Micro{ReadElements("k", values...)}}); err != nil {
				t.Fatal(err)
			}
		}
		h := b.History()
		for op, list := range lists {
			m := h.Mops(op)[0]
			var got []int
			for _, v := range h.List(m) {
				n, _ := v.Small()
				got = append(got, n)
			}
			if !slices.Equal(got, list) {
				t.Fatalf("%v, want %v", got, list)
			}
			if h.OnSpine(m) && !slices.Equal(h.List(m), h.Spine(m.Key)[:m.Len]) {
				t.Fatal("on the spine, and no prefix of it")
			}
		}
	})
}

func TestMemoryIsThatOfMicroOperations(t *testing.T) {
	b := NewBuilder()
	list := []any{}
	for i := range 1000 {
		list = append(list, i)
		if err := b.Add(Entry{Type: "ok", Process: 1, Micros: []Micro{ReadElements("k", list...)}}); err != nil {
			t.Fatal(err)
		}
	}
	h := b.History()
	if len(h.pool) != 0 || len(h.spines[0]) != 1000 {
		t.Errorf("%d values beside a spine of %d", len(h.pool), len(h.spines[0]))
	}
}

func TestOnlyCommittedReadsAreTheSpine(t *testing.T) {
	h := build(t, []Entry{
		{Type: "fail", Process: 1, Micros: []Micro{ReadElements("k", 9, 9)}},
		{Type: "info", Process: 2, Micros: []Micro{ReadElements("k", 1, 8)}},
		{Type: "ok", Process: 1, Micros: []Micro{ReadElements("k", 1, 2)}},
		{Type: "info", Process: 3, Micros: []Micro{ReadElements("k", 1)}},
	})
	if m := h.Mops(2)[0]; !h.OnSpine(m) || len(h.Spine(0)) != 2 {
		t.Error("what a failed transaction read is taken for the list")
	}
	if got := told(h); got != `fail [:r "k" [9 9]] info [:r "k" [1 8]] ok [:r "k" [1 2]] info [:r "k" [1]]` {
		t.Error(got)
	}
}

func TestCompressed(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(`{:type :ok :value [[:w 1 2]]}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := Parse(&b, ParseOptions{})
	if err != nil || told(h) != "ok [:w 1 2]" {
		t.Errorf("%v", err)
	}
}

func TestRecorder(t *testing.T) {
	clock := int64(0)
	r := NewRecorder(func() int64 { clock++; return clock })
	var wait sync.WaitGroup
	for p := range int64(8) {
		wait.Go(func() {
			for i := range 50 {
				c := r.Txn(p, AppendTo("k", int(p)*1000+i), ReadOf("k"))
				switch i % 4 {
				case 0:
					c.Fail()
				case 1:
					c.Info()
				default:
					c.OK(AppendTo("k", int(p)*1000+i), ReadElements("k", 1))
				}
			}
			r.Op(p, "add", 5).OKValue(6)
			r.Txn(p, ReadOf("k")) // and nobody knows how it ended
		})
	}
	wait.Wait()
	r.Note("nemesis", "rest", nil)
	h, err := r.History()
	if err != nil {
		t.Fatal(err)
	}
	count := map[Type]int{}
	for op := range h.Ops {
		count[h.Ops[op].Type]++
		if h.F(op) == "add" && h.Datum(h.Ops[op].Val).String() != "6" {
			t.Error("the result of an add is", h.Datum(h.Ops[op].Val))
		}
	}
	if len(h.Ops) != 8*52 || count[OK] != 8*25 || count[Fail] != 8*13 || count[Info] != 8*14 {
		t.Errorf("%d operations: %v", len(h.Ops), count)
	}
	for i := range int32(len(h.events)) {
		if at, ok := h.Time(i); !ok || at != int64(i)+1 {
			t.Fatalf("event %d at %d", i, at)
		}
	}
	r = NewRecorder(nil)
	r.Txn(1)
	r.Txn(1)
	if _, err := r.History(); err == nil {
		t.Error("a process does two things at a time")
	}
}

func TestDatum(t *testing.T) {
	for _, c := range []struct{ edn, json string }{
		{"nil", "null"}, {"true", "true"}, {"-5", "-5"}, {"1.5", "1.5"}, {"##NaN", `"##NaN"`}, {`"a\"b"`, `"a\"b"`},
		{":k", `"k"`}, {"sym", `"sym"`}, {"[1 [2]]", "[1,[2]]"}, {"#{1}", "[1]"}, {`{:a 1 2 3}`, `{"2":3,"a":1}`},
	} {
		p := ednParser{}
		p.buf = []byte(c.edn + " ")
		d, err := p.datum()
		if err != nil || d.String() != c.edn {
			t.Errorf("%s: %s, %v", c.edn, d, err)
		}
		if j, err := json.Marshal(d); err != nil || string(j) != c.json {
			t.Errorf("%s: %s, %v", c.edn, j, err)
		}
	}
}

// Neither parser may crash, and what one accepts it must accept again after writing it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{:type :ok, :f :txn, :value [[:append 9 1] [:r 9 [1 2]]], :process 18, :time 40237832, :index 3}`), false)
	f.Add([]byte(`#a.B{:type :invoke :value #{1 :a "b\n" {1 2}} :process :nemesis} ; c`), false)
	f.Add([]byte(`[{"type":"ok","f":"txn","value":[["append",9,1],["r","é",[1,2]]],"process":18}]`), true)
	f.Add([]byte("w 0 1\n-----\nr 0 1\n=====\nr 0 0"), false)
	f.Add([]byte("INFO  jepsen.util - 3\t:invoke\t:write\t4"), false)
	f.Fuzz(func(t *testing.T, text []byte, lines bool) {
		o := ParseOptions{Window: 16}
		if lines {
			o.Format = JSON
		}
		h, err := Parse(bytes.NewReader(text), o)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := h.WriteEDN(&b); err != nil {
			t.Fatal(err)
		}
		for op := range h.Ops {
			for _, m := range h.Mops(op) {
				h.Micro(m)
			}
		}
	})
}

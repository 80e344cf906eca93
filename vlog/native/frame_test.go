package native

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

func anyMessage(rt *rapid.T) core.Message {
	u := func(name string) uint64 { return rapid.Uint64().Draw(rt, name) }
	m := core.Message{
		Kind: core.Kind(rapid.IntRange(0, 255).Draw(rt, "kind")), Status: core.Status(rapid.IntRange(0, 3).Draw(rt, "status")),
		From: core.Node(u("from")), To: core.Node(u("to")), Loglet: u("loglet"), Disk: u("disk"), Incarnation: u("incarnation"), Ref: u("ref"),
		Known: vlog.Position(u("known")), First: vlog.Position(u("first")), Next: vlog.Position(u("next")), Tail: vlog.Position(u("tail")),
		Trimmed: vlog.Position(u("trimmed")), Acked: vlog.Position(u("acked")), Oldest: u("oldest"),
		MaxBytes: rapid.IntRange(0, maxFrame).Draw(rt, "max"), Bit: rapid.Bool().Draw(rt, "bit"), Again: rapid.Bool().Draw(rt, "again"),
	}
	for range rapid.IntRange(0, 5).Draw(rt, "entries") {
		size := rapid.SampledFrom([]int{0, 1, 100, byReference - 1, byReference, 3 * byReference, readBytes + 1}).Draw(rt, "size")
		m.Entries = append(m.Entries, bytes.Repeat([]byte{byte(size)}, size))
	}
	return m
}

// Whatever is sent arrives, however the stream is cut.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var f frames
		var want []core.Message
		for range rapid.IntRange(1, 8).Draw(rt, "messages") {
			m := anyMessage(rt)
			want = append(want, m)
			f.add(&m)
		}
		f.cut()
		stream := bytes.Join(f.parts, nil)
		if len(stream) != f.bytes {
			rt.Fatalf("%d bytes, said to be %d", len(stream), f.bytes)
		}
		var from io.Reader = bytes.NewReader(stream)
		switch rapid.IntRange(0, 2).Draw(rt, "cut") {
		case 1:
			from = iotest.HalfReader(from)
		case 2:
			if len(stream) < 10_000 {
				from = iotest.OneByteReader(from)
			}
		}
		r := frameReader{from: from}
		var got []core.Message
		for {
			var err error
			if got, err = r.next(got); err == io.EOF {
				break
			} else if err != nil {
				rt.Fatal(err)
			}
		}
		for i := range got {
			if len(got[i].Entries) == 0 {
				got[i].Entries = nil
			}
		}
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("got\n%+v, want\n%+v", got, want)
		}
	})
}

// Who says that much will come does not make the receiver take memory for it.
func TestHostileLength(t *testing.T) {
	head := []byte{0, 0, 0, 0x10, 1, 2, 3, 4} // 256 MiB
	r := frameReader{from: io.MultiReader(bytes.NewReader(head), bytes.NewReader(make([]byte, 3<<20)), iotest.ErrReader(io.EOF))}
	if _, err := r.next(nil); err != io.EOF {
		t.Fatal(err)
	}
	if len(r.buf) > 16<<20 {
		t.Fatalf("took %d bytes for 3 MiB", len(r.buf))
	}
	for _, bad := range [][]byte{
		{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{1, 0, 0, 0, 0, 0, 0, 0, 0},
		make([]byte, frameHeader),
	} {
		r := frameReader{from: bytes.NewReader(bad)}
		if _, err := r.next(nil); !errors.Is(err, errFrame) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// What is accepted is exactly what would be written.
func FuzzFrame(f *testing.F) {
	seed := func(m core.Message) {
		var q frames
		q.add(&m)
		q.cut()
		f.Add(bytes.Join(q.parts, nil))
	}
	seed(core.Message{Kind: core.Store, From: 1, To: 2, Loglet: 3, Disk: 4, Incarnation: 5, Ref: 6, Known: 7, First: 8, Acked: 9, Entries: [][]byte{[]byte("a"), nil, []byte("bc")}})
	seed(core.Message{Kind: core.Info, From: 2, To: 1, Tail: 300, Trimmed: 1, Bit: true})
	seed(core.Message{Kind: core.Append, Oldest: 12, MaxBytes: 1 << 20, Again: true, Status: core.Sealed})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := frameReader{from: bytes.NewReader(b)}
		batch, err := r.next(nil)
		if err == nil {
			batch, err = r.next(batch)
		}
		if err == nil {
			t.Skip("more than one batch")
		}
		var q frames
		for i := range batch {
			q.add(&batch[i])
		}
		q.cut()
		if again := bytes.Join(q.parts, nil); !bytes.HasPrefix(b, again) {
			t.Fatalf("%x was read as %x", b, again)
		}
		// Without the checksum in the way.
		if m, err := decodeMessage(b); err == nil {
			var q frames
			q.add(&m)
			q.cut()
			if again := bytes.Join(q.parts, nil)[frameHeader:]; !bytes.Equal(again, b) {
				t.Fatalf("%x was read as %x", b, again)
			}
		}
	})
}

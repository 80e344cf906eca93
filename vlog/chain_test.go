package vlog

import (
	"bytes"
	"reflect"
	"testing"
)

func testChain() Chain {
	c := newChain(Segment{Kind: "local", Config: []byte("log")}, [16]byte{1})
	c = c.Extend(10, Segment{Kind: "mem"}, [16]byte{2})
	return c.Extend(10, Segment{Kind: "local", Config: []byte{0, 255}}, [16]byte{3})
}

func TestChainCodec(t *testing.T) {
	c := testChain()
	b := c.Append(nil)
	got, err := DecodeChain(b)
	if err != nil || !reflect.DeepEqual(got.Segments[2], c.Segments[2]) || got.Reconfiguration != c.Reconfiguration || !bytes.Equal(got.Append(nil), b) {
		t.Fatalf("decoded %+v, %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if _, err := DecodeChain(bad); err == nil {
				t.Fatalf("bit %d of byte %d flipped, and no error", bit, i)
			}
		}
	}
	for n := range b {
		if _, err := DecodeChain(b[:n]); err == nil {
			t.Fatalf("cut at %d, and no error", n)
		}
	}
}

func TestChainTruncate(t *testing.T) {
	c := testChain()
	for before, want := range map[Position]uint64{0: 1, 9: 1, 10: 3, 1000: 3} {
		if got := c.Truncate(before, [16]byte{9}); got.Lowest != want || got.Segments[0].ID != want || got.check() != nil {
			t.Errorf("truncate below %d: %+v", before, got)
		}
	}
	for p, want := range map[Position]int{0: -1, 1: 0, 9: 0, 10: 2, 11: 2} {
		if got := c.locate(p); got != want {
			t.Errorf("locate(%d) = %d, want %d", p, got, want)
		}
	}
}

func FuzzDecodeChain(f *testing.F) {
	f.Add(testChain().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeChain(b)
		if err == nil && !bytes.Equal(c.Append(nil), b) {
			t.Fatal("accepted a chain in a form that is not written")
		}
	})
}

func TestEnvelope(t *testing.T) {
	h := Header{Session: [16]byte{1, 2, 3}, Seq: 300, Extra: map[uint64][]byte{7: []byte("seven"), 2: {}, 900: {1}}}
	b := AppendEnvelope([]byte("before"), &h, []byte("body"))[6:]
	got, body, err := DecodeEnvelope(b)
	if err != nil || string(body) != "body" || got.Session != h.Session || got.Seq != 300 || len(got.Extra) != 3 || string(got.Extra[7]) != "seven" {
		t.Fatalf("decoded %+v, %q, %v", got, body, err)
	}
	plain := AppendEnvelope(nil, &Header{Seq: 1}, []byte("body"))
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := DecodeEnvelope(plain); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding allocates %v times", n)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(AppendEnvelope(nil, &Header{Seq: 1}, []byte("body")))
	f.Add(AppendEnvelope(nil, &Header{Seq: 1 << 40, Extra: map[uint64][]byte{1: []byte("x"), 500: nil}}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := DecodeEnvelope(b)
		if err == nil && !bytes.Equal(AppendEnvelope(nil, &h, body), b) {
			t.Fatal("accepted an envelope in a form that is not written")
		}
	})
}

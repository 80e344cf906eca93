package zookeeper

import (
	"errors"
	"reflect"
	"testing"
)

func FuzzDecode(f *testing.F) {
	e := end{next: 1}
	for i := range 20 {
		e = e.follows(batchName{e.next, 7, uint64(i)}, i+1)
	}
	f.Add(e.encode())
	f.Add(encodeInline([][]byte{[]byte("a"), nil, []byte("ccc")}))
	f.Add(reference{folder: "x-1", parts: 3, size: 1000, sum: 5}.encode())
	f.Add(encodeTrim(77))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= 4 {
			p = sealSum(p[:len(p)-4]) // else the checksum would refuse all
		}
		if e, err := decodeEnd(p, 0); err == nil {
			if again, err := decodeEnd(e.encode(), 0); err != nil || !reflect.DeepEqual(again, e) {
				t.Fatalf("%+v became %+v, %v", e, again, err)
			}
		}
		if entries, ref, err := decodeBatch(p); err == nil && ref == nil {
			if again, _, err := decodeBatch(encodeInline(entries)); err != nil || len(again) != len(entries) {
				t.Fatalf("%d entries became %d, %v", len(entries), len(again), err)
			}
		}
		decodeTrim(p)
		decodeMulti(p)
		DecodeConfig(p)
		if n, ok := parseBatchName(string(p)); ok && n.String() != string(p) {
			t.Fatalf("%q is read as %v", p, n)
		}
	})
}

// TestDamage: no bit of what is stored can change unnoticed.
func TestDamage(t *testing.T) {
	for _, p := range [][]byte{end{next: 9}.encode(), encodeInline([][]byte{[]byte("entry")}), encodeTrim(3)} {
		for i := range len(p) * 8 {
			p[i/8] ^= 1 << (i % 8)
			_, err1 := decodeEnd(p, 0)
			_, _, err2 := decodeBatch(p)
			_, err3 := decodeTrim(p)
			if err1 == nil || err2 == nil || err3 == nil {
				t.Fatalf("bit %d of %x may change", i, p)
			}
			p[i/8] ^= 1 << (i % 8)
		}
	}
}

func TestMultiAnswer(t *testing.T) {
	var b buffer
	for _, c := range []code{0, codeBadVersion, -2} {
		b.int32(opError)
		b.bool(false)
		b.int32(int32(c))
		b.int32(int32(c))
	}
	b.int32(-1)
	b.bool(true)
	b.int32(-1)
	var f *failure
	if err := decodeMulti(b); !errors.As(err, &f) || f.index != 1 || !errors.Is(err, codeBadVersion) {
		t.Fatalf("the answer says %v", err)
	}
	for i := range b {
		if err := decodeMulti(b[:i]); err == nil {
			t.Fatalf("%d bytes of an answer pass for one", i)
		}
	}
}

package tree

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The examples of docs/format/tree.md.
func TestBinaryForm(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "00", `false`: "01", `true`: "02", `0`: "40", `63`: "7f", `64`: "038001", `-1`: "0301", `0.5`: "04000000000000e03f",
		`""`: "80", `"é"`: "82c3a9", `{"a":{"b":7}}`: "06010161" + "06010162" + "47", `{".sv":"timestamp"}`: "07", `{".sv":{"increment":-1}}`: "080301",
		`{".value":5,".priority":1}`: "094145", `{".priority":"p","a":true}`: "09" + "8170" + "06010161" + "02",
	} {
		if got := hex.EncodeToString(AppendBinary(nil, mustParse(t, text))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	long := strings.Repeat("x", 300)
	if got := AppendBinary(nil, NewString(long)); !bytes.HasPrefix(got, []byte{5, 0xac, 2, 'x'}) || len(got) != 303 {
		t.Errorf("%x…", got[:8])
	}
}

func TestBinaryIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(4, true).Draw(t, "node")
		tail := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "tail")
		b := append(AppendBinary(nil, n), tail...)
		back, rest, err := DecodeBinary(b)
		if err != nil || !Equal(back, n) || !bytes.Equal(rest, tail) {
			t.Fatalf("%s is read back as %s, %x, %v", AppendExport(nil, n), AppendExport(nil, back), rest, err)
		}
		b = b[:len(b)-len(tail)]
		for cut := range b {
			if _, _, err := DecodeBinary(b[:cut]); err == nil {
				t.Fatalf("%d of %d bytes are enough", cut, len(b))
			}
		}
		clear(b)
		if !Equal(back, n) {
			t.Fatal("the node aliases the bytes")
		}
	})
}

func TestBinaryRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "unknown tag": "0a", "unknown tag below small integers": "3f", "long form of a small integer": "0302", "overlong integer": "0380818000",
		"endless integer": "03ffffffffffffffffffff01", "double that is an integer": "04000000000000f03f", "NaN": "04000000000000f87f",
		"long form of a short string": "050161", "string of invalid UTF-8": "81ff", "object without children": "0600", "more children than bytes": "06ffffffff0f016140",
		"empty child": "0601016100", "empty key": "06010040", "invalid key": "0601012e40", "keys out of order": "060201624001614" + "0", "key twice": "0602016140016140",
		"priority of nothing": "094100", "boolean priority": "090141", "object as priority": "09060161" + "0140" + "41", "priority of a priority": "09094141" + "41",
		"increment by a string": "088161", "increment by an increment": "080840", "increment by nothing": "08",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(name, err)
		}
		n, _, err := DecodeBinary(b)
		var e *BinaryError
		if !errors.As(err, &e) || e.Reason == "" || n != nil {
			t.Errorf("%s: got %s, %v", name, AppendExport(nil, n), err)
		}
	}
	deep := NewInt(1)
	for range MaxDepth {
		deep = NewObject([]Child{{"k", deep}})
	}
	if _, _, err := DecodeBinary(AppendBinary(nil, deep)); err != nil {
		t.Error(err)
	}
	if _, _, err := DecodeBinary(AppendBinary(nil, NewObject([]Child{{"k", deep}}))); err == nil {
		t.Error("33 levels are accepted")
	}
	for _, b := range []byte{tagIncrement, tagPriority, tagObject} {
		if _, _, err := DecodeBinary(bytes.Repeat([]byte{b}, 1<<20)); err == nil {
			t.Errorf("a row of %#x is accepted", b)
		}
	}
}

func FuzzDecodeBinary(f *testing.F) {
	for text := range parseTable {
		if n, err := ParseJSON([]byte(text)); err == nil {
			f.Add(AppendBinary(nil, n))
		}
	}
	f.Add([]byte("\x06\xff\xff\xff\xff\x0f\x01a@"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, rest, err := DecodeBinary(b)
		if err != nil {
			return
		}
		// There is one form for each node.
		if again := AppendBinary(nil, n); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x is written as %x", b, again)
		}
		back, err := ParseJSON(AppendExport(nil, n))
		if err != nil || !Equal(back, n) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

package etcd

import (
	"bytes"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) contains(s string) bool { return strings.Contains(l.String(), s) }
func (l *lines) logger() *slog.Logger   { return slog.New(slog.NewTextHandler(l, nil)) }

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		appends := rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 4), 1, 4).Draw(rt, "appends")
		var requests []*request
		var want [][]byte
		size := 0
		for _, payloads := range appends {
			requests = append(requests, &request{payloads: payloads, count: len(payloads)})
			for _, p := range payloads {
				want = append(want, p)
				size += len(p)
			}
		}
		b, err := decodeBatch(7, encodeInline(requests, len(want), size))
		if err != nil || b.first != 7 || b.count != len(want) {
			rt.Fatalf("decode = %+v, %v", b, err)
		}
		for i := range want {
			if !bytes.Equal(b.payloads[i], want[i]) {
				rt.Fatalf("payload %d is %x, want %x", i, b.payloads[i], want[i])
			}
		}
	})
}

// FuzzBatch: no value makes the decoder panic or take more memory than the value allows, and what passes is whole.
func FuzzBatch(f *testing.F) {
	f.Add(encodeInline([]*request{{payloads: [][]byte{[]byte("a"), nil, []byte("bcd")}}}, 3, 4)[4:])
	f.Add(ref{id: "x-1", count: 3, table: 3, total: 20, piece: 8}.encode()[4:])
	f.Add([]byte{inline, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, body []byte) {
		value := append(make([]byte, 4), body...)
		sealFrame(value)
		b, err := decodeBatch(1, value)
		if err != nil {
			return
		}
		if b.ref == nil && len(b.payloads) != b.count {
			t.Fatalf("%d payloads, count %d", len(b.payloads), b.count)
		}
		value[len(value)-1] ^= 1
		if _, err := decodeBatch(1, value); err == nil {
			t.Fatal("a damaged value passed")
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(Config{Endpoints: []string{"http://10.0.0.1:2379"}, Prefix: "/x", Creation: 1 << 63}.Encode())
	f.Add([]byte(`{"endpoints":["http://u:p@h"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeConfig(b)
		if err != nil {
			return
		}
		again, err := DecodeConfig(c.Encode())
		if err != nil || !reflect.DeepEqual(again, c) && len(c.Endpoints) > 0 {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
	})
}

func TestKeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		id, creation := rapid.Uint64().Draw(rt, "id"), rapid.Uint64().Draw(rt, "creation")
		a, b, ok := parseIndex("/p/", keysOf("/p", id, creation).index)
		if !ok || a != id || b != creation {
			rt.Fatalf("%x-%x became %x-%x", id, creation, a, b)
		}
		k := keysOf("/p", id, creation)
		if first := k.firstOf(k.entry(4711)); first != 4711 {
			rt.Fatalf("first = %d", first)
		}
	})
	for _, key := range []string{"/p/index/", "/p/index/x", "/q/index/0000000000000001-0000000000000001"} {
		if _, _, ok := parseIndex("/p", key); ok {
			t.Errorf("%q passed", key)
		}
	}
}

package rtdb

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"rebase/jsonscan"
	"rebase/tree"
)

// collector records what inbound finds.
type collector struct{ events []string }

func (c *collector) message(b []byte) error { c.add("message", b); return nil }
func (c *collector) oversized(head, tail []byte) error {
	c.add("oversized", append(append(bytes.Clone(head), '|'), tail...))
	return nil
}
func (c *collector) ping(b []byte) error   { c.add("ping", b); return nil }
func (c *collector) pong(b []byte) error   { c.add("pong", b); return nil }
func (c *collector) closed(b []byte) error { c.add("closed", b); return errors.New("closed") }
func (c *collector) add(kind string, b []byte) {
	c.events = append(c.events, fmt.Sprintf("%s %q", kind, b))
}

func masked(op ws.OpCode, fin bool, text string) []byte {
	f := ws.NewFrame(op, fin, []byte(text))
	return ws.MustCompileFrame(ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4}))
}

func TestInbound(t *testing.T) {
	for _, tc := range []struct {
		name   string
		frames [][]byte
		want   string
	}{
		{"one", [][]byte{masked(ws.OpText, true, `{}`)}, `[message "{}"]`},
		{"keep-alive", [][]byte{masked(ws.OpText, true, `0`), masked(ws.OpText, true, `{}`)}, `[message "{}"]`},
		{"segments", [][]byte{masked(ws.OpText, true, `2`), masked(ws.OpText, true, `{"a`), masked(ws.OpText, true, `0`)}, `[message "{\"a0"]`},
		{"zero as a segment", [][]byte{masked(ws.OpText, true, `1`), masked(ws.OpText, true, `0`)}, `[message "0"]`},
		{"fragments", [][]byte{masked(ws.OpText, false, `{`), masked(ws.OpPing, true, `p`), masked(ws.OpContinuation, false, ``), masked(ws.OpContinuation, true, `}`)}, `[ping "p" message "{}"]`},
		{"a rune across fragments", [][]byte{masked(ws.OpText, false, "\xe2\x82"), masked(ws.OpContinuation, true, "\xac......")}, `[message "€......"]`},
		{"seven digits are a message", [][]byte{masked(ws.OpText, true, `1234567`)}, `[message "1234567"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c collector
			in := inbound{max: 1000}
			if err := in.feed(bytes.Join(tc.frames, nil), &c); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.events); got != tc.want || !in.idle() {
				t.Fatalf("got %s, idle %v", got, in.idle())
			}
		})
	}
}

// FuzzInbound feeds the same bytes whole and in pieces: the outcome must not depend on how they arrive, and what is held back is
// bounded.
func FuzzInbound(f *testing.F) {
	f.Add(masked(ws.OpText, true, `{"t":"c"}`), uint8(1))
	f.Add(bytes.Join([][]byte{masked(ws.OpText, true, `2`), masked(ws.OpText, true, `ab`), masked(ws.OpPing, true, `x`), masked(ws.OpText, true, `c`)}, nil), uint8(3))
	f.Add(bytes.Join([][]byte{masked(ws.OpText, false, `a`), masked(ws.OpContinuation, true, strings.Repeat("b", 300))}, nil), uint8(7))
	f.Add(masked(ws.OpClose, true, "\x03\xe8"), uint8(2))
	f.Add(bytes.Join([][]byte{masked(ws.OpText, true, `3`), masked(ws.OpText, true, strings.Repeat("a", 700)), masked(ws.OpText, true, strings.Repeat("b", 700)), masked(ws.OpText, true, `c`)}, nil), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		const limit = 1 << 10
		run := func(step int) (string, error) {
			var c collector
			in := inbound{max: limit}
			for rest := bytes.Clone(data); len(rest) > 0; {
				n := min(step, len(rest))
				if err := in.feed(bytes.Clone(rest[:n]), &c); err != nil {
					return fmt.Sprint(c.events), err
				}
				rest = rest[n:]
				if held := len(in.rest) + len(in.frag) + len(in.msg) + len(in.tail); held > 3*limit+ws.MaxHeaderSize {
					t.Fatalf("%d bytes are held back", held)
				}
			}
			return fmt.Sprint(c.events), nil
		}
		whole, err1 := run(len(data) + 1)
		pieces, err2 := run(int(step) + 1)
		if whole != pieces || fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Fatalf("%s, %v\n%s, %v", whole, err1, pieces, err2)
		}
	})
}

// FuzzReceive gives messages to a machine: every request gets a slot and can be answered, and the answers are JSON.
func FuzzReceive(f *testing.F) {
	for _, s := range []string{
		`{"t":"c","d":{"t":"p","d":{}}}`,
		`{"t":"d","d":{"r":1,"a":"q","b":{"p":"/a","h":"","q":{"sp":3,"sn":"[MAX_NAME]","l":2,"vf":"r"},"t":1,"ch":{"ps":["a"],"hs":["x",""]}}}}`,
		`{"t":"d","d":{"r":1,"a":"p","b":{"p":"/a/.priority","d":{".value":1,".priority":2},"h":"x"}}}`,
		`{"t":"d","d":{"r":1,"a":"m","b":{"p":"/","d":{"a/b":1,"c/.priority":{".sv":"timestamp"}}}}}`,
		`{"t":"d","d":{"r":-1,"a":"gauth","b":{"cred":"owner","authvar":{"uid":"x"},"noauth":false}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m machine
		m.ns, m.out.epoch = "test", 1
		e, err := m.receive(primary, text)
		if err != nil {
			var ce *closeError
			if !errors.As(err, &ce) {
				t.Fatalf("%T", err)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q was accepted", text)
		}
		if e.kind == nothing {
			return
		}
		if m.answers.outstanding() != 1 {
			t.Fatal("the request has no slot")
		}
		if e.kind != answer {
			e.status, e.payload = "ok", emptyText
		}
		m.fill(e.slot, e.status, e.payload, 0)
		items := m.out.take(nil, 1<<20)
		if len(items) != 1 || !json.Valid(items[0].f.text()) {
			t.Fatalf("answer %v", items)
		}
	})
}

// FuzzFrameOf checks that what is framed comes back, and that every frame is one that clients take.
func FuzzFrameOf(f *testing.F) {
	f.Add(`{}`, 1)
	f.Add("€", segmentBytes)
	f.Add("😀a", 3*segmentBytes)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if s == "" || !utf8.ValidString(s) || n < 1 || n > 1<<20 {
			return
		}
		text := strings.Repeat(s, n/len(s)+1)
		fr := frameOf([]byte(text))
		if got := fr.text(); string(got) != text {
			t.Fatalf("%d bytes became %d", len(text), len(got))
		}
		count := -1
		for rest, i := []byte(fr), 0; len(rest) > 0; i++ {
			r := bytes.NewReader(rest)
			h, err := ws.ReadHeader(r)
			if err != nil || h.OpCode != ws.OpText || !h.Fin || h.Masked || h.Length > segmentBytes {
				t.Fatalf("header %+v, %v", h, err)
			}
			at := len(rest) - r.Len()
			payload := rest[at : at+int(h.Length)]
			if !utf8.Valid(payload) {
				t.Fatal("a rune is cut")
			}
			if len(text) > segmentBytes && i == 0 {
				count, _ = parseCount(payload)
			} else {
				count--
			}
			rest = rest[at+int(h.Length):]
		}
		if len(text) > segmentBytes && count != 0 {
			t.Fatalf("the count is off by %d", count)
		}
	})
}

// FuzzSegments gives the parameters of a poll to the decoder, and what it finds to the reassembler.
func FuzzSegments(f *testing.F) {
	f.Add("id=1&pw=2&ser=3&seg0=0&ts0=2&d0=e30&seg1=1&ts1=2&d1=.")
	f.Add("seg0=1&ts0=1&d0=e30.&seg1=0&ts1=1&d1=e30")
	f.Add("seg0=0&ts0=99&d0=&&seg1==&=")
	f.Fuzz(func(t *testing.T, query string) {
		segments, err := parseParams(query).segments()
		if err != nil {
			return
		}
		a := reassembler{max: 100}
		for _, s := range segments {
			if _, err := a.add(s); err != nil {
				return
			}
			held := a.packet.Len()
			for _, e := range a.early {
				held += len(e.data)
			}
			if held != a.held || held > 2*a.max {
				t.Fatalf("%d bytes are held, %d counted", held, a.held)
			}
		}
	})
}

// FuzzReassemble cuts messages and lets the pieces arrive in another order.
func FuzzReassemble(f *testing.F) {
	f.Add("first message", "second", uint8(3), uint64(7))
	f.Fuzz(func(t *testing.T, first, second string, size uint8, order uint64) {
		var pieces []segment
		for _, m := range []string{first, second} {
			packet := base64.URLEncoding.WithPadding('.').EncodeToString([]byte(m))
			step := int(size) + 1
			total := max(1, (len(packet)+step-1)/step)
			if total > aheadWindow/2 {
				return
			}
			for i := range total {
				pieces = append(pieces, segment{len(pieces), total, packet[i*step : min(len(packet), (i+1)*step)]})
			}
		}
		for i := len(pieces) - 1; i > 0; i-- { // shuffle
			order = order*6364136223846793005 + 1442695040888963407
			j := int(order>>33) % (i + 1)
			pieces[i], pieces[j] = pieces[j], pieces[i]
		}
		a := reassembler{max: 1 << 20}
		var got []string
		for _, s := range pieces {
			messages, err := a.add(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				got = append(got, string(m.text))
			}
		}
		if len(got) != 2 || got[0] != first || got[1] != second || a.held != 0 {
			t.Fatalf("%q, %d held", got, a.held)
		}
	})
}

// FuzzPush checks that pushes are JSON with and without a tag.
func FuzzPush(f *testing.F) {
	f.Add("a/b", `{"x":[1,"€\u0000"]}`, int64(3))
	f.Fuzz(func(t *testing.T, path, value string, tag int64) {
		p, err := tree.ParsePath(path)
		if err != nil {
			return
		}
		v, err := parseValue([]byte(value))
		if err != nil {
			return
		}
		for _, tagged := range []*int64{nil, &tag} {
			text := putPush(p, false, v).frame(tagged).text()
			var m message
			if m, err = parseMessage(append([]byte(`{"d":{"r":1},`), text[1:]...)); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			got, err := tree.ScanValue(jsonscan.New(m.body.data))
			if err != nil || !tree.Equal(got, v) || m.body.path != string(p) || m.body.hasTag != (tagged != nil) || m.body.tag != 0 && m.body.tag != tag {
				t.Fatalf("%s became %s (%v)", value, text, err)
			}
		}
	})
}

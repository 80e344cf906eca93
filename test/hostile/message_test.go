package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rebase/test/harness"
)

var actions = []string{"s", "q", "l", "n", "g", "p", "m", "o", "om", "oc", "auth", "gauth", "unauth", "appcheck", "unappcheck", "unappeck", "nonsense", ""}

// values are of every type, and some of no use anywhere.
var values = []string{`null`, `true`, `false`, `0`, `-1`, `1e400`, `9223372036854775808`, `""`, `"x"`, `"/"`, `"a.b"`, `"\u0000"`, `"\ud800"`,
	`[]`, `[1]`, `{}`, `{"a":1}`, `{".sv":"timestamp"}`, `{".sv":{"increment":"x"}}`, `{".sv":7}`, `{".value":{}}`, `{".priority":[]}`, `{"a/b":1}`, `{"":1}`, `{"$":{"#":2}}`}

// Every request is answered, whatever is in it, and the connection goes on.
func TestWrongTypesInEveryField(t *testing.T) {
	a := attacked(t, 400*mib)
	c := a.dialNS("types") // whose root is overwritten
	go func() {
		for _, action := range actions {
			for _, field := range []string{"p", "d", "h", "q", "t", "ch", "c", "cred", "authvar", "noauth", "token"} {
				for _, v := range values {
					body := map[string]string{"p": `"/types/x"`, "d": `1`}
					body[field] = v
					var members []string
					for k, v := range body {
						members = append(members, fmt.Sprintf("%q:%s", k, v))
					}
					if _, err := c.Send(action, []byte("{"+strings.Join(members, ",")+"}")); err != nil {
						return // the reader tells
					}
				}
			}
		}
	}()
	n := int64(len(actions) * 11 * len(values))
	refused := 0
	c.SetReadDeadline(time.Now().Add(patience))
	for want := int64(1); want <= n; {
		m, err := c.Next()
		if err != nil {
			t.Fatalf("after %d of %d answers: %v", want-1, n, err)
		}
		if m.Request == 0 {
			continue
		}
		if m.Request != want || m.Status == "" {
			t.Fatalf("answer %+v instead of that to request %d", m, want)
		}
		if m.Status != "ok" {
			refused++
		}
		want++
	}
	t.Logf("%d of %d requests refused", refused, n)
	a.serves()
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	a := attacked(t, 400*mib)
	c := a.dial()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for name, r := range map[string]struct{ action, body, status string }{
		"no path":            {"p", `{"d":1}`, "failure"},
		"no data":            {"p", `{"p":"/x"}`, "failure"},
		"path is a number":   {"p", `{"p":5,"d":1}`, "failure"},
		"key with a dot":     {"p", `{"p":"/x","d":{"a.b":1}}`, "failure"},
		"key with a slash":   {"p", `{"p":"/x","d":{"a/b":1}}`, "failure"},
		"empty key":          {"p", `{"p":"/x","d":{"":1}}`, "failure"},
		"control character":  {"p", `{"p":"/x","d":{"\u0001":1}}`, "failure"},
		"path with a $":      {"p", `{"p":"/x/$y","d":1}`, "failure"},
		"long key":           {"p", `{"p":"/x","d":{"` + strings.Repeat("k", 769) + `":1}}`, "failure"},
		"33 levels":          {"p", `{"p":"/x","d":` + deep(33) + `}`, "failure"},
		"deep path":          {"p", `{"p":"` + strings.Repeat("/a", 33) + `","d":1}`, "failure"},
		".info":              {"p", `{"p":"/.info/x","d":1}`, "permission_denied"},
		"number too large":   {"p", `{"p":"/x","d":1e999}`, "failure"},
		"unknown .sv":        {"p", `{"p":"/x","d":{".sv":"now"}}`, "failure"},
		"string of 11 MB":    {"p", `{"p":"/x","d":"` + strings.Repeat("s", 11<<20) + `"}`, "failure"},
		"update no object":   {"m", `{"p":"/x","d":7}`, "failure"},
		"ancestor in update": {"m", `{"p":"/x","d":{"a":1,"a/b":2}}`, "failure"},
		"hash is a number":   {"p", `{"p":"/x","d":1,"h":3}`, "failure"},
		"stale":              {"p", `{"p":"/x","d":1,"h":"nonsense"}`, "datastale"},
		"query is a list":    {"q", `{"p":"/x","q":[1]}`, "failure"},
		"query limit":        {"q", `{"p":"/x","q":{"l":-5,"vf":"l"},"t":1}`, "failure"},
		"query index":        {"q", `{"p":"/x","q":{"i":7},"t":1}`, "failure"},
		"tag is a string":    {"q", `{"p":"/x","q":{"l":1,"vf":"l"},"t":"1"}`, "failure"},
		"unknown action":     {"zz", `{}`, "failure"},
	} {
		m := a.call(c, r.action, r.body)
		if m.Status != r.status && !(name == "string of 11 MB" && m.Status == "write_too_big") {
			t.Errorf("%s: %s %.200s", name, m.Status, m.Data)
		}
	}
	if m := a.call(c, "g", `{"p":"/x","q":{}}`); string(m.Data) != "null" {
		t.Errorf("something was written: %.200s", m.Data)
	}
	a.serves()
}

func TestBadFramesEndTheirConnection(t *testing.T) {
	a := attacked(t, 400*mib)
	text := func(s string) []byte { return harness.AppendFrame(nil, harness.Text, true, []byte(s)) }
	for name, r := range map[string]struct {
		frames []byte
		code   int
	}{
		"not UTF-8":            {text("{\"t\":\"d\",\"d\":\"\xff\"}"), 1007},
		"not JSON":             {text(`{"t":`), 1007},
		"no envelope":          {text(`[1,2]`), 1007},
		"no type":              {text(`{"d":{}}`), 1007},
		"no request number":    {text(`{"t":"d","d":{"a":"p"}}`), 1007},
		"300 levels":           {text(`{"t":"d","d":{"r":1,"a":"p","b":{"p":"/x","d":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}}}`), 1007},
		"binary":               {harness.AppendFrame(nil, harness.Binary, true, []byte("x")), 1003},
		"reserved type":        {harness.AppendFrame(nil, 3, true, []byte("x")), 1002},
		"reserved bit":         {append([]byte{0xC1}, text("x")[1:]...), 1002},
		"not masked":           {[]byte{0x81, 1, 'x'}, 1002},
		"fragmented ping":      {harness.AppendFrame(nil, harness.Ping, false, []byte("x")), 1002},
		"long ping":            {harness.AppendFrame(nil, harness.Ping, true, make([]byte, 200)), 1002},
		"continuation of none": {harness.AppendFrame(nil, harness.Continuation, true, []byte("x")), 1002},
		"2^63 bytes":           {[]byte{0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1002},
		"2^40 bytes":           {[]byte{0x81, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1009},
		"goodbye":              {harness.AppendFrame(nil, harness.Close, true, []byte{3, 232}), 1000},
	} {
		c := a.dial()
		if _, err := c.Write(r.frames); err != nil {
			t.Fatal(err)
		}
		if code := a.closes(c); code != r.code {
			t.Errorf("%s: closed with %d instead of %d", name, code, r.code)
		}
	}
	a.serves()
}

// A message that is too long is refused; it may cost its connection, and nothing
// of it may be kept.
func TestOversizedMessages(t *testing.T) {
	a := attacked(t, 700*mib)
	body := []byte(`{"t":"d","d":{"r":1,"a":"p","b":{"p":"/big","d":"`)
	for _, n := range []int{17 << 20, size(40<<20, 300<<20)} {
		for name, cut := range map[string]int{"one frame": 0, "segments": 16 << 10, "fragments": -16 << 10} {
			c := a.dial()
			go func() {
				msg := append(bytes.Clone(body), bytes.Repeat([]byte("x"), n)...)
				msg = append(msg, `"}}}`...)
				switch {
				case cut == 0:
					c.WriteFrame(harness.Text, msg)
				case cut > 0:
					c.WriteFrame(harness.Text, fmt.Appendf(nil, "%d", (len(msg)+cut-1)/cut))
					for len(msg) > 0 {
						k := min(cut, len(msg))
						if c.WriteFrame(harness.Text, msg[:k]) != nil {
							return
						}
						msg = msg[k:]
					}
				default:
					op := byte(harness.Text)
					for len(msg) > 0 {
						k := min(-cut, len(msg))
						if _, err := c.Write(harness.AppendFrame(nil, op, k == len(msg), msg[:k])); err != nil {
							return
						}
						op, msg = harness.Continuation, msg[k:]
					}
				}
			}()
			c.SetReadDeadline(time.Now().Add(patience))
			m, err := c.Next()
			closed, ok := err.(*harness.ErrClosed)
			switch {
			case err == nil && m.Request == 1 && m.Status == "write_too_big":
			case ok && closed.Code == 1009:
			default:
				t.Errorf("%d bytes in %s: %+v, %v", n, name, m, err)
			}
			c.Close()
		}
	}
	// Segments that were announced and never end.
	c := a.dial()
	c.WriteFrame(harness.Text, []byte("999999"))
	segment := bytes.Repeat([]byte(" "), 16<<10)
	for range size(100<<20, 2<<30) / len(segment) {
		if c.WriteFrame(harness.Text, segment) != nil {
			break
		}
	}
	c.Close()
	a.serves()
	if text, status, err := a.get("/big.json?ns=" + ns); err != nil || status != 200 || strings.TrimSpace(text) != "null" {
		t.Errorf("something was written: %d %.100s %v", status, text, err)
	}
}

// Random frames and mutated messages, for a bounded time.
func TestFuzzedConnections(t *testing.T) {
	a := attacked(t, 600*mib)
	s := harness.Seed(t)
	end := time.Now().Add(time.Duration(size(4, 120)) * time.Second)
	connections, messages := 0, 0
	var open []*harness.Conn
	for i := uint64(0); time.Now().Before(end); i++ {
		rng := rand.New(rand.NewPCG(s, i))
		c := a.dialNS("fuzz") // which may be overwritten
		connections++
		go func() {
			for {
				if _, err := c.NextText(); err != nil {
					return
				}
			}
		}()
		for range 1 + rng.IntN(40) {
			messages++
			frame := mutated(rng)
			c.SetWriteDeadline(time.Now().Add(patience))
			if _, err := c.Write(frame); err != nil {
				break
			}
		}
		if rng.IntN(2) == 0 {
			c.Close()
		} else {
			open = append(open, c) // in the middle of something, for a while
			if len(open) > 200 {
				open[0].Close()
				open = open[1:]
			}
		}
		if connections%500 == 0 {
			a.serves()
		}
	}
	t.Logf("%d connections, %d frames", connections, messages)
	a.serves()
}

// mutated makes a frame of a message that is almost right, or of nothing at all.
func mutated(rng *rand.Rand) []byte {
	if rng.IntN(8) == 0 { // not even a frame
		b := make([]byte, rng.IntN(64))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	body := map[string]json.RawMessage{}
	for range rng.IntN(5) {
		body[pick([]string{"p", "d", "h", "q", "t", "ch", "cred"})] = json.RawMessage(pick(values))
	}
	if rng.IntN(2) == 0 {
		body["p"] = json.RawMessage(pick([]string{`"/"`, `"/fuzz/a"`, `"/fuzz/a/.priority"`, `"fuzz/b//c"`}))
	}
	var members []string
	for k, v := range body {
		members = append(members, fmt.Sprintf("%q:%s", k, v))
	}
	text := fmt.Appendf(nil, `{"t":%s,"d":{"r":%d,"a":%q,"b":{%s}}}`, pick([]string{`"d"`, `"d"`, `"d"`, `"c"`, `1`}), rng.IntN(1000), pick(actions), strings.Join(members, ","))
	for range rng.IntN(3) * rng.IntN(2) {
		switch i := rng.IntN(len(text)); rng.IntN(3) {
		case 0:
			text[i] = byte(rng.Uint32())
		case 1:
			text = append(text[:i], text[min(len(text), i+1+rng.IntN(8)):]...)
		case 2:
			text = append(text[:i], append([]byte(pick(values)), text[i:]...)...)
		}
		if len(text) == 0 {
			text = []byte("0")
		}
	}
	op := byte(harness.Text)
	if rng.IntN(20) == 0 {
		op = byte(rng.IntN(16))
	}
	frame := harness.AppendFrame(nil, op, rng.IntN(20) > 0, text)
	if rng.IntN(20) == 0 {
		frame = frame[:rng.IntN(len(frame))]
	}
	return frame
}

package rtdb

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"rebase/live"
	"rebase/tree"
)

// segmentBytes is how many bytes of a message go into one frame. The Java client refuses more than 16384 characters.
const segmentBytes = 16384

// frame is a message as it leaves on a WebSocket: framed, segmented, immutable, and shared by all connections it goes to.
type frame []byte

// frameOf frames a message. It takes the text over.
func frameOf(text []byte) frame {
	if len(text) <= segmentBytes {
		return appendFrame(make(frame, 0, len(text)+4), ws.OpText, text)
	}
	// The count stands before segments whose number is only known when they have been cut.
	var cuts []int
	for at := 0; at < len(text); {
		end := min(at+segmentBytes, len(text))
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end--
		}
		cuts = append(cuts, end)
		at = end
	}
	f := make(frame, 0, len(text)+4*len(cuts)+2+maxCountChars)
	var digits [maxCountChars]byte
	f = appendFrame(f, ws.OpText, appendInt(digits[:0], int64(len(cuts))))
	at := 0
	for _, end := range cuts {
		f = appendFrame(f, ws.OpText, text[at:end])
		at = end
	}
	return f
}

// appendFrame appends one unmasked final frame whose payload has less than 64 KiB.
func appendFrame(dst frame, op ws.OpCode, payload []byte) frame {
	dst = append(dst, 0x80|byte(op))
	if len(payload) < 126 {
		dst = append(dst, byte(len(payload)))
	} else {
		dst = append(dst, 126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)))
	}
	return append(dst, payload...)
}

// text gives the message back, for the other transport. Frames that are not text (pings) give nothing.
func (f frame) text() []byte {
	var out []byte
	var count bool
	for first := true; len(f) > 0; first = false {
		op, n, h := ws.OpCode(f[0]&0x0f), int(f[1]), 2
		if n == 126 {
			n, h = int(binary.BigEndian.Uint16(f[2:])), 4
		}
		payload := f[h : h+n]
		f = f[h+n:]
		switch {
		case op != ws.OpText:
		case first && len(f) > 0: // more follows, so this is the count
			count = true
			out = make([]byte, 0, len(f))
		case count:
			out = append(out, payload...)
		default:
			return payload
		}
	}
	return out
}

func appendInt(dst []byte, n int64) []byte {
	return strconv.AppendInt(dst, n, 10)
}

// push is a change in the form in which it goes to clients. All listeners that an event goes to share it. It is not safe
// for concurrent use; events are delivered by one goroutine at a time.
type push struct {
	open  []byte // the message up to where a tag goes in
	plain frame  // for listens without a tag; nil until needed
	tags  []taggedFrame
}

type taggedFrame struct {
	tag int64
	f   frame
}

// pushTail closes body, data and envelope.
const pushTail = `}}}`

// frame returns the push for a listen; tag is nil for one without.
func (p *push) frame(tag *int64) frame {
	if tag == nil {
		if p.plain == nil {
			p.plain = frameOf(append(p.open[:len(p.open):len(p.open)], pushTail...))
		}
		return p.plain
	}
	for i := range p.tags {
		if p.tags[i].tag == *tag {
			return p.tags[i].f
		}
	}
	text := make([]byte, 0, len(p.open)+32)
	text = append(text, p.open...)
	text = append(text, `,"t":`...)
	text = appendInt(text, *tag)
	text = append(text, pushTail...)
	f := frameOf(text)
	// Applications number their listens alike, so the same few tags come again and again; a bound keeps the search short.
	if len(p.tags) < 64 {
		p.tags = append(p.tags, taggedFrame{*tag, f})
	}
	return f
}

// encodeEvent makes the push of an event: it runs once per change, whatever the number of listeners.
func encodeEvent(ev *live.Event) any {
	switch ev.Kind {
	case live.Put:
		return putPush(ev.Path, ev.Priority, ev.Value)
	case live.Merge:
		b := beginPush("m", ev.Path, false)
		b = append(b, '{')
		for i, u := range ev.Updates {
			if i > 0 {
				b = append(b, ',')
			}
			key := string(u.Path)
			if u.Priority {
				key = joinPriority(key)
			}
			b = tree.AppendJSONString(b, key)
			b = append(b, ':')
			b = tree.AppendExport(b, u.Value)
		}
		return &push{open: append(b, '}')}
	}
	return nil
}

// putPush replaces the node at p, or its priority.
func putPush(p tree.Path, priority bool, v *tree.Node) *push {
	return &push{open: tree.AppendExport(beginPush("d", p, priority), v)}
}

// rangePush replaces the leaves of ranges; only the Java family of clients, which asks by compound hashes, understands it.
func rangePush(p tree.Path, ranges []leafRange) *push {
	b := beginPush("rm", p, false)
	b = append(b, '[')
	for i, r := range ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if r.from != nil {
			b = append(b, `"s":`...)
			b = tree.AppendJSONString(b, string(*r.from))
			b = append(b, ',')
		}
		if r.to != nil {
			b = append(b, `"e":`...)
			b = tree.AppendJSONString(b, string(*r.to))
			b = append(b, ',')
		}
		b = append(b, `"m":`...)
		b = tree.AppendExport(b, r.merge)
		b = append(b, '}')
	}
	return &push{open: append(b, ']')}
}

func beginPush(action string, p tree.Path, priority bool) []byte {
	b := make([]byte, 0, 256)
	b = append(b, `{"t":"d","d":{"a":"`...)
	b = append(b, action...)
	b = append(b, `","b":{"p":`...)
	path := string(p)
	if priority {
		path = joinPriority(path)
	}
	b = tree.AppendJSONString(b, path)
	return append(b, `,"d":`...)
}

func joinPriority(path string) string {
	if path == "" {
		return ".priority"
	}
	return path + "/.priority"
}

// revokedFrame tells the client that a listen is over. The JavaScript client wants the query in an array and compares
// its text, so it is the canonical one.
func revokedFrame(p tree.Path, query []byte) frame {
	b := make([]byte, 0, 128)
	b = append(b, `{"t":"d","d":{"a":"c","b":{"p":`...)
	b = tree.AppendJSONString(b, string(p))
	if query != nil {
		b = append(b, `,"q":[`...)
		b = append(b, query...)
		b = append(b, ']')
	}
	return frameOf(append(b, pushTail...))
}

// authRevokedFrame tells the client that a credential has lost its force: "ac" one of a user, "apc" one of an app.
func authRevokedFrame(action, status, reason string) frame {
	b := make([]byte, 0, 128)
	b = append(b, `{"t":"d","d":{"a":"`...)
	b = append(b, action...)
	b = append(b, `","b":{"s":`...)
	b = tree.AppendJSONString(b, status)
	b = append(b, `,"d":`...)
	b = tree.AppendJSONString(b, reason)
	return frameOf(append(b, pushTail...))
}

// answerFrame answers request r; payload is JSON.
func answerFrame(r int64, status string, payload []byte) frame {
	b := make([]byte, 0, 48+len(status)+len(payload))
	b = append(b, `{"t":"d","d":{"r":`...)
	b = appendInt(b, r)
	b = append(b, `,"b":{"s":"`...)
	b = append(b, status...)
	b = append(b, `","d":`...)
	b = append(b, payload...)
	return frameOf(append(b, pushTail...))
}

// controlFrame is a control message; payload is JSON. There is always one, since the JavaScript client ignores messages
// without.
func controlFrame(typ string, payload []byte) frame {
	b := make([]byte, 0, 32+len(payload))
	b = append(b, `{"t":"c","d":{"t":"`...)
	b = append(b, typ...)
	b = append(b, `","d":`...)
	b = append(b, payload...)
	return frameOf(append(b, `}}`...))
}

// helloText is the first message of a session. The times are integers: the Java client cannot read anything else.
func helloText(nowMillis int64, host, session string) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"ts":`...)
	b = appendInt(b, nowMillis)
	b = append(b, `,"v":"5","h":`...)
	b = tree.AppendJSONString(b, host)
	b = append(b, `,"s":`...)
	b = tree.AppendJSONString(b, session)
	return append(b, '}')
}

var (
	null      = []byte("null")
	emptyText = []byte(`""`)
	emptyObj  = []byte(`{}`)
	pongFrame = controlFrame("o", null)
)

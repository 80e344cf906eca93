package rtdb

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// params are the parameters of a request line. The SDKs join k=v pairs with & and encode nothing; the values that matter here need no
// encoding. Of several of a name the first counts.
type params struct{ raw string }

func parseParams(rawQuery string) params { return params{rawQuery} }

func (p params) lookup(key string) (value string, ok bool) {
	rest := p.raw
	for rest != "" {
		var kv string
		kv, rest, _ = strings.Cut(rest, "&")
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v, true
		}
	}
	return "", false
}

func (p params) get(key string) string {
	v, _ := p.lookup(key)
	return v
}

// segment is a piece of a message that came in the URL of a poll.
type segment struct {
	num   int // over the whole session, from 0
	total int // pieces of the message that it belongs to
	data  string
}

// maxSegments bounds the pieces in one URL; clients fit a handful into the length that URLs may have.
const maxSegments = 64

// segments returns the pieces in a URL: seg0, ts0, d0, seg1, …
func (p params) segments() ([]segment, error) {
	var out []segment
	for i := 0; ; i++ {
		n := strconv.Itoa(i)
		num, ok := p.lookup("seg" + n)
		if !ok {
			return out, nil
		}
		if i == maxSegments {
			return nil, fmt.Errorf("more than %d pieces in one request", maxSegments)
		}
		s := segment{data: p.get("d" + n)}
		var err1, err2 error
		s.num, err1 = strconv.Atoi(num)
		s.total, err2 = strconv.Atoi(p.get("ts" + n))
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if s.num < 0 || s.total < 1 {
			return nil, fmt.Errorf("piece %d of %d is none", s.num, s.total)
		}
		out = append(out, s)
	}
}

// reassembler puts the pieces of long polling back together: several requests can be under way at a time, so pieces arrive in any
// order.
type reassembler struct {
	max     int // bytes of a packet, and of the pieces that came early
	next    int // the number that is due
	early   map[int]segment
	held    int
	packet  strings.Builder
	missing int // pieces of the packet that are outstanding

	// A packet that is too long is forgotten but for its ends, so that it can be refused; see inbound.
	over       bool
	size       int // of the packet so far
	head, tail string
}

// upstream is a message that came in pieces; of one that is too long there are only the ends.
type upstream struct {
	text       []byte
	over       bool
	head, tail []byte
}

// edgeChars is how much of both ends of a packet that is too long is kept: whole groups of characters.
const edgeChars = 4 * edgeBytes / 3 &^ 3

// aheadWindow is how far ahead of the one that is due a piece may be.
const aheadWindow = 1024

// add takes a piece and returns the messages that it completes. An error is final.
func (a *reassembler) add(s segment) (messages []upstream, err error) {
	switch {
	case s.num < a.next:
		return nil, nil // the client sent it again
	case s.num >= a.next+aheadWindow:
		return nil, fmt.Errorf("piece %d came while %d was due", s.num, a.next)
	}
	if _, dup := a.early[s.num]; dup {
		return nil, nil
	}
	if a.held-a.packet.Len()+len(s.data) > a.max {
		return nil, fmt.Errorf("more than %d bytes came while piece %d was due", a.max, a.next)
	}
	a.held += len(s.data)
	if a.early == nil {
		a.early = map[int]segment{}
	}
	a.early[s.num] = s
	for {
		s, ok := a.early[a.next]
		if !ok {
			return messages, nil
		}
		delete(a.early, a.next)
		a.next++
		if a.missing == 0 {
			a.missing = s.total
		}
		a.missing--
		a.size += len(s.data)
		if a.over || a.packet.Len()+len(s.data) > a.max {
			a.skip(s.data)
		} else {
			a.packet.WriteString(s.data)
		}
		if a.missing > 0 {
			continue
		}
		m, err := a.finish()
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

// skip takes a piece of a packet that is too long.
func (a *reassembler) skip(data string) {
	if !a.over {
		a.over = true
		head := a.packet.String()
		if len(head) < edgeChars {
			head += data[:min(len(data), edgeChars-len(head))]
		}
		a.head = strings.Clone(head[:min(len(head), edgeChars)&^3])
		a.held -= a.packet.Len()
		a.packet.Reset()
	}
	a.held -= len(data)
	tail := a.tail + data[max(0, len(data)-edgeChars):]
	a.tail = strings.Clone(tail[max(0, len(tail)-edgeChars):])
}

// finish decodes the packet, which is complete.
func (a *reassembler) finish() (m upstream, err error) {
	if !a.over {
		packet := a.packet.String()
		a.packet.Reset()
		a.held -= len(packet)
		a.size = 0
		m.text, err = decodePacket(packet)
		return m, err
	}
	begin := a.size - len(a.tail)
	tail := a.tail[min(len(a.tail), (4-begin%4)%4):]
	m.over = true
	var err1, err2 error
	m.head, err1 = decodePacket(a.head)
	m.tail, err2 = decodePacket(tail)
	a.over, a.size, a.head, a.tail = false, 0, "", ""
	return m, errors.Join(err1, err2)
}

// packetEncoding is the URL-safe alphabet, filled up with dots.
var packetEncoding = base64.URLEncoding.WithPadding('.')

func decodePacket(s string) ([]byte, error) {
	if len(s)%4 != 0 { // some clients leave the filling away
		return packetEncoding.WithPadding(base64.NoPadding).DecodeString(strings.TrimRight(s, "."))
	}
	return packetEncoding.DecodeString(s)
}

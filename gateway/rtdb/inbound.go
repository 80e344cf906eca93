package rtdb

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// closeError ends a connection; the code is that of RFC 6455, section 7.4.
type closeError struct {
	code   ws.StatusCode
	reason string
}

func (e *closeError) Error() string { return fmt.Sprintf("close %d: %s", e.code, e.reason) }

func closef(code ws.StatusCode, format string, args ...any) error {
	return &closeError{code, fmt.Sprintf(format, args...)}
}

// maxCountChars is the length up to which a frame that is a number announces the count of segments of a message. No message of
// the protocol is that short.
const maxCountChars = 6

// inbound turns the bytes of a client's WebSocket into protocol messages.
//
// A message crosses three layers: it is cut into segments by the protocol, a segment is one WebSocket message, and that may come in
// several frames, which arrive in pieces. A connection has an inbound only while one of the layers is in the middle of
// something, so an idle connection holds no buffer at all.
type inbound struct {
	max int // bytes of a message, and of each thing held back here

	rest []byte // an incomplete frame, header included
	frag []byte // the payload of a WebSocket message whose last frame is outstanding
	open bool   // frag is in use
	segs int    // segments of the message that are outstanding
	msg  []byte // segments so far
	over bool   // the message is too long: of it msg has the head, and tail its end
	tail []byte

	hdr    bytes.Reader
	hdrBuf [ws.MaxHeaderSize]byte
}

// frames is what inbound finds. The slices are only valid during the call.
type frames interface {
	message(text []byte) error
	// oversized is called instead of message for one in segments that is too long, with its first and last bytes.
	oversized(head, tail []byte) error
	ping(payload []byte) error
	pong(payload []byte) error
	closed(payload []byte) error
}

// idle says that nothing is held back.
func (in *inbound) idle() bool {
	return len(in.rest) == 0 && !in.open && in.segs == 0
}

// held is how much memory the unfinished takes.
func (in *inbound) held() int { return cap(in.rest) + cap(in.frag) + cap(in.msg) }

// feed takes the next bytes, which it modifies. An error is final.
func (in *inbound) feed(b []byte, to frames) error {
	joined := len(in.rest) > 0
	if joined {
		in.rest = append(in.rest, b...)
		b = in.rest
	}
	complete := false
	for {
		n, err := in.frame(b, to)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b, complete = b[n:], true
	}
	// What is left is the beginning of a frame. As long as a long one is not complete, it must not be copied with every piece.
	switch {
	case len(b) == 0:
		in.rest = nil
	case complete || !joined:
		in.rest = append(in.rest[:0], b...) // b never lies before the start of rest
	}
	return nil
}

// frame consumes one frame from b and returns its length, or 0 if it is not complete.
func (in *inbound) frame(b []byte, to frames) (int, error) {
	if len(b) < ws.MinHeaderSize {
		return 0, nil
	}
	in.hdr.Reset(b)
	h, err := ws.ReadHeaderBuffer(&in.hdr, in.hdrBuf[:])
	if err != nil {
		if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
			return 0, closef(ws.StatusProtocolError, "%v", err)
		}
		return 0, nil // the header is not complete
	}
	state := ws.StateServerSide
	if in.open {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return 0, closef(ws.StatusProtocolError, "%v", err)
	}
	if h.Length > int64(in.max-len(in.frag)) {
		return 0, closef(ws.StatusMessageTooBig, "a frame has more than %d bytes", in.max)
	}
	start := len(b) - in.hdr.Len()
	end := start + int(h.Length)
	if end > len(b) {
		return 0, nil
	}
	payload := b[start:end]
	ws.Cipher(payload, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		err = to.ping(payload)
	case ws.OpPong:
		err = to.pong(payload)
	case ws.OpClose:
		err = to.closed(payload)
	case ws.OpBinary:
		err = closef(ws.StatusUnsupportedData, "binary frames are not part of the protocol")
	default: // text or its continuation
		err = in.text(h.Fin, payload, to)
	}
	return end, err
}

func (in *inbound) text(fin bool, payload []byte, to frames) error {
	if !fin {
		in.frag = append(in.frag, payload...)
		in.open = true
		return nil
	}
	if in.open {
		payload = append(in.frag, payload...)
		in.frag, in.open = nil, false
	}
	if !utf8.Valid(payload) {
		return closef(ws.StatusInvalidFramePayloadData, "a text frame is not UTF-8")
	}
	return in.segment(payload, to)
}

// segment takes one WebSocket message.
func (in *inbound) segment(s []byte, to frames) error {
	if in.segs == 0 {
		n, ok := parseCount(s)
		switch {
		case !ok:
			return to.message(s)
		case n == 0: // keep-alive
			return nil
		}
		in.segs = n
		return nil
	}
	in.segs--
	if in.segs == 0 && len(in.msg) == 0 { // the only segment
		return to.message(s)
	}
	if in.over || len(in.msg)+len(s) > in.max {
		in.skip(s)
	} else {
		in.msg = append(in.msg, s...)
	}
	if in.segs > 0 {
		return nil
	}
	msg, tail, over := in.msg, in.tail, in.over
	in.msg, in.tail, in.over = nil, nil, false
	if over {
		return to.oversized(msg, tail)
	}
	return to.message(msg)
}

// skip takes a segment of a message that is too long. Closing the connection would not help anybody: an SDK would connect
// again and send it again. So the rest is read and forgotten, but for what it takes to refuse it.
func (in *inbound) skip(s []byte) {
	if !in.over {
		in.over = true
		if len(in.msg) < edgeBytes {
			in.msg = append(in.msg, s[:min(len(s), edgeBytes-len(in.msg))]...)
		}
		in.msg = append([]byte(nil), in.msg[:min(len(in.msg), edgeBytes)]...)
	}
	in.tail = append(in.tail, s[max(0, len(s)-edgeBytes):]...)
	in.tail = append([]byte(nil), in.tail[max(0, len(in.tail)-edgeBytes):]...)
}

// edgeBytes is how much of both ends of a message that is too long is kept.
const edgeBytes = 128

// parseCount reads a frame that is a decimal number of up to six digits.
func parseCount(s []byte) (n int, ok bool) {
	if len(s) == 0 || len(s) > maxCountChars {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

package rtdb

import (
	"strconv"
	"time"
)

// Every client of this protocol says something at least every 45 seconds, so silence means that it is gone or that
// the network is.
const (
	pingAfter    = 60 * time.Second // of silence
	giveUpAfter  = pingAfter + 30*time.Second
	confirmPause = 50 * time.Millisecond  // between two pings for receipts
	probePause   = 250 * time.Millisecond // between two looks at a mute client's socket
)

// liveness decides when a client is pinged and when it is given up.
//
// A ping has a second use. The protocol has no acknowledgement of answers, and SDKs send a write again when its answer
// did not arrive. A WebSocket ping that follows an answer in the stream and carries the number of the last
// answered proposal proves by its pong that all answers up to it have arrived, so the server can forget those writes. As long as it
// has no proof, a client that comes back and makes its last write once more is taken to send it again, so the proof must not
// be slow: the ping follows the answer at once. A busy client has at most one ping outstanding, and one every confirmPause.
//
// A mute client cannot take pings (see takesPings). For it, what its kernel has acknowledged must do.
type liveness struct {
	mute      bool
	heard     time.Duration // since the server's start
	sent      time.Duration // the last ping
	waiting   bool          // for the pong of ping
	ping      uint64        // what it carries
	confirmed uint64
}

type tick struct {
	ping    bool
	payload uint64
	probe   bool // look whether the answers have left for good; then call delivered
	giveUp  bool
	next    time.Duration // when to look again, at the latest
}

// tick looks at the clock. answered is the last proposal whose answer is in the stream.
func (l *liveness) tick(now time.Duration, answered uint64) (t tick) {
	silence := now - l.heard
	switch {
	case silence >= giveUpAfter:
		t.giveUp = true
		return t
	case l.mute:
		if answered > l.confirmed && now-l.sent >= probePause {
			l.sent, t.probe = now, true
		}
	case silence >= pingAfter && l.sent < l.heard+pingAfter:
		l.sent, l.waiting, l.ping = now, true, answered
		t.ping, t.payload = true, answered
	default:
		t.ping, t.payload = l.prove(now, answered), answered
	}
	t.next = l.due(now, answered)
	return t
}

// due is when tick has to be called next, at the latest.
func (l *liveness) due(now time.Duration, answered uint64) time.Duration {
	next := l.heard + giveUpAfter
	if now-l.heard < pingAfter && !l.mute {
		next = l.heard + pingAfter
	}
	if answered > l.confirmed && !l.waiting {
		next = min(next, max(l.proofDue(), now+1))
	}
	return next
}

// proofDue is when the next look for a receipt may be taken.
func (l *liveness) proofDue() time.Duration {
	if l.mute {
		return l.sent + probePause
	}
	return l.sent + confirmPause
}

// prove reports whether a ping is to follow the answers now.
func (l *liveness) prove(now time.Duration, answered uint64) (ping bool) {
	if l.mute || l.waiting || answered <= l.confirmed || now < l.proofDue() {
		return false
	}
	l.sent, l.waiting, l.ping = now, true, answered
	return true
}

// pong takes the payload of a pong and returns the proposal that is now known to be answered; ok is false for a pong that
// was not asked for.
func (l *liveness) pong(payload []byte) (seq uint64, ok bool) {
	if !l.waiting || string(payload) != string(pingPayload(l.ping)) {
		return 0, false
	}
	l.waiting = false
	l.confirmed = max(l.confirmed, l.ping)
	return l.confirmed, true
}

// delivered says that all answers up to the given one have arrived.
func (l *liveness) delivered(answered uint64) { l.confirmed = max(l.confirmed, answered) }

func pingPayload(seq uint64) []byte { return strconv.AppendUint(nil, seq, 10) }

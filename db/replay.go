package db

// Every Firebase SDK sends the writes that were not answered again when it reconnects, under
// new request numbers. If the server had applied one of them and only its answer was lost, an
// increment counts twice, and a value that somebody else has written meanwhile is overwritten
// by an older one. The wire protocol has no number that would tell; what it has is the id of
// the client's last session (`ls`), and an order: the client sends exactly its unanswered
// writes again, oldest first, and only then new ones.
//
// So the server remembers of each session the writes whose answers the client has not provably
// received (the state's tail, see record.go; the gateway proves receipt by WebSocket pongs). If
// k of n were in truth answered, the client's next writes are number k+1 … n of the tail, and
// then others. k is unknown, so a matcher looks for a beginning of the new session's writes
// that equals an end of the tail. The longest such end wins: the writes in it are replays. A
// write that could still be the beginning of one is held back until the next write, or a
// moment's silence, decides. The verdict goes into the log entry and apply holds it against
// the tail once more, so that each remembered write is matched at most once.
//
// A connection may break in the middle of this, again and again. What was held back when it did
// is taken for the replay that it looks like: nobody has been answered, so that a client which
// comes back sends it once more. And since the next session has to know the writes that this one
// was not sent any more, a session whose writes have all been replays points to the session that
// it resumes (sessionState.previous), and the tails are looked at as one.
//
// What remains is the case of several identical writes at the end of the tail (three
// increments by one), some of which were answered in the moment before the connection broke,
// followed by fewer or more identical ones: then identical ones may be taken for each other.

// resend is a write that may come again.
type resend struct {
	ref         writeRef
	fingerprint uint64 // 0: it has come again already
}

// matcher finds the replayed beginning in a session's writes. It is pure: time is its owner's
// business.
type matcher struct {
	tail  []resend
	fed   int   // writes fed so far
	alive []int // the starts i for which tail[i:i+fed] equals the writes fed so far
	whole int   // how many of the first writes are known to be an end of the tail; 0 none
}

func newMatcher(tail []resend) *matcher {
	m := &matcher{tail: tail, alive: make([]int, len(tail))}
	for i := range m.alive {
		m.alive[i] = i
	}
	return m
}

// feed takes the next write. It returns true once no further write can change the verdict.
func (m *matcher) feed(fingerprint uint64) (decided bool) {
	m.fed++
	rest := m.alive[:0]
	for _, i := range m.alive {
		last := i + m.fed - 1
		if m.tail[last].fingerprint != fingerprint {
			continue
		}
		if last == len(m.tail)-1 {
			m.whole = m.fed
			continue
		}
		rest = append(rest, i)
	}
	m.alive = rest
	return len(rest) == 0
}

// replayed returns the tail entries that the first writes repeat: write j is a replay of
// entry j, for as many entries as there are. The writes fed beyond them are new.
func (m *matcher) replayed() []resend { return m.tail[len(m.tail)-m.whole:] }

// cutShort is replayed for writes that were not fed to their end, because the connection broke:
// what looks like the beginning of a replay is one, and the longest replay counts.
func (m *matcher) cutShort() []resend {
	if m.fed == 0 || len(m.alive) == 0 {
		return m.replayed()
	}
	return m.tail[m.alive[0]:][:m.fed]
}

package db

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"rebase/store"
)

// SessionID identifies a client session, and with a sequence number one of its proposals.
type SessionID [16]byte

// ParseSessionID reads the text form of a session id: 32 hexadecimal digits.
func ParseSessionID(s string) (id SessionID, err error) {
	if len(s) == 2*len(id) { // or Decode would write beyond it
		if _, err := hex.Decode(id[:], []byte(s)); err == nil {
			return id, nil
		}
	}
	return SessionID{}, fmt.Errorf("session id %.64q is not 32 hexadecimal digits", s)
}

func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// The state that the machine keeps of a session, beside what it wrote. It is part of the
// database's state: written in the same batch as the effects of the entry that changed it.
//
// Records (docs/format/state.md):
//
//	s<id>          the session exists: namespace and, once it has ended, when; the session it resumes
//	t<id><chunk>   its writes number chunk*32 .. chunk*32+31 that may be sent again
//	o<id><number>  its onDisconnect queue (see journal)
//	p<id>          where its onDisconnect queue has written, once it has ended
//	e<time><id>    the session ended then, and has writes that may be sent again
//	d<time><id>    the session ended then, and nothing but the fact is remembered
//	x<time><id>    the same, if it was not the session itself that said so
//	r<namespace>   the rules of a namespace
//
// Writes are kept in chunks so that a write rewrites a few hundred bytes however many of a
// session's answers are unconfirmed.
const (
	recSession    = 's'
	recTail       = 't'
	recDisconnect = 'o'
	recRan        = 'p'
	recEnded      = 'e'
	recDone       = 'd'
	recFenced     = 'x'
	recRules      = 'r'
)

const tailChunk = 32

// maxTail bounds how many writes of a session are remembered: beyond it the oldest are
// forgotten, and would be applied again if the client sent them again.
const maxTail = 1 << 16

// endedTTL is how long, in milliseconds, the writes of an ended session are remembered: a
// phone may come back after days. maxEnded bounds how many such sessions there are.
const (
	endedTTL = 7 * 24 * 3600 * 1000
	maxEnded = 100_000
)

// doneTTL is how long, in milliseconds, it is remembered of a session that it has ended: as long
// as the log may still bring one of its entries a second time. That happens when an append is
// repeated in the next loglet, so within moments.
const doneTTL = 5 * 60 * 1000

// fencedTTL is how long, in milliseconds, it is remembered of a session that another node has ended it: as long as an entry of it may still be on
// its way to the log. Its node may be a process that stands still. maxFenced bounds how many such sessions there are.
const (
	fencedTTL = 24 * 3600 * 1000
	maxFenced = 100_000
)

// A tailEntry is a write whose answer the client may not have received.
type tailEntry struct {
	seq         uint64
	fingerprint uint64
	applied     bool // false: it was refused, so that a repetition is decided anew
}

// sessionState is the record of one session in memory.
type sessionState struct {
	id        SessionID
	ns        string
	stored    bool   // the s record is written
	endedAt   int64  // 0 while the session is alive
	lastSeq   uint64 // of the last entry that was decided
	confirmed uint64
	tail      []tailEntry     // ascending, all above confirmed
	firstSeq  uint64          // no t record exists for chunks below firstSeq/tailChunk
	journal   journal         // what its end will write
	ran       disconnectQueue // what the end of the session has written

	// previous is the session that this one resumes, as long as all writes of this one were
	// repetitions of that one's: its writes behind the last that was repeated may still come again.
	previous SessionID

	// caller is in whose name the session does what its entries do not name a caller for.
	caller *Caller

	owner owner // the zero value for one of a single server
}

func recordKey(kind byte, id SessionID) []byte {
	return append(append(make([]byte, 0, 1+len(id)), kind), id[:]...)
}

func tailKey(id SessionID, chunk uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append(make([]byte, 0, 25), recTail), id[:]...), chunk)
}

func endedKey(kind byte, at int64, id SessionID) []byte {
	key := binary.BigEndian.AppendUint64([]byte{kind}, uint64(at))
	return append(key, id[:]...)
}

func rulesKey(ns string) []byte { return append([]byte{recRules}, ns...) }

// loadSession reads a session's records; ok is false if it has none.
func loadSession(r store.Reader, id SessionID) (s *sessionState, ok bool, err error) {
	s = &sessionState{id: id}
	rec, err := r.Meta(recordKey(recSession, id))
	if err != nil || rec == nil {
		return s, false, err
	}
	if err := s.decodeHead(rec); err != nil {
		return nil, false, err
	}
	if s.journal, err = loadJournal(r, id); err != nil {
		return nil, false, err
	}
	return s, true, s.loadTail(r)
}

// decodeHead reads the s record.
func (s *sessionState) decodeHead(rec []byte) error {
	s.stored = true
	in := reader{b: rec}
	s.ns, s.endedAt = in.string(), in.varint()
	if len(in.b) > 0 {
		s.previous = in.session()
	}
	s.caller = Root // it is from when there were no callers, and everyone could do everything
	if len(in.b) > 0 {
		s.caller = in.caller()
	}
	if len(in.b) > 0 {
		s.owner, s.lastSeq = in.owner(), in.uvarint()
	}
	if in.err != nil {
		return fmt.Errorf("record of session %s: %w", s.id, in.err)
	}
	return nil
}

func (s *sessionState) loadTail(r store.Reader) error {
	var bad error
	first := true
	err := r.ScanMeta(recordKey(recTail, s.id), func(key, val []byte) bool {
		if first {
			s.firstSeq = binary.BigEndian.Uint64(key[17:]) * tailChunk
			first = false
		}
		in := reader{b: val}
		s.lastSeq, s.confirmed = in.uvarint(), in.uvarint()
		for n := in.uvarint(); n > 0 && in.err == nil; n-- {
			e := tailEntry{seq: in.uvarint(), fingerprint: in.uint64(), applied: in.byte() != 0}
			s.tail = append(s.tail, e)
		}
		bad = in.err
		return bad == nil
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("writes of session %s: %w", s.id, bad)
	}
	s.dropConfirmed()
	return err
}

// dropConfirmed forgets the writes whose answers have arrived.
func (s *sessionState) dropConfirmed() {
	n := 0
	for n < len(s.tail) && s.tail[n].seq <= s.confirmed {
		n++
	}
	n = max(n, len(s.tail)-maxTail)
	if n == len(s.tail) {
		s.tail = s.tail[:0]
	} else {
		s.tail = s.tail[n:]
	}
}

// save writes what deciding the entry lastSeq has changed. It works in scratch, and returns it.
func (s *sessionState) save(b *store.Batch, scratch []byte) ([]byte, error) {
	if !s.stored {
		s.stored = true
		s.saveHead(b)
	}
	s.dropConfirmed()
	chunk := s.lastSeq / tailChunk
	lowest := chunk
	if len(s.tail) > 0 {
		lowest = min(lowest, s.tail[0].seq/tailChunk)
	}
	for c := s.firstSeq / tailChunk; c < lowest; c++ {
		b.SetMeta(tailKey(s.id, c), nil)
	}
	s.firstSeq = max(s.firstSeq, lowest*tailChunk)

	from := len(s.tail)
	for from > 0 && s.tail[from-1].seq/tailChunk == chunk {
		from--
	}
	rec := s.appendChunk(scratch, s.tail[from:])
	return rec, b.SetMeta(tailKey(s.id, chunk), rec)
}

// appendChunk encodes the part of the tail that lies in one chunk. Every chunk carries
// lastSeq and confirmed as they were at its last writing: the newest chunk has the true ones.
func (s *sessionState) appendChunk(rec []byte, part []tailEntry) []byte {
	rec = binary.AppendUvarint(rec, s.lastSeq)
	rec = binary.AppendUvarint(rec, s.confirmed)
	rec = binary.AppendUvarint(rec, uint64(len(part)))
	for _, e := range part {
		rec = binary.AppendUvarint(rec, e.seq)
		rec = binary.LittleEndian.AppendUint64(rec, e.fingerprint)
		if e.applied {
			rec = append(rec, 1)
		} else {
			rec = append(rec, 0)
		}
	}
	return rec
}

func (s *sessionState) saveHead(b *store.Batch) {
	rec := binary.AppendVarint(appendString(nil, s.ns), s.endedAt)
	rec = appendCaller(append(rec, s.previous[:]...), s.caller)
	if s.owner != (owner{}) {
		rec = appendOwner(rec, s.owner)
		last := uint64(0)
		if s.endedAt != 0 {
			last = s.lastSeq // to tell what comes twice from what comes too late
		}
		rec = binary.AppendUvarint(rec, last)
	}
	b.SetMeta(recordKey(recSession, s.id), rec)
}

// maxRan bounds how many places are remembered that the end of a session wrote to; beyond it, it is taken to have
// written everywhere.
const maxRan = 64

// saveRan remembers where the end of the session has written.
func (s *sessionState) saveRan(b *store.Batch) {
	ran := s.ran
	if len(ran) == 0 {
		return
	}
	if len(ran) > maxRan {
		ran = disconnectQueue{{}}
	}
	rec := binary.AppendUvarint(nil, uint64(len(ran)))
	for _, u := range ran {
		rec = appendString(rec, string(u.Path))
	}
	b.SetMeta(recordKey(recRan, s.id), rec)
}

// forget deletes all records of the session but that of its existence.
func (s *sessionState) forget(b *store.Batch) {
	s.journal.clear(b, s.id)
	b.SetMeta(recordKey(recRan, s.id), nil)
	for c := s.firstSeq / tailChunk; c <= s.lastSeq/tailChunk; c++ {
		b.SetMeta(tailKey(s.id, c), nil)
	}
}

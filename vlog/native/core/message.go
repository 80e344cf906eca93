package core

import (
	"cmp"
	"errors"

	"rebase/vlog"
)

// Node is the address of a process: of a log server, a sequencer, or a client.
type Node uint64

// Member is one log server of a loglet.
type Member struct {
	Node Node
	// Disk is the identity of the server's disk, drawn at random when it was first used. An empty disk has another one.
	Disk uint64
}

// Key is what a log server knows a loglet by. The number alone would not do: two processes that extend a chain at the same time draw the same
// number for different loglets, of which the chain will name one; and a sequencer that has started again knows nothing of what it has given
// away, so what it orders is another loglet, which no chain names.
type Key struct {
	// Loglet is the chain's number (16 bits), the segment's (40) and the stripe's (8), see Number.
	Loglet uint64
	// Incarnation is drawn at random for every sequencer that is started.
	Incarnation uint64
}

// Number puts a loglet's number together. Numbers of segments rise along a chain and are never used twice, those of one chain are compared.
func Number(chain uint16, segment uint64, stripe uint8) uint64 {
	return uint64(chain)<<48 | segment<<8 | uint64(stripe)
}

// MaxSegment is the greatest number of a segment.
const MaxSegment = 1<<40 - 1

// Compare orders by number, then incarnation.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Loglet, o.Loglet), cmp.Compare(k.Incarnation, o.Incarnation))
}

// Chain is the chain's number.
func (k Key) Chain() uint16 { return chainOf(k.Loglet) }

// Covers says whether a loglet is over by a RecordLow.
func (r *Record) Covers(k Key) bool { return k.Chain() == r.Chain() && k.Loglet < r.Loglet }

func chainOf(loglet uint64) uint16 { return uint16(loglet >> 48) }

// Config is what a loglet is made of. It never changes.
type Config struct {
	// Loglet is the number, see Key.
	Loglet uint64
	// Servers are the log servers, at most 64; usually three or five.
	Servers []Member
	// Sequencer is the address of the one that gives positions, and Incarnation its own number, see Key.
	Sequencer   Node
	Incarnation uint64
}

// Key is what the servers know the loglet by.
func (c *Config) Key() Key { return Key{c.Loglet, c.Incarnation} }

// ErrConfig: a Config that cannot be.
var ErrConfig = errors.New("vlog/native: a loglet needs 1 to 64 different log servers, an id, and a sequencer with an incarnation")

// Check looks for what would make the protocol unsafe.
func (c *Config) Check() error {
	if len(c.Servers) == 0 || len(c.Servers) > 64 || c.Loglet == 0 || c.Incarnation == 0 {
		return ErrConfig
	}
	seen := map[Node]bool{}
	disks := map[uint64]bool{}
	for _, m := range c.Servers {
		if seen[m.Node] || disks[m.Disk] {
			return ErrConfig // one disk must not count twice
		}
		seen[m.Node], disks[m.Disk] = true, true
	}
	return nil
}

// majority is the size of every quorum. Two majorities have a server in common, which is all that the protocol leans on; with
// other quorums a seal would need to meet every write quorum, and a repair to be one.
func (c *Config) majority() int { return len(c.Servers)/2 + 1 }

// index finds a server; -1 if n is none.
func (c *Config) index(n Node) int {
	for i, m := range c.Servers {
		if m.Node == n {
			return i
		}
	}
	return -1
}

// Kind says what a Message is.
type Kind uint8

// The messages.
const (
	_ Kind = iota
	// Append asks the sequencer to add Entries. Answered by Appended.
	Append
	// Appended answers Append: with OK they are committed and begin at First, with Sealed they will never be; Refused leaves it open.
	Appended
	// Store brings the entries from First on to a server. Answered by Stored.
	Store
	// Stored answers Store: OK (Entries from First to Next are on the server's disk), Sealed, or Gap (the server lacks what comes before First
	// and needs it from Tail on).
	Stored
	// Release tells a server how far the log is committed. Answered by Info.
	Release
	// Ask asks a server for its Info, or the sequencer for its Known.
	Ask
	// Wait asks for its Info as soon as the server knows the log to be committed up to First, or is sealed.
	Wait
	// Seal sets the server's bit. Answered by Info once it is on the disk.
	Seal
	// Trim lets the server forget what is below First. Answered by Info.
	Trim
	// Repair is Store past the seal bit, from a client that has collected what a majority of sealed servers holds. Answered by Info.
	Repair
	// Info tells a server's Tail and First, the position below which it has trimmed. Both, and the seal bit, as they are on its disk.
	Info
	// Fetch asks for entries in [First, Next), at most MaxBytes of payload but at least one. Answered by Fetched.
	Fetch
	// Fetched has the first run of Entries in the range that the server holds, beginning at First; none if it holds none. Tail and
	// Trimmed say why.
	Fetched
	// Forget tells a server that all loglets of Loglet's chain with numbers below it are sealed and trimmed for good. Answered by Info.
	Forget
	// Drop tells a server that this loglet alone is over, sealed and trimmed for good, whatever its number: another has taken its place in the
	// chain, or it was made for a chain that was never stored. Answered by Info.
	Drop
)

// Status is the result in Appended and Stored.
type Status uint8

// The results.
const (
	OK Status = iota
	Sealed
	Gap
	// Refused: the sequencer has forgotten this client, and cannot tell whether it has appended before what comes as a repetition.
	Refused
	// Over, in Info and Fetched: the server knows the loglet to be sealed and trimmed for good, and has nothing of it any more.
	Over
)

// Message is what machines send to each other. Known and Sealed are in every one.
type Message struct {
	Kind     Kind
	From, To Node
	Loglet   uint64
	// Disk is the identity that the receiving server must have.
	Disk uint64
	// Incarnation is the sequencer's; with Loglet it is the Key.
	Incarnation uint64
	// Ref is the asker's number for a question; the answer repeats it.
	Ref uint64

	// Known is the sender's lower bound of the global tail: everything below is committed.
	Known vlog.Position
	// Bit says that the sender knows of a server that is sealed. Whoever passes on a Known that it learned together with a seal passes on
	// the seal too, see server.hear.
	Bit bool

	Status  Status
	First   vlog.Position
	Next    vlog.Position
	Tail    vlog.Position
	Trimmed vlog.Position
	// Acked, in a Store, is what this server has acknowledged to this sequencer: it held everything up to there or knew it to be committed.
	Acked vlog.Position
	// Oldest, in an Append or a Wait, is the lowest Ref of its kind that the sender still wants an answer to.
	Oldest uint64
	// Again says that an Append is a repetition.
	Again    bool
	MaxBytes int
	Entries  [][]byte
}

// RecordKind says what a Record is.
type RecordKind uint8

// The records of a log server's disk.
const (
	_           RecordKind = iota
	RecordOpen             // the loglet exists; written before its first other record
	RecordEntry            // an entry at Pos
	RecordSeal             // the seal bit
	RecordTrim             // entries below Pos are forgotten
	RecordLost             // the server has lost what it once acknowledged and takes part in nothing
	RecordLow              // loglets of Loglet's chain with numbers below it are over; no Incarnation
	RecordDrop             // the loglet is over; all that is kept is that it was there
)

// Record is a change of a log server's disk. Records of all loglets of a server are one sequence.
type Record struct {
	Kind RecordKind
	Key
	Pos     vlog.Position
	Payload []byte
}

// Load asks the shell of a Host to answer a Fetch: to send Reply with the entries in [Reply.First, Reply.Next) that fit into MaxBytes, but at
// least one. The entries are on the disk, unless they have been trimmed meanwhile; then Reply is sent without.
type Load struct {
	Reply    Message
	MaxBytes int
}

// Output is what a machine wants done.
type Output struct {
	// Messages can be sent at once: what had to wait for the disk comes out of Synced.
	Messages []Message
	// Records are to be written, in this order.
	Records []Record
	// Loads are to be answered from the disk.
	Loads []Load
	// Results are calls of a Client that have ended.
	Results []Result
}

func (o *Output) send(m Message) { o.Messages = append(o.Messages, m) }

// mistakes are traps of the protocol that tests put back, to see that the simulation falls into them.
type mistakes uint32

const (
	mistakeBareKnown    mistakes = 1 << iota // T1: a Known that a repair has made up is believed without its seal
	mistakeIgnoreBit                         // T1: who waits for a commit does not look at the seals that he is told
	mistakeDuplicateOK                       // T2: a sealed server acknowledges an entry that it holds
	mistakeAnySequencer                      // T3: a server takes entries from any incarnation
	mistakeAnyDisk                           // T4: an empty disk takes part
	mistakeResurrect                         // T5: a loglet that is over can be made again
	mistakeUnsyncedTail                      // T6: tails and seals are reported before they are on the disk
	mistakeUnsyncedAck                       // an entry is acknowledged before it is on the disk
	mistakeLeaveSeal                         // T9: who sees some sealed takes no notice
	mistakeNoRelease                         // T10: no word of a commit when nothing follows
	mistakeNoRepair                          // a sealed tail is answered without repair
	mistakeNoWait                            // an unsealed tail is answered before it is committed
	mistakeGaps                              // a server takes an entry although it lacks the one before
	mistakeTwice                             // a request that arrives twice is appended twice
	mistakeAckOnKnown                        // the sequencer takes a Known of others for its own commits
	mistakeTrimUnknown                       // what is known to be committed begins anew at the start after a restart, whatever is trimmed
	mistakeSmallSeal                         // T7: fewer servers end the log than it takes to meet every majority
	mistakeForgetAcked                       // a server does not notice that it has lost what it acknowledged
)

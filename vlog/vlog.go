package vlog

import (
	"context"
	"errors"
	"fmt"
)

// Position is the place of an entry in a log. The first entry is at 1; 0 means none. In a Loglet positions count from
// the Loglet's own beginning, in a Log they are virtual: they count from the beginning of the first Loglet ever. Positions rise from entry to entry, as a
// rule by one; Loglets that put several logs together leave some out (sparse positions).
type Position uint64

// Entry is one entry read back from a log.
type Entry struct {
	Pos Position
	// Payload is what was appended. It must not be modified: it may be shared with other readers and with caches.
	Payload []byte
}

// Tail is the end of a log.
type Tail struct {
	// Next is the first position not yet written: everything below it is durable and can be read, unless trimmed.
	Next Position
	// Sealed says that no Append will be acknowledged any more. A Log as a whole is never sealed.
	Sealed bool
}

// MaxEntryBytes is the most that one Append may carry, all its payloads together. It leaves room for the largest write
// that the REST interface accepts (256 MiB) in any encoding of it. Log refuses more at its door, because an engine
// below with a smaller limit of its own would otherwise be retried for ever.
const MaxEntryBytes = 320 << 20

// Loglet is a log of fixed configuration: the unit from which a Log is chained. All methods are safe for concurrent use.
//
// A Loglet is asked for total order and durability, not for consensus: it needs no election and no change of members.
// What it must add is Seal, which has to work even where Append no longer does.
type Loglet interface {
	// Append adds the payloads at consecutive positions (of one Append they are even where positions are sparse) and returns the first. On nil all of them are durable, and every
	// Tail asked for from then on lies beyond them. Concurrent calls share the cost of reaching the disk; each keeps its
	// own payloads together and in order. Append does not keep the payloads after it returned. Without payloads it
	// returns the present tail and writes nothing.
	//
	// Any error leaves open whether the payloads are in the log, except ErrTooLarge and an error of a context that had
	// ended before the call, where they are not. ErrSealed says that this attempt will never be acknowledged, no more:
	// the entry may still be found in the log.
	Append(ctx context.Context, payloads ...[]byte) (first Position, err error)

	// Tail returns the end of the log. It is linearizable: at least as far as every Append acknowledged before the call.
	// The seal is observed no earlier than the position, so that (Next, unsealed) is never a position that a repair
	// after the seal has made up. Once it has said Sealed, Next never shrinks. It may grow, by entries that were never acknowledged and that a
	// repair has found: where a chain ends a Loglet, the first tail after the seal that was stored in the chain counts.
	Tail(ctx context.Context) (Tail, error)

	// WaitTail returns the tail as soon as Next >= atLeast or the log is sealed. A reader that has consumed everything
	// below p waits for more with WaitTail(p+1).
	WaitTail(ctx context.Context, atLeast Position) (Tail, error)

	// Read returns the first entries of the range [from, to), in order, leaving none out. It returns at most
	// maxBytes of payload, and may return less than there is (where one file ends, say), but at least one entry if there
	// is one below the tail, however large. It returns none, and no error, if there is none: from is at or beyond the tail or to, or positions are sparse
	// and none in the range is taken. So a caller who read up to a tail that he was given, and got nothing, goes on at to. If
	// from has been trimmed the error is a *TrimmedError. The slice is the caller's, the payloads are not.
	Read(ctx context.Context, from, to Position, maxBytes int) ([]Entry, error)

	// Trim allows the log to forget everything below before, and returns the position from which on it still answers,
	// which may be less than before (storage is freed in larger pieces; before may lie beyond the tail) or more (an earlier
	// Trim went further). It is durable on return. Positions at or beyond the tail are never trimmed. A sealed log can be
	// trimmed.
	Trim(ctx context.Context, before Position) (effective Position, err error)

	// Seal ends the log. After it returned nil no Append will be acknowledged, in this process or any other and after
	// any restart, and whatever was acknowledged lies below every Tail. It is idempotent and may be called by several at once.
	Seal(ctx context.Context) error

	// Close waits for calls that are under way and releases what the Loglet holds. Later calls return ErrClosed.
	// It does not seal.
	Close() error
}

// Remover is implemented by Loglets whose storage can be deleted for good once the chain no longer names them.
type Remover interface {
	// Remove closes the Loglet, if it is open, and deletes its storage.
	Remove(ctx context.Context) error
}

// Configured is implemented by Loglets whose Config is more than what their Provider was asked for.
type Configured interface {
	// Config is what finds this very Loglet again; the chain stores it.
	Config() []byte
}

// MetaStore is one versioned register, the place of the only consensus in the system. It is written when the chain
// changes and read when somebody meets a sealed Loglet, so it may be slow. Safe for concurrent use.
type MetaStore interface {
	// Load returns the value and its version; version 0 and an empty value if nothing was ever stored. It is
	// linearizable with Store.
	Load(ctx context.Context) (value []byte, version uint64, err error)
	// Store replaces the value if its version is still ifVersion, and returns the new version, which is greater. If the
	// version is another one it changes nothing and returns ErrConflict. After any other error the outcome is unknown.
	Store(ctx context.Context, value []byte, ifVersion uint64) (version uint64, err error)
}

// LogletSpec says which Loglet a Provider is to open.
type LogletSpec struct {
	// ID numbers the Loglets of a chain, rising with every reconfiguration and never used twice. A Provider makes it
	// part of the Loglet's name, so that a chain may name two Loglets of the same Config.
	ID uint64
	// Stripe tells apart the Loglets of which one of ID is made (package striped): the k-th is Stripe k, and a Loglet that stands for itself
	// is Stripe 0. A Provider makes it part of the Loglet's name, beside ID.
	Stripe uint8
	// Config is the Provider's own, opaque to the chain. With Create it is a wish, in a form of the Provider's own, or the Config of the segment before,
	// when a log that was left sealed rolls forward: a Provider that knows better (one of those servers is dead) does what it can,
	// and the Loglet tells what it came to (Configured).
	Config []byte
	// Create is set while the Loglet is not yet part of a stored chain: then it may be brought into existence. Several processes may do so for
	// the same ID at the same time; only one of their chains will be stored, and Open is then called with that one's Config. Otherwise
	// it must exist, and the Provider must refuse with ErrMissing rather than begin an empty one: a log that has lost
	// its storage must not come back as one that never had any.
	Create bool
	// Lowest is the id of the oldest Loglet that the chain still names. What is left of smaller ones under the same Config, after
	// a crash between dropping and removing them, will never be asked for again; a Provider that can find it deletes it.
	Lowest uint64
}

// Provider opens Loglets of one kind.
type Provider func(ctx context.Context, spec LogletSpec) (Loglet, error)

// Errors of appending.
var (
	// ErrSealed: the Loglet is sealed. A Log never returns it; it continues in the next Loglet.
	ErrSealed = errors.New("vlog: the loglet is sealed")
	// ErrTooLarge: the payloads of one Append exceed MaxEntryBytes. Nothing was written.
	ErrTooLarge = errors.New("vlog: append exceeds the limit of 320 MiB")
	// ErrPoisoned: a write or a sync has failed. What is on the disk is unknown until the log is opened again, so
	// nothing more is acknowledged and nothing is tried a second time: a sync that is repeated after a failure may
	// report success for data the kernel has dropped. Errors that match it wrap the cause. Reads are still answered.
	ErrPoisoned = errors.New("vlog: the log takes no more writes after a failed write; free or repair the disk, then restart the process")
)

// Errors of every call.
var (
	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("vlog: closed")
	// ErrTrimmed is matched by every *TrimmedError.
	ErrTrimmed = errors.New("vlog: trimmed")
)

// Errors of the MetaStore and of opening.
var (
	// ErrConflict: the register has another version than the caller believed.
	ErrConflict = errors.New("vlog: the metadata was changed by another")
	// ErrMissing: the chain names a Loglet whose storage is not there.
	ErrMissing = errors.New("vlog: the loglet named by the chain does not exist; restore its storage from a backup")
)

// TrimmedError says that the position asked for has been trimmed.
type TrimmedError struct {
	First Position // the first position that can still be read, or the tail if there is none
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("vlog: trimmed: the log begins at position %d", e.First)
}

// Is makes errors.Is(err, ErrTrimmed) hold.
func (e *TrimmedError) Is(target error) bool { return target == ErrTrimmed }

// CorruptError says that stored data which is known to have been written completely cannot be read back. It is never
// repaired silently, for that would take back acknowledged entries.
type CorruptError struct {
	File   string // name of the file
	Offset int64  // where in it the damage begins
	Reason string // what is wrong and what can be done
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("vlog: %s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
}

package vlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// ReconfigureKind says what has happened to a chain.
type ReconfigureKind string

// What can happen to a chain.
const (
	Began     ReconfigureKind = "begin"    // this Log has stored the first chain
	Extended  ReconfigureKind = "extend"   // this Log has sealed the active segment and added another
	Rolled    ReconfigureKind = "roll"     // the same, because whoever sealed it did not
	Truncated ReconfigureKind = "truncate" // this Log has dropped trimmed segments
	Replaced  ReconfigureKind = "replace"  // this Log has put another Loglet in the place of a sealed one
	Followed  ReconfigureKind = "follow"   // another has done any of this
)

// Reconfigured tells of a change of the chain in use.
type Reconfigured struct {
	Kind ReconfigureKind
	// From and To are the active segments before and after, or, for Replaced, the segment before and after.
	From, To Segment
	// Version is the register's.
	Version uint64
	// Took is the time of the whole, of what this Log has done itself. Stalled is the part of it in which nothing could be appended: from before the seal until
	// the chain was in use.
	Took, Stalled time.Duration

	began, stalled time.Time
}

// ErrOvertaken is matched by every *OvertakenError.
var ErrOvertaken = errors.New("vlog: another reconfiguration was faster")

// OvertakenError says that the chain was changed by another while a change was asked for. What was asked for has not happened, or others have gone on
// so far from there that nothing tells of it; the caller, who knows what he wants, looks at the chain and repeats if he still wants it.
type OvertakenError struct {
	Chain Chain // that is in use now
}

func (e *OvertakenError) Error() string {
	a := e.Chain.Active()
	return fmt.Sprintf("%v: the log continues in %s loglet %d, from position %d; look whether this is what is wanted, and repeat", ErrOvertaken, a.Kind, a.ID, a.Start)
}

// Is makes errors.Is(err, ErrOvertaken) hold.
func (e *OvertakenError) Is(target error) bool { return target == ErrOvertaken }

// Discarder is implemented by Loglets of which every Create makes another, even for the same id and config.
type Discarder interface {
	// Discard closes a Loglet that was opened with Create and deletes what was made for it. The chain does not name it and will not. It may have:
	// who does not hear that his chain was stored may find one that has gone on from there and left the Loglet behind, or replaced it.
	Discard(ctx context.Context) error
}

// create brings the Loglet of a segment into existence that no stored chain names yet. One that is left from an attempt
// that died before its chain was stored is taken if it is as good as new. s.Config becomes what finds it again.
func (l *Log) create(ctx context.Context, s *Segment, lowest uint64) (Loglet, error) {
	loglet, err := l.open(ctx, *s, lowest, true)
	if err != nil {
		return nil, err
	}
	if c, ok := loglet.(Configured); ok {
		s.Config = c.Config()
	}
	tail, err := loglet.Tail(ctx)
	if err == nil && (tail.Next != 1 || tail.Sealed) {
		err = errors.New("it is already in use: its storage holds another log; move it away")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("vlog: begin %s loglet %d: %w", s.Kind, s.ID, err), discard(loglet))
	}
	return loglet, nil
}

func (l *Log) open(ctx context.Context, s Segment, lowest uint64, create bool) (Loglet, error) {
	p, ok := l.opts.Providers[s.Kind]
	if !ok {
		return nil, &lastingError{fmt.Errorf("vlog: the chain names a loglet of kind %q, which this program does not have", s.Kind)}
	}
	loglet, err := p(ctx, LogletSpec{ID: s.ID, Config: s.Config, Create: create, Lowest: lowest})
	if err != nil {
		return nil, fmt.Errorf("vlog: open %s loglet %d: %w", s.Kind, s.ID, err)
	}
	return loglet, nil
}

// storeAttempts bounds how often a conditional write is repeated whose outcome the register does not tell.
const storeAttempts = 6

// install writes the chain if the register is still at ifVersion. If it wins it adopts it, with next as the Loglet that the present view lacks (nil:
// there is none). If it loses, next is let go and won is false. It has won too if another has already gone on from there; then that is adopted. After an
// error the chain may still come to be stored.
//
// A write whose answer is lost may have happened, or happen yet. It is found in the register by the number that was drawn for it; if it is not there
// and the register has not moved, it is written again, the same, so that it does not matter which of the two comes first.
func (l *Log) install(ctx context.Context, chain Chain, ifVersion uint64, next Loglet, e Reconfigured) (won bool, err error) {
	value := chain.Append(nil)
	version, attempt := uint64(0), 0
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		if l.opts.mistakes&mistakeNoCondition != 0 {
			_, ifVersion, _ = l.opts.Meta.Load(ctx)
		}
		version, err = l.opts.Meta.Store(ctx, value, ifVersion)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrConflict) && l.opts.mistakes&mistakeUnknownIsWin != 0 {
			version = ifVersion
			break
		}
		if !errors.Is(err, ErrConflict) && l.opts.mistakes&mistakeUnknownIsLoss != 0 {
			return false, errors.Join(err, discard(next))
		}
		stored, v, lerr := l.opts.Meta.Load(ctx)
		if lerr == nil && v > ifVersion {
			got, derr := DecodeChain(stored)
			if derr != nil {
				return false, errors.Join(derr, letGo(next))
			}
			if got.Reconfiguration == chain.Reconfiguration {
				version = v
				break
			}
			named := chain.Active()
			if e.Kind == Replaced {
				named = e.To
			}
			if e.Kind != Truncated && got.names(named) {
				// Ours came first and then another's on top of it; or both name the very same Loglet.
				if k, ok := next.(keep); ok {
					next = k.Loglet
				}
				return true, errors.Join(letGo(next), l.adopt(ctx, stored, v, func(s Segment) bool { return !chain.names(s) }))
			}
			// Another's came first; or ours did, and the Loglet has left the chain since. Either way nobody can want it any more.
			return false, discard(next)
		}
		if lerr == nil && errors.Is(err, ErrConflict) {
			lerr = errors.New("the register refuses a conditional write and is not ahead")
		}
		if attempt++; attempt == storeAttempts || ctx.Err() != nil || lasting(err) {
			return false, errors.Join(fmt.Errorf("vlog: store the chain: %w", err), lerr, letGo(next))
		}
		rest(ctx, pause)
	}
	l.adopted(ctx, l.newView(chain, version, next), e)
	l.opts.Logger.Info("log chain installed", "what", e.Kind, "version", version, "segments", len(chain.Segments),
		"kind", chain.Active().Kind, "loglet", chain.Active().ID, "start", chain.Active().Start)
	return true, nil
}

// letGo closes a Loglet whose chain was not installed by us. Its storage stays: the chain that won may name the very same
// one, or ours may still come to be stored, and an empty Loglet left over does no harm.
func letGo(loglet Loglet) error {
	if loglet == nil {
		return nil
	}
	return loglet.Close()
}

// discard lets go of a Loglet that the chain does not name and never will.
func discard(loglet Loglet) error {
	if d, ok := loglet.(Discarder); ok {
		return d.Discard(context.Background())
	}
	return letGo(loglet)
}

// remove deletes the storage of a Loglet that the chain has dropped. Ids are never used twice, so nobody can want it.
func remove(ctx context.Context, loglet Loglet) error {
	if r, ok := loglet.(Remover); ok {
		return r.Remove(ctx)
	}
	return loglet.Close()
}

// rest waits, but not longer than ctx.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Reconfigure seals the active segment and continues the log in a new Loglet of next's Kind and Config. On nil the new chain is in use. If
// another reconfiguration was faster the error is an *OvertakenError and that one's chain is in use: what was asked for has not happened. After
// any other error it may have happened, or the log may have been sealed and be continued, in a Loglet like the old one, by whoever meets the seal.
//
// Appends that are under way are acknowledged by the old Loglet or repeated in the new one; none fails.
func (l *Log) Reconfigure(ctx context.Context, next Segment) error {
	return l.ReconfigureFrom(ctx, 0, next)
}

// ReconfigureFrom is Reconfigure for one who wants the log out of the Loglet with this id, because a server of it is dead, say, and not out of the next
// one to which somebody else has moved it for the same reason. If the active segment is another one the error is an *OvertakenError.
func (l *Log) ReconfigureFrom(ctx context.Context, id uint64, next Segment) error {
	ctx, release, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	// The register is asked first: if it cannot be reached, the log had better stay open.
	if _, err := l.reload(ctx); err != nil {
		return l.blame(err)
	}
	from := l.view.Load()
	if id != 0 && from.chain.Active().ID != id {
		return &OvertakenError{Chain: l.Chain()}
	}
	return l.blame(l.extend(ctx, from, next, Extended))
}

// extend is the three-step protocol of Virtual Consensus in Delos, section 3.2: seal, install, load what won. The new
// Loglet is opened before the seal, so that one that cannot be opened does not stop the log. Caller holds changing.
func (l *Log) extend(outer context.Context, from *view, next Segment, kind ReconfigureKind) error {
	begin := time.Now()
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	// What follows may wait for a majority that will never come back, while others have long gone on.
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for ctx.Err() == nil {
			if rest(ctx, l.opts.RecheckEvery); ctx.Err() != nil {
				return
			}
			if _, version, err := l.opts.Meta.Load(ctx); err == nil && version > from.version {
				cancel(ErrOvertaken)
			}
		}
	}()
	err := l.extendWatched(ctx, from, &next, kind, begin)
	cancel(nil)
	<-watching
	if err == nil || context.Cause(ctx) != ErrOvertaken && !lasting(err) {
		return err
	}
	// A Loglet that others have left behind and deleted in the meantime may say anything.
	if changed, rerr := l.reload(outer); rerr != nil || !changed && context.Cause(ctx) != ErrOvertaken {
		return errors.Join(err, rerr)
	}
	if l.view.Load().chain.names(next) {
		return nil // overtaken by itself: the chain was stored, and nobody had said so
	}
	return &OvertakenError{Chain: l.Chain()}
}

// extendWatched fills in what becomes of next.
func (l *Log) extendWatched(ctx context.Context, from *view, next *Segment, kind ReconfigureKind, begin time.Time) error {
	seg, s := from.active()
	next.ID = seg.ID + 1
	fresh, err := l.create(ctx, next, from.chain.Lowest)
	if err != nil {
		return err
	}
	stalled := time.Now()
	tail, err := sealed(ctx, s, l.opts.mistakes&mistakeTailFirst != 0)
	if err != nil {
		return errors.Join(fmt.Errorf("vlog: end %s loglet %d: %w", seg.Kind, seg.ID, err), discard(fresh))
	}
	chain := from.chain.Extend(seg.toVirtual(tail.Next), *next, newReconfiguration())
	won, err := l.install(ctx, chain, from.version, fresh, Reconfigured{Kind: kind, began: begin, stalled: stalled})
	if won && !contains(l.view.Load().slots, s) { // it was empty, and has left the chain
		if derr := s.drop(func(o Loglet) error { return remove(ctx, o) }); derr != nil {
			l.opts.Logger.Warn("removing an empty loglet that is no longer part of the log", "loglet", seg.ID, "err", derr)
		}
	}
	if err != nil || won {
		return err
	}
	if _, err := l.reload(ctx); err != nil {
		return err
	}
	return &OvertakenError{Chain: l.Chain()}
}

// sealed seals a Loglet and returns its tail. The tail is asked for after the seal: everything acknowledged lies below it. (early is a mistake.)
func sealed(ctx context.Context, s *slot, early bool) (Tail, error) {
	loglet, err := s.get(ctx)
	if err != nil {
		return Tail{}, err
	}
	if early {
		tail, err := loglet.Tail(ctx)
		return tail, errors.Join(err, loglet.Seal(ctx))
	}
	if err := loglet.Seal(ctx); err != nil {
		return Tail{}, err
	}
	tail, err := loglet.Tail(ctx)
	switch {
	case err != nil:
		return Tail{}, err
	case !tail.Sealed:
		return Tail{}, &lastingError{errors.New("it is open after a successful seal")}
	case uint64(tail.Next) < s.confirmed.Load():
		return Tail{}, &lastingError{fmt.Errorf("its tail has gone back from %d to %d: acknowledged entries are lost", s.confirmed.Load(), tail.Next)}
	}
	return tail, nil
}

// Replace puts fresh in the place of the Loglet of the sealed segment with this id, and deletes the old one's storage (reconfigModify of Virtual
// Consensus in Delos). fresh must be sealed, hold what the old one holds at the same positions of its own, and be what next's Kind and Config, or its
// Configured, open. It belongs to the Log from then on, and is closed if an error is returned. Nothing is sealed, and old and new may be read
// side by side while processes come to know of it. If the segment is not there any more or was replaced by another, the error is an *OvertakenError.
func (l *Log) Replace(ctx context.Context, id uint64, next Segment, fresh Loglet) error {
	if c, ok := fresh.(Configured); ok {
		next.Config = c.Config()
	}
	ctx, release, err := l.acquire(ctx)
	if err != nil {
		return errors.Join(err, fresh.Close())
	}
	defer release()
	var wanted *Segment
	for {
		begin := time.Now()
		if _, err := l.reload(ctx); err != nil {
			return errors.Join(l.blame(err), fresh.Close())
		}
		v := l.view.Load()
		chain, ok := v.chain.Replace(id, next.Kind, next.Config, newReconfiguration())
		if !ok {
			return errors.Join(&OvertakenError{Chain: l.Chain()}, fmt.Errorf("there is no sealed loglet %d", id), fresh.Close())
		}
		i := v.chain.indexOf(id)
		old, now := v.chain.Segments[i], chain.Segments[i]
		if wanted == nil {
			wanted = &old
			tail, err := fresh.Tail(ctx)
			if err == nil && (!tail.Sealed || tail.Next < old.toLoglet(old.End)) {
				err = fmt.Errorf("its tail is %+v; it must be sealed and reach %d", tail, old.toLoglet(old.End))
			}
			if err != nil {
				return errors.Join(fmt.Errorf("vlog: put a %s loglet in the place of %s loglet %d: %w", next.Kind, old.Kind, id, err), fresh.Close())
			}
		}
		if !wanted.sameLoglet(old) {
			return errors.Join(&OvertakenError{Chain: l.Chain()}, fresh.Close())
		}
		if old.sameLoglet(now) {
			return fresh.Close() // it was there before
		}
		won, err := l.install(ctx, chain, v.version, keep{fresh}, Reconfigured{Kind: Replaced, From: old, To: now, began: begin})
		if err != nil {
			return errors.Join(l.blame(err), fresh.Close())
		}
		if won {
			if err := v.slots[i].drop(func(o Loglet) error { return remove(ctx, o) }); err != nil {
				return fmt.Errorf("vlog: remove replaced loglet %d: %w", id, err)
			}
			return nil
		}
	}
}

// keep is a Loglet whose Close must not be called when a conditional write is lost, because it is tried again.
type keep struct{ Loglet }

func (keep) Close() error { return nil }

func newReconfiguration() (id [16]byte) {
	rand.Read(id[:]) // never fails
	return id
}

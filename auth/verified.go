package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"rebase/auth/token"
)

// verified remembers which signatures were found right, because checking one costs more than all the rest of a REST request's
// authentication. What it remembers is a fact of mathematics, this key has signed this token, and can never become wrong: whether the key is still to be
// believed, the token in force, the user not disabled, is asked each time. Only right signatures are remembered, so that nobody can fill it with rubbish.
//
// There are two generations. When the younger is full or old it becomes the older, which is forgotten; a token that is used is in the
// younger. So what is held is bounded, and so is for how long.
type verified struct {
	mu       sync.Mutex
	young    map[[sha256.Size]byte]struct{}
	old      map[[sha256.Size]byte]struct{}
	youngest time.Time // when young was begun
}

const (
	generationSize = 16 << 10 // tokens: about 1 MB
	generationAge  = 10 * time.Minute
)

// check returns nil if k has signed t.
func (v *verified) check(t *token.Token, k *token.Key, now time.Time) error {
	sum := t.Sum(k)
	if v.has(sum, now) {
		return nil
	}
	if err := t.Verify(k); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.turn(now)
	v.young[sum] = struct{}{}
	return nil
}

func (v *verified) has(sum [sha256.Size]byte, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.turn(now)
	if _, ok := v.young[sum]; ok {
		return true
	}
	if _, ok := v.old[sum]; ok {
		v.young[sum] = struct{}{}
		return true
	}
	return false
}

// turn begins a generation if it is time.
func (v *verified) turn(now time.Time) {
	if age := now.Sub(v.youngest); v.young == nil || len(v.young) >= generationSize || age >= generationAge || age < 0 {
		v.old, v.young, v.youngest = v.young, map[[sha256.Size]byte]struct{}{}, now
		if age >= 2*generationAge {
			v.old = nil // nobody has asked for so long
		}
	}
}

package auth

import (
	"testing"
	"time"
)

// BenchmarkAuthenticate measures a REST request's authentication. "first" is a token that has not been seen: its signature is checked.
func BenchmarkAuthenticate(b *testing.B) {
	r := newRig(b)
	cred := map[string]string{
		"id token": r.signOwn(r.own("shop")), "access token": r.accessTo(r.account), "legacy token": hs256(b, r.secret.Secret, r.legacy()),
		"secret": r.secret.Secret, "root": r.root,
	}
	for _, name := range []string{"id token", "access token", "legacy token", "secret", "root"} {
		for _, first := range []bool{true, false} {
			label := name + "/again"
			if first {
				label = name + "/first"
			}
			b.Run(label, func(b *testing.B) {
				b.ReportAllocs()
				c := Credential{NS: "shop", Token: cred[name]}
				for b.Loop() {
					if first {
						r.authority.verified = verified{}
					}
					if _, err := r.authority.Authenticate(b.Context(), c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// However many tokens there are, what is remembered of them is bounded, by number and by age.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	var v verified
	now := time.Unix(1e9, 0)
	for i := range 5 * generationSize {
		sum := [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		v.mu.Lock()
		v.turn(now)
		v.young[sum] = struct{}{}
		v.mu.Unlock()
	}
	if n := len(v.young) + len(v.old); n > 2*generationSize {
		t.Errorf("%d are remembered", n)
	}
	var last [32]byte
	for sum := range v.young {
		last = sum
	}
	for range 10 { // one that is used stays
		now = now.Add(generationAge - time.Second)
		if !v.has(last, now) {
			t.Fatal("a token in use is forgotten")
		}
	}
	if v.has(last, now.Add(2*generationAge)) {
		t.Error("a token that was not used is remembered")
	}
	if v.turn(now.Add(-time.Hour)); !v.youngest.Equal(now.Add(-time.Hour)) {
		t.Error("a clock that is set back keeps a generation for ever")
	}
}

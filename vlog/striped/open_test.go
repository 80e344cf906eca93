package striped

import (
	"context"
	"errors"
	"testing"

	"rebase/vlog"
)

// made is a loglet of which every Create makes another.
type made struct {
	vlog.Loglet
	discarded *int
}

func (m made) Discard(context.Context) error { *m.discarded++; return nil }
func (m made) Close() error                  { return nil }

// Where one stripe cannot be made, those before it are not left behind.
func TestStripesThatWereMadeForNothing(t *testing.T) {
	discarded, asked := 0, 0
	kinds := map[string]vlog.Provider{"x": func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		if asked++; spec.Stripe == 2 {
			return nil, errors.New("no more")
		}
		return made{discarded: &discarded}, nil
	}}
	wish := Config{Stripes: []Stripe{{Kind: "x", Config: []byte("a")}, {Kind: "x", Config: []byte("b")}, {Kind: "x", Config: []byte("c")}}}
	if _, err := Open(t.Context(), kinds, vlog.LogletSpec{ID: 1, Config: wish.Encode(), Create: true}); err == nil || asked != 3 {
		t.Fatal(err, asked)
	}
	if discarded != 2 {
		t.Errorf("%d of 2 were discarded", discarded)
	}
}

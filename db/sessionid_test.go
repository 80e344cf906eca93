package db

import (
	"strings"
	"testing"
)

// A client says what its last session was called, and may say anything: longer
// digits once took the connection's goroutine down.
func TestParseSessionID(t *testing.T) {
	id := newSessionID()
	if got, err := ParseSessionID(id.String()); err != nil || got != id {
		t.Errorf("%v becomes %v, %v", id, got, err)
	}
	for _, s := range []string{"", "0", "zz", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("0", 34), strings.Repeat("f", 4000), strings.Repeat("g", 32)} {
		if got, err := ParseSessionID(s); err == nil || got != (SessionID{}) {
			t.Errorf("%.40q is taken for %v", s, got)
		}
	}
}

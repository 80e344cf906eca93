package hostile

import (
	"encoding/json"
	"strings"
	"testing"

	"rebase/test/harness"
)

// applyPush brings a set of leaves below base, path -> JSON, up to date with what
// the server pushes.
func applyPush(t *testing.T, leaves map[string]string, base string, m harness.Message) {
	t.Helper()
	if m.Action == "" {
		return
	}
	var push struct {
		P string
		D json.RawMessage
	}
	if err := json.Unmarshal(m.Data, &push); err != nil {
		t.Fatal(err)
	}
	at := strings.Trim(push.P, "/")
	if at != base && !strings.HasPrefix(at, base+"/") {
		t.Fatalf("a push for %q", push.P)
	}
	rel := strings.Trim(strings.TrimPrefix(at, base), "/")
	switch m.Action {
	case "d":
		set(t, leaves, rel, push.D)
	case "m":
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(push.D, &parts); err != nil {
			t.Fatal(err)
		}
		for p, v := range parts {
			set(t, leaves, strings.Trim(rel+"/"+p, "/"), v)
		}
	default:
		t.Fatalf("a push of kind %q", m.Action)
	}
}

func set(t *testing.T, leaves map[string]string, path string, v json.RawMessage) {
	t.Helper()
	for p := range leaves {
		if path == "" || p == path || strings.HasPrefix(p, path+"/") {
			delete(leaves, p)
		}
	}
	if len(v) > 0 && v[0] == '{' {
		var children map[string]json.RawMessage
		if err := json.Unmarshal(v, &children); err != nil {
			t.Fatal(err)
		}
		for key, child := range children {
			set(t, leaves, strings.Trim(path+"/"+key, "/"), child)
		}
		return
	}
	if string(v) != "null" {
		leaves[path] = string(v)
	}
}

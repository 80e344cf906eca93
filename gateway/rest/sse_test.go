package rest

import (
	"testing"

	"rebase/db"
	"rebase/live"
	"rebase/query"
	"rebase/tree"
)

func defaultQuery() query.Query { return query.Query{} }

func TestAppendEvent(t *testing.T) {
	one := tree.NewInt(1)
	two := tree.NewObject([]tree.Child{{Key: "c", Node: tree.NewInt(2).WithPriority(one)}})
	for _, c := range []struct {
		base tree.Path
		ev   *live.Event
		want string
	}{
		{"", &live.Event{Kind: live.Put, Path: "", Value: one}, "event: put\ndata: {\"path\":\"/\",\"data\":1}\n\n"},
		{"a", &live.Event{Kind: live.Put, Path: "a", Value: two}, "event: put\ndata: {\"path\":\"/\",\"data\":{\"c\":2}}\n\n"},
		{"a", &live.Event{Kind: live.Put, Path: "a/b/c", Value: nil}, "event: put\ndata: {\"path\":\"/b/c\",\"data\":null}\n\n"},
		{"a/b", &live.Event{Kind: live.Put, Path: "", Value: tree.NewInt(1).Set("a/b/c", one)}, "event: put\ndata: {\"path\":\"/\",\"data\":{\"c\":1}}\n\n"},
		{"a/b", &live.Event{Kind: live.Put, Path: "a", Value: nil}, "event: put\ndata: {\"path\":\"/\",\"data\":null}\n\n"},
		{"a/b", &live.Event{Kind: live.Put, Path: "c", Value: one}, ""},
		{"a", &live.Event{Kind: live.Put, Path: "a", Priority: true, Value: one}, ""},
		{"a/b", &live.Event{Kind: live.Put, Path: "a", Priority: true, Value: one}, ""},
		{"a", &live.Event{Kind: live.Merge, Path: "a", Updates: []db.Update{{Path: "x/y", Value: one}, {Path: "z"}, {Path: "q", Priority: true, Value: one}}},
			"event: patch\ndata: {\"path\":\"/\",\"data\":{\"x/y\":1,\"z\":null}}\n\n"},
		{"", &live.Event{Kind: live.Merge, Path: "a", Updates: []db.Update{{Path: "x", Value: two}}}, "event: patch\ndata: {\"path\":\"/a\",\"data\":{\"x\":{\"c\":2}}}\n\n"},
		{"", &live.Event{Kind: live.Merge, Path: "a", Updates: []db.Update{{Path: "x", Priority: true, Value: one}}}, ""},
		{"a/b", &live.Event{Kind: live.Merge, Path: "", Updates: []db.Update{{Path: "a/b/x", Value: one}, {Path: "a/c", Value: one}}}, "event: patch\ndata: {\"path\":\"/\",\"data\":{\"x\":1}}\n\n"},
		{"a/c", &live.Event{Kind: live.Merge, Path: "", Updates: []db.Update{{Path: "a", Value: two}, {Path: "b", Value: one}}}, "event: put\ndata: {\"path\":\"/\",\"data\":2}\n\n"},
	} {
		in := queued{c.ev, encodingOf(c.ev)}
		// Twice: the second comes from the shared encoding.
		for range 2 {
			if got := string(appendEvent(nil, in, c.base)); got != c.want {
				t.Errorf("%+v at %q:\n got %q\nwant %q", c.ev, c.base, got, c.want)
			}
		}
	}
}

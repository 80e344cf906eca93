package db

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rebase/tree"
)

func TestDisconnectQueue(t *testing.T) {
	type step struct {
		path  tree.Path
		value string // "cancel"; "prio" for a priority of 1
	}
	for _, tt := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"replace", []step{{"a", "1"}, {"a", "2"}}, "a=2"},
		{"below refines", []step{{"a", `{"x":1}`}, {"a/y", "2"}}, `a={"x":1,"y":2}`},
		{"below replaces a leaf", []step{{"a", "1"}, {"a/y", "2"}}, `a={"y":2}`},
		{"above replaces", []step{{"a/x", "1"}, {"a/y", "2"}, {"b", "3"}, {"a", "4"}}, "b=3 a=4"},
		{"cancel at", []step{{"a", "1"}, {"b", "2"}, {"a", "cancel"}}, "b=2"},
		{"cancel above", []step{{"a/x", "1"}, {"a/y", "2"}, {"a", "cancel"}}, ""},
		{"cancel below splits", []step{{"a", `{"x":{"p":1,"q":2},"y":3}`}, {"a/x/p", "cancel"}}, "a/y=3 a/x/q=2"},
		{"cancel below a leaf", []step{{"a", "1"}, {"a/x", "cancel"}}, "a=1"},
		{"cancel below a deletion", []step{{"a", "null"}, {"b", "null"}, {"a/x", "cancel"}}, "b=null"},
		{"cancel a priority", []step{{"a", "prio"}, {"a", "cancel prio"}}, ""},
		{"cancel a priority within", []step{{"a", `{"b":{".value":1,".priority":2},"c":3}`}, {"a/b", "cancel prio"}}, `a={"b":1,"c":3}`},
		{"cancel all", []step{{"a", "1"}, {"b/c", "1"}, {"", "cancel"}}, ""},
		{"priority refines", []step{{"a", "1"}, {"a", "prio"}}, `a={".value":1,".priority":1}`},
		{"priority alone", []step{{"a", "prio"}, {"b", "1"}}, "a!=1 b=1"},
		{"delete then set below", []step{{"a", "null"}, {"a/x", "1"}}, `a={"x":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var q disconnectQueue
			for _, s := range tt.steps {
				switch s.value {
				case "cancel":
					q = q.cancel(s.path)
				case "cancel prio":
					q = q.cancelPriority(s.path)
				case "prio":
					q = q.set(s.path, true, tree.NewInt(1))
				default:
					q = q.set(s.path, false, parse(t, s.value))
				}
			}
			var got []string
			for _, u := range q {
				op := "="
				if u.Priority {
					op = "!="
				}
				got = append(got, fmt.Sprintf("%s%s%s", u.Path, op, tree.AppendExport(nil, u.Value)))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestDisconnectRunsAsOneEvent(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	r.do(s, r.set("a", `{"x":1,"gone":2}`))
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "a/x", Value: parse(t, `{".sv":{"increment":10}}`)})
	r.do(s, &Op{Kind: OpDisconnectMerge, Path: "a", Updates: []Update{{Path: "gone"}, {Path: "at", Value: tree.NewTimestamp()}}})
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "b", Value: tree.NewInt(1)})
	r.do(s, &Op{Kind: OpDisconnectCancel, Path: "b"})
	before := len(r.told())
	r.clock.advance(1000)
	<-s.end()
	r.wantTree("", fmt.Sprintf(`{"a":{"at":%d,"x":11}}`, r.clock.now().UnixMilli()))
	if got := len(r.told()) - before; got != 1 {
		t.Errorf("told of %d changes, want one", got)
	}
	if res := s.Do(t.Context(), r.set("late", "1")); res.Err != ErrSessionEnded {
		t.Errorf("a write after the end: %v", res.Err)
	}
	if left := metas(t, r.store); len(left) != 2 { // that it has ended: s and d
		t.Errorf("records are left: %q", left)
	}
}

func TestDisconnectSurvivesCrash(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		r := newRig(t)
		s := r.db.NewSession("test", "", Root)
		r.do(s, r.set("online", "true"))
		r.do(s, &Op{Kind: OpDisconnectSet, Path: "online", Value: nil})
		r.do(s, &Op{Kind: OpDisconnectSet, Path: "seen", Value: tree.NewTimestamp()})
		if flushed {
			if err := r.store.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		r.crash()
		r.wantTree("", fmt.Sprintf(`{"seen":%d}`, r.clock.now().UnixMilli()))
		r.crash() // and only once
		r.wantTree("online", "null")
	}
}

func TestDisconnectQueueIsBounded(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	var updates []Update
	for i := range MaxDisconnectOps {
		updates = append(updates, Update{Path: tree.Path(fmt.Sprint(i)), Value: tree.NewInt(1)})
	}
	r.do(s, &Op{Kind: OpDisconnectMerge, Updates: updates})
	if res := s.Do(t.Context(), &Op{Kind: OpDisconnectSet, Path: "x", Value: tree.NewInt(1)}); res.Err == nil {
		t.Error("one more was accepted")
	}
}

func TestDisconnectQueueIsBoundedInBytes(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	big := tree.NewString(strings.Repeat("x", MaxDisconnectBytes/2))
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "a", Value: big})
	var limit *tree.LimitError
	res := s.Do(t.Context(), &Op{Kind: OpDisconnectMerge, Updates: []Update{{Path: "a"}, {Path: "b", Value: big}, {Path: "c", Value: big}}})
	if !errors.As(res.Err, &limit) {
		t.Errorf("more was accepted: %v", res.Err)
	}
	if q := disconnectModel(t, r, s); len(q) != 1 || q[0].Value != nil && !tree.Equal(q[0].Value, big) || q[0].Value == nil {
		t.Error("a refused operation has changed the queue")
	}
}

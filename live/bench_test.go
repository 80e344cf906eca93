package live

import (
	"fmt"
	"testing"

	"rebase/db"
	"rebase/query"
	"rebase/tree"
)

func setOp(p tree.Path, v *tree.Node) *db.Op { return &db.Op{Kind: db.OpSet, Path: p, Value: v} }

// benchListen makes n started listeners.
func benchListen(b *testing.B, r *rig, n int, p tree.Path, q query.Query) {
	b.Helper()
	sub := subscriber(func(*Event, *Listener) {})
	for range n {
		l, err := r.hub.Listen("test", p, q, db.Root, sub)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, _, err := l.Initial(0); err != nil {
			b.Fatal(err)
		}
		l.Start()
	}
}

func benchApply(b *testing.B, r *rig, change func(i int) *db.Change) {
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r.hub.Applied(change(i))
	}
}

// BenchmarkFanout1000 is one small change told to 1000 listeners: the hub's part of it.
func BenchmarkFanout1000(b *testing.B) {
	r := newRig(b)
	benchListen(b, r, 1000, "room/messages", query.Query{})
	v := tree.NewString("hello")
	c := &db.Change{NS: "test", Base: "room/messages/m1", Updates: []db.Update{{Value: v}}}
	benchApply(b, r, func(int) *db.Change { return c })
}

// BenchmarkUnheard is a change that nobody listens to, beside one that is listened to.
func BenchmarkUnheard(b *testing.B) {
	r := newRig(b)
	benchListen(b, r, 10, "room/messages", query.Query{})
	c := &db.Change{NS: "test", Base: "room/typing/u1", Updates: []db.Update{{Value: tree.NewBool(true)}}}
	benchApply(b, r, func(int) *db.Change { return c })
}

// BenchmarkView1000 is a new child in a window of the last 100 that 1000 listeners share.
func BenchmarkView1000(b *testing.B) {
	r := newRig(b)
	q := query.Query{Index: query.Index{Kind: query.ByKey}, Limit: 100, Last: true}
	benchListen(b, r, 1000, "room/messages", q)
	v := tree.NewString("hello")
	benchApply(b, r, func(i int) *db.Change {
		return &db.Change{NS: "test", Base: tree.Path(fmt.Sprintf("room/messages/m%09d", i)), Updates: []db.Update{{Value: v}}}
	})
}

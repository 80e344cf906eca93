package rtdb

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"rebase/db"
	"rebase/query"
	"rebase/tree"
)

func TestListensOfAClient(t *testing.T) {
	r := newRig(t)
	var s listens
	model := map[listenKey]*listening{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for step := range 20_000 {
		// The number of listens goes up and down, past where the index begins.
		room := 5
		if step/2500%2 == 0 {
			room = 3 * indexFrom
		}
		k := listenKey{tree.Path(fmt.Sprint("a", rnd.IntN(room))), fmt.Sprint(rnd.IntN(2))}
		if got, want := s.remove(k.path, k.id), model[k]; got != want {
			t.Fatalf("step %d: removed %v, want %v", step, got, want)
		}
		delete(model, k)
		if rnd.IntN(4) > 0 {
			l, err := r.hub.Listen("test", k.path, query.Query{}, db.Root, nil)
			if err != nil {
				t.Fatal(err)
			}
			model[k] = &listening{l: l, id: k.id}
			s.add(model[k])
		}
		if len(s.all) != len(model) {
			t.Fatalf("step %d: %d listens, want %d", step, len(s.all), len(model))
		}
	}
}

func TestListensAreBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxListens = 2 })
	p := r.dial()
	p.listen("/a")
	p.listen("/b")
	p.listen("/b") // in the place of the other
	n := p.request("q", `{"p":"/c","h":""}`)
	const refused = `"The client listens to too many locations and queries at the same time."`
	p.expect(answerText(n, "too_many_listens", refused))
	r.set("a", "1")
	p.expect(data("a", "1"))
	p.expect(ok(p.request("n", `{"p":"/a"}`)))
	p.listen("/c")
}

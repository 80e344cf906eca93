package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
)

// skew is a history of two transactions that did not see each other, and its cycle.
func skew(t *testing.T) (*history.History, anomaly.Anomaly) {
	t.Helper()
	b := history.NewBuilder()
	add := func(p int64, micros ...history.Micro) {
		for _, typ := range []string{"invoke", "ok"} {
			if err := b.Add(history.Entry{Type: typ, Process: p, F: "txn", Micros: micros}); err != nil {
				t.Fatal(err)
			}
		}
	}
	many := []history.Micro{history.ReadElements("x<&>")}
	for i := range 12 {
		many = append(many, history.ReadElements(i, 1, 2, 3, 4, 5, 6, 7, 8, 9, "a\x01\"long\" string of which nobody wants to see all"))
	}
	add(1, append(many, history.AppendTo("y", 1))...)
	add(2, history.ReadElements("y"), history.AppendTo("x<&>", 2))
	why := func(t1, t2 string) string { return t1 + " did not see " + t2 }
	return b.History(), anomaly.Anomaly{Type: "G2-item", Ops: []int{0, 1}, Steps: []anomaly.Step{
		{Rel: graph.RW, Key: history.StringDatum("x<&>"), Next: history.IntDatum(2), A: 0, B: 1, Because: why},
		{Rel: graph.RW, Key: history.StringDatum("y"), Next: history.IntDatum(1), A: 0, B: 13, Because: why},
	}}
}

func TestPictures(t *testing.T) {
	h, a := skew(t)
	p, ok := Of(h, a)
	if !ok {
		t.Fatal("a cycle has no picture")
	}
	svg := p.SVG()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	for _, want := range []string{"G2-item", ">T1<", ">T2<", "T2 &lt; T1, because T2 did not see T1", "initial → 2", "process 1, index 1"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if n := len(p.Rows[0].Cells); n > 5 {
		t.Errorf("%d cells are drawn of a long transaction", n)
	}
	// The arrow must end at the cell that it is about, though cells before it are left out.
	if c := p.Rows[0].Cells[p.Arrows[1].To]; c.Short != `append "y" 1` {
		t.Errorf("the arrow ends at %s", c.Short)
	}
	dot := string(p.DOT())
	for _, want := range []string{"n0:m0 -> n1:m1", `x\<&\>`} {
		if !strings.Contains(dot, want) {
			t.Errorf("%q is not in\n%s", want, dot)
		}
	}
	if _, ok := Of(h, anomaly.Anomaly{Ops: []int{0}}); ok {
		t.Error("a picture of what is no cycle")
	}
	again, _ := Of(h, a)
	if !bytes.Equal(svg, again.SVG()) {
		t.Error("the same cycle gives another picture")
	}
}

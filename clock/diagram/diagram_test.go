package diagram

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// random is a chart of an execution.
func random(t *rapid.T) *Chart {
	c := &Chart{Title: "t"}
	n := rapid.IntRange(1, 5).Draw(t, "lines")
	for range n {
		c.Lines = append(c.Lines, Line{Name: "P", Begin: -1, End: -1})
	}
	var open []int
	for range rapid.IntRange(0, 40).Draw(t, "marks") {
		line := rapid.IntRange(0, n-1).Draw(t, "line")
		m := len(c.Marks)
		c.Marks = append(c.Marks, Mark{Line: line, Name: "e", Label: "[1,2,3]"})
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			open = append(open, m)
		case 1, 2:
			for i, from := range open {
				if c.Marks[from].Line != line {
					c.Arrows = append(c.Arrows, Arrow{From: from, To: m})
					open = append(open[:i], open[i+1:]...)
					break
				}
			}
		case 3:
			if other := rapid.IntRange(0, n-1).Draw(t, "other"); other != line {
				c.Marks = append(c.Marks, Mark{Line: other, Name: "f", Label: "[1,2,3]"})
				c.Bonds = append(c.Bonds, Bond{m, m + 1})
			}
		}
	}
	return c
}

func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := random(t)
		l := arrange(c)
		last := map[int]int{}
		for m, mark := range c.Marks {
			if before, ok := last[mark.Line]; ok && l.column[before] >= l.column[m] {
				t.Fatalf("mark %d is not to the right of %d, on one line", m, before)
			}
			last[mark.Line] = m
			if p := l.at(m); p.x < l.origin || p.x+l.labelWidth(m)/2 > l.width || p.y+40 > l.height {
				t.Fatalf("mark %d is outside of the picture", m)
			}
			if l.labelWidth(m) >= l.gap {
				t.Fatalf("label %d is wider than a column", m)
			}
		}
		for _, a := range c.Arrows {
			if l.column[a.From] >= l.column[a.To] {
				t.Fatalf("arrow %+v does not point to the right", a)
			}
		}
		for _, b := range c.Bonds {
			if l.column[b.A] != l.column[b.B] {
				t.Fatalf("bond %+v is not upright", b)
			}
		}
	})
}

// An arrow that would run through a third event goes around it.
func TestArrowsKeepClear(t *testing.T) {
	c := &Chart{
		Lines:  []Line{{"A", -1, -1}, {"B", -1, -1}, {"C", -1, -1}},
		Marks:  []Mark{{Line: 0, Name: "a"}, {Line: 1, Name: "b"}, {Line: 1, Name: "c"}, {Line: 2, Name: "d"}, {Line: 2, Name: "e"}, {Line: 2, Name: "f"}},
		Arrows: []Arrow{{From: 0, To: 5}}, // at columns 0 and 2, it would meet c at column 1
	}
	l := arrange(c)
	if l.column[5] == 2 || l.hits(0, 5) > 0 {
		t.Errorf("the arrow ends in column %d and hits %d", l.column[5], l.hits(0, 5))
	}
}

func TestCrosses(t *testing.T) {
	for _, c := range []struct {
		p, q point
		want bool
	}{
		{point{0, 0}, point{10, 10}, true},
		{point{0, 5}, point{10, 5}, true},
		{point{5, 0}, point{5, 3}, false},
		{point{5, 0}, point{5, 4}, true},
		{point{0, 7}, point{3, 10}, false},
		{point{5, 5}, point{5, 5}, true},
		{point{0, 0}, point{3, 3}, false},
		{point{10, 0}, point{0, 10}, true},
	} {
		if got := crosses(c.p, c.q, 4, 4, 6, 6); got != c.want {
			t.Errorf("from %v to %v: %t", c.p, c.q, got)
		}
		if got := crosses(c.q, c.p, 4, 4, 6, 6); got != c.want {
			t.Errorf("from %v to %v: %t", c.q, c.p, got)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a<b>&\"'\x00\n\ufffe]]>")
	f.Fuzz(func(t *testing.T, s string) {
		c := &Chart{Title: s, Subtitle: s, Lines: []Line{{s, -1, 0}}, Marks: []Mark{{0, s, s, s}}, Arrows: []Arrow{{0, -1, true, s}}}
		for d := xml.NewDecoder(strings.NewReader(string(c.SVG()))); ; {
			if _, err := d.Token(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
		}
	})
}

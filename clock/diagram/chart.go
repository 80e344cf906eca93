package diagram

// Chart is what is to be drawn.
type Chart struct {
	Title, Subtitle string
	Lines           []Line // from top to bottom
	Marks           []Mark // in an order in which they could have happened
	Arrows          []Arrow
	Bonds           []Bond
}

// Line is a process.
type Line struct {
	Name  string
	Begin int // the mark that the line begins with, or -1 for the left edge
	End   int // the mark that it ends with, or -1 for the right edge
}

// Mark is an event.
type Mark struct {
	Line  int
	Name  string
	Label string // its stamp
	Note  string // shown where the pointer rests on it
}

// Arrow leads from mark to mark.
type Arrow struct {
	From, To int // To is -1 for a message that never arrives
	Dashed   bool
	Note     string
}

// Bond joins two marks that happen at once, on two lines. They are neighbours in Chart.Marks.
type Bond struct{ A, B int }

// Sizes, in pixels.
const (
	left     = 28.0
	top      = 122.0
	rowGap   = 118.0
	minGap   = 66.0 // between columns
	radius   = 5.5
	nameSize = 15.0
	textSize = 12.0
	charW    = 7.25 // of the labels' font, which is monospaced
)

type point struct{ x, y float64 }

type layout struct {
	*Chart
	column []int  // of each mark
	below  []bool // of each mark: its label is under its line
	gap    float64
	origin float64 // x of column 0
	width  float64
	height float64
}

func (l *layout) at(m int) point {
	return point{l.origin + float64(l.column[m])*l.gap, top + float64(l.Marks[m].Line)*rowGap}
}

func (l *layout) labelWidth(m int) float64 {
	return max(float64(len([]rune(l.Marks[m].Label)))*charW, float64(len([]rune(l.Marks[m].Name)))*nameSize*0.55)
}

// arrange finds a place for everything.
//
// A mark's column is the length of the longest path to it, so a picture is as short
// as it can be and its arrows point to the right. Then clear makes room for arrows.
func arrange(c *Chart) *layout {
	l := &layout{Chart: c, column: make([]int, len(c.Marks)), below: make([]bool, len(c.Marks)), gap: minGap}
	names := 0
	for _, line := range c.Lines {
		names = max(names, len([]rune(line.Name)))
	}
	l.origin = left + float64(names)*10 + 62
	for m := range c.Marks {
		l.gap = max(l.gap, l.labelWidth(m)+20)
	}

	bond := map[int]int{}
	for _, b := range c.Bonds {
		bond[b.A], bond[b.B] = b.B, b.A
	}
	into := map[int]int{}
	for i, a := range c.Arrows {
		if a.To >= 0 {
			into[a.To] = i
		}
	}
	l.place(bond, into, make([]int, len(c.Marks)))
	l.sides()
	if len(c.Marks) <= crowd {
		l.clear(bond, into)
	}

	last := 0
	for _, n := range l.column {
		last = max(last, n)
	}
	title := max(float64(len([]rune(c.Title)))*11.5, float64(len([]rune(c.Subtitle)))*7)
	l.width = max(l.origin+float64(last)*l.gap+l.gap/2+56, title+2*left, 520)
	l.height = top + float64(max(len(c.Lines)-1, 0))*rowGap + 92
	return l
}

const (
	crowd = 400 // of more marks no picture is clear, and to try takes long
	reach = 4   // columns that a mark moves to make room for its arrow
)

// clear moves the end of an arrow or bond that runs through other marks or their labels to
// the column, of the next few, where it disturbs the least; and all that depends on it.
func (l *layout) clear(bond, into map[int]int) {
	least := make([]int, len(l.Marks)) // columns that marks must not be left of
	for m := range l.Marks {           // in order: what moves does not move what came before it
		from := -1
		if a, ok := into[m]; ok {
			from = l.Arrows[a].From
		} else if other, ok := bond[m]; ok && other > m {
			from = other
		}
		if from < 0 {
			continue
		}
		start := l.column[m]
		best, fewest := start, l.hits(from, m)
		if fewest == 0 {
			continue
		}
		for column := start + 1; column <= start+reach && fewest > 0; column++ {
			least[m] = column
			l.place(bond, into, least)
			l.sides()
			if n := l.hits(from, m); n < fewest {
				best, fewest = column, n
			}
		}
		least[m] = best
		l.place(bond, into, least)
		l.sides()
	}
}

// place gives each mark its column.
func (l *layout) place(bond, into map[int]int, least []int) {
	next := make([]int, len(l.Lines)) // the first free column of each line
	want := func(m int) int {
		n := max(next[l.Marks[m].Line], least[m])
		if a, ok := into[m]; ok {
			n = max(n, l.column[l.Arrows[a].From]+1)
		}
		return n
	}
	for m := range l.Marks {
		n := want(m)
		if other, ok := bond[m]; ok {
			if other < m {
				continue // placed with its other half
			}
			n = max(n, want(other))
			l.column[other] = n
			next[l.Marks[other].Line] = n + 1
		}
		l.column[m] = n
		next[l.Marks[m].Line] = n + 1
	}
}

// sides puts each label on the side where no arrow touches its mark, or, where that is
// free, on the side where fewer arrows pass.
func (l *layout) sides() {
	up, down := make([]bool, len(l.Marks)), make([]bool, len(l.Marks))
	touch := func(m, other int) {
		if l.Marks[other].Line < l.Marks[m].Line {
			up[m] = true
		} else {
			down[m] = true
		}
	}
	for _, a := range l.Arrows {
		if a.To >= 0 {
			touch(a.From, a.To)
			touch(a.To, a.From)
		} else {
			down[a.From] = true
		}
	}
	for _, b := range l.Bonds {
		touch(b.A, b.B)
		touch(b.B, b.A)
	}
	for m := range l.Marks {
		if up[m] != down[m] {
			l.below[m] = up[m]
			continue
		}
		l.below[m] = false
		above := l.passing(m)
		l.below[m] = true
		l.below[m] = l.passing(m) < above
	}
}

// passing is how much arrows and bonds disturb m.
func (l *layout) passing(m int) int {
	n := 0
	for _, a := range l.Arrows {
		if a.To >= 0 && a.From != m && a.To != m {
			n += l.through(l.at(a.From), l.at(a.To), m)
		}
	}
	for _, b := range l.Bonds {
		if b.A != m && b.B != m {
			n += l.through(l.at(b.A), l.at(b.B), m)
		}
	}
	return n
}

// hits is how much a line between two marks disturbs others.
func (l *layout) hits(from, to int) int {
	p, q := l.at(from), l.at(to)
	n := 0
	for m := range l.Marks {
		if m != from && m != to {
			n += l.through(p, q, m)
		}
	}
	return n
}

// through is how much the line from p to q disturbs m: 0 if it keeps clear of it, 1 if it
// runs through the label, and more if through the dot, as if it had to do with the event.
func (l *layout) through(p, q point, m int) int {
	c := l.at(m)
	half := l.labelWidth(m)/2 + 2
	low, high := c.y-44, c.y-radius
	if l.below[m] {
		low, high = c.y+radius, c.y+44
	}
	switch {
	case crosses(p, q, c.x-12, c.y-12, c.x+12, c.y+12):
		return 4
	case crosses(p, q, c.x-half, low, c.x+half, high):
		return 1
	}
	return 0
}

// crosses tells whether the line from p to q has a point in the rectangle.
func crosses(p, q point, x0, y0, x1, y1 float64) bool {
	// Cut the line down to what lies between each two parallel edges.
	t0, t1 := 0.0, 1.0
	cut := func(from, d, low, high float64) bool {
		if d == 0 {
			return from >= low && from <= high
		}
		a, b := (low-from)/d, (high-from)/d
		t0, t1 = max(t0, min(a, b)), min(t1, max(a, b))
		return t0 <= t1
	}
	return cut(p.x, q.x-p.x, x0, x1) && cut(p.y, q.y-p.y, y0, y1)
}

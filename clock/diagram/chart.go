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
// as it can be and its arrows point to the right. Where an arrow would run through another
// mark or its label, its end moves a column further, and all that depends on it.
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
	least := make([]int, len(c.Marks))
	tries := make([]int, len(c.Arrows)+len(c.Bonds))
	for {
		l.place(bond, into, least)
		l.sides()
		moved := false
		for i, a := range c.Arrows {
			if a.To >= 0 && tries[i] < 4 && len(c.Marks) <= 400 && l.hits(a.From, a.To) {
				tries[i]++
				least[a.To] = l.column[a.To] + 1
				moved = true
				break // all has changed
			}
		}
		for i, b := range c.Bonds {
			if j := len(c.Arrows) + i; !moved && tries[j] < 4 && len(c.Marks) <= 400 && l.hits(b.A, b.B) {
				tries[j]++
				least[b.A] = l.column[b.A] + 1
				moved = true
			}
		}
		if !moved {
			break
		}
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

// passing is the number of arrows through m's label.
func (l *layout) passing(m int) int {
	n := 0
	for _, a := range l.Arrows {
		if a.To >= 0 && a.From != m && a.To != m && l.through(l.at(a.From), l.at(a.To), m) {
			n++
		}
	}
	for _, b := range l.Bonds {
		if b.A != m && b.B != m && l.through(l.at(b.A), l.at(b.B), m) {
			n++
		}
	}
	return n
}

// hits tells whether a line between two marks runs through another one or its label.
func (l *layout) hits(from, to int) bool {
	p, q := l.at(from), l.at(to)
	for m := range l.Marks {
		if m != from && m != to && l.through(p, q, m) {
			return true
		}
	}
	return false
}

// through tells whether the line from p to q runs through m's dot or its label.
func (l *layout) through(p, q point, m int) bool {
	c := l.at(m)
	half := l.labelWidth(m)/2 + 2
	if l.below[m] {
		return crosses(p, q, c.x-half, c.y+radius, c.x+half, c.y+44) || crosses(p, q, c.x-12, c.y-12, c.x+12, c.y+12)
	}
	return crosses(p, q, c.x-half, c.y-44, c.x+half, c.y-radius) || crosses(p, q, c.x-12, c.y-12, c.x+12, c.y+12)
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

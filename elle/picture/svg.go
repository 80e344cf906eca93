package picture

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"rebase/elle/graph"
	"rebase/elle/history"
)

// Sizes, in pixels.
const (
	left    = 56.0  // margin, in which the way back of whole transactions runs
	top     = 104.0 // of the first row
	head    = 178.0 // width of a row's name
	height  = 42.0  // of a row
	gap     = 62.0  // between rows
	pad     = 10.0  // on both sides of a cell's text
	between = 8.0   // cells
	char    = 7.25  // width of a character in cells
	back    = 26.0  // how far outside of the rows the last arrow runs
)

// colours of relations, readable on white and apart for those who see few colours.
var colours = map[graph.Rel]string{
	graph.WW: "#b4430b", graph.WR: "#0b5c99", graph.RW: "#8c2f7d", graph.Process: "#5b6673", graph.Realtime: "#0a7a57",
}

// borders of transactions.
var borders = map[history.Type]string{history.OK: "#8a95a1", history.Info: "#b07d00", history.Fail: "#a3263c"}

// Everything is below .cycle, so that a page can hold the drawing as it is.
const style = `.cycle text{font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;fill:#1b2430}
.cycle .title{font-size:20px;font-weight:600}
.cycle .sub,.cycle .about{font-size:12px;fill:#5b6673}
.cycle .name{font-size:16px;font-weight:600}
.cycle .cell,.cycle .label{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace;font-size:12px}
.cycle .label{font-weight:600}
.cycle .row rect{fill:#fff;stroke-width:1.2}
.cycle .row .hit{stroke-width:2.2;fill:#f3f6f9}
.cycle .arrow{fill:none;stroke-width:1.8}
.cycle .paper{fill:#fff}`

// layout is where things are.
type layout struct {
	p             *Picture
	width, height float64
	cells         [][]float64 // where cells begin
}

func cellWidth(c Cell) float64 { return 2*pad + char*float64(utf8.RuneCountInString(c.Short)) }

func arrange(p *Picture) *layout {
	l := &layout{p: p}
	for _, r := range p.Rows {
		x := left + head + between
		var at []float64
		for _, c := range r.Cells {
			at = append(at, x)
			x += cellWidth(c) + between
		}
		l.cells = append(l.cells, at)
		l.width = max(l.width, x)
	}
	last := p.Arrows[len(p.Arrows)-1]
	l.width = max(l.width+back+24, left+char*float64(utf8.RuneCountInString(p.Subtitle)), left+head+260,
		left+head+between+char*float64(utf8.RuneCountInString(last.Label))+3*back)
	l.height = l.row(len(p.Rows)-1) + height + back + 34
	return l
}

func (l *layout) row(i int) float64 { return top + float64(i)*(height+gap) }

// middle is the middle of a cell, or of the name of a row.
func (l *layout) middle(row, cell int) float64 {
	if cell < 0 {
		return left + head/2
	}
	return l.cells[row][cell] + cellWidth(l.p.Rows[row].Cells[cell])/2
}

// SVG is the drawing, a file of its own.
func (p *Picture) SVG() []byte {
	l := arrange(p)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="img" class="cycle">`+"\n", px(l.width), px(l.height))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>\n%s\n</style>\n", escape(p.Title+": "+p.Subtitle), style)
	fmt.Fprintf(&b, `<rect class="paper" width="%s" height="%s" rx="10"/>`+"\n", px(l.width), px(l.height))
	fmt.Fprintf(&b, `<text class="title" x="%s" y="34">%s</text>`+"\n", px(left), escape(p.Title))
	fmt.Fprintf(&b, `<text class="sub" x="%s" y="54">%s</text>`+"\n", px(left), escape(p.Subtitle))
	for i := range p.Rows {
		l.drawRow(&b, i)
	}
	for i, a := range p.Arrows {
		if i+1 < len(p.Arrows) {
			l.down(&b, i, a)
		} else {
			l.up(&b, i, a)
		}
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

func (l *layout) drawRow(b *strings.Builder, i int) {
	r, y := &l.p.Rows[i], l.row(i)
	dash := ""
	if r.Type != history.OK {
		dash = ` stroke-dasharray="5 3"`
	}
	fmt.Fprintf(b, `<g class="row" stroke="%s"%s>`+"\n", borders[r.Type], dash)
	fmt.Fprintf(b, `<rect x="%s" y="%s" width="%s" height="%s" rx="6"/>`, px(left), px(y), px(head), px(height))
	fmt.Fprintf(b, `<text class="name" stroke="none" x="%s" y="%s">%s</text>`, px(left+pad), px(y+18), escape(r.Name))
	fmt.Fprintf(b, `<text class="about" stroke="none" x="%s" y="%s">%s</text>`+"\n", px(left+pad), px(y+34), escape(r.About))
	for n, c := range r.Cells {
		class := ""
		if r.marked[n] {
			class = ` class="hit"`
		}
		x := l.cells[i][n]
		fmt.Fprintf(b, `<g><title>%s</title><rect%s x="%s" y="%s" width="%s" height="%s" rx="4"/><text class="cell" stroke="none" x="%s" y="%s">%s</text></g>`+"\n",
			escape(c.Full), class, px(x), px(y+5), px(cellWidth(c)), px(height-10), px(x+pad), px(y+height/2+4), escape(c.Short))
	}
	b.WriteString("</g>\n")
}

// edge is where an arrow may begin or end: cells are a little lower than names.
func edge(cell int) float64 {
	if cell < 0 {
		return 0
	}
	return 5
}

// down draws an arrow to the next row.
func (l *layout) down(b *strings.Builder, i int, a Arrow) {
	x0, y0 := l.middle(i, a.From), l.row(i)+height-edge(a.From)
	x1, y1 := l.middle(i+1, a.To), l.row(i+1)+edge(a.To)-9
	path := fmt.Sprintf("M%s %sC%[1]s %[3]s %[4]s %[5]s %[4]s %[6]s", px(x0), px(y0), px(y0+gap/2), px(x1), px(y1-gap/2), px(y1))
	l.draw(b, a, path, x1, y1, (x0+x1)/2, (y0+y1)/2+4, "middle")
}

// up draws the arrow from the last row to the first, around the others: to the right of
// them, or to the left if it is about whole transactions.
func (l *layout) up(b *strings.Builder, i int, a Arrow) {
	x0, y0 := l.middle(i, a.From), l.row(i)+height-edge(a.From)
	x1, y1 := l.middle(0, a.To), l.row(0)+edge(a.To)-9
	side, r := l.width-back, 8.0
	bottom, above := l.row(i)+height+back, top-back
	if a.From < 0 {
		side, r = back, -8
	}
	path := fmt.Sprintf("M%s %sV%sq0 8 %s 8H%sq%s 0 %[6]s -8V%sq0 -8 %s -8H%s", px(x0), px(y0), px(bottom-8), px(r), px(side-r), px(r), px(above+8), px(-r), px(x1+r))
	path += fmt.Sprintf("q%s 0 %[1]s 8V%s", px(-r), px(y1))
	x, anchor := side-18, "end"
	if r < 0 {
		x, anchor = side+18, "start"
	}
	l.draw(b, a, path, x1, y1, x, bottom+18, anchor)
}

func (l *layout) draw(b *strings.Builder, a Arrow, path string, x, y, tx, ty float64, anchor string) {
	colour := colours[a.Rel]
	dash := ""
	if a.Rel&graph.Data == 0 {
		dash = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(b, `<g><title>%s</title><path class="arrow" stroke="%s"%s d="%s"/><path fill="%[2]s" d="M%[5]s %[6]sl-4.5 -10h9z"/>`,
		escape(a.Because), colour, dash, path, px(x), px(y+9))
	// The line stops behind the label.
	width := char * float64(utf8.RuneCountInString(a.Label))
	x0 := tx
	switch anchor {
	case "middle":
		x0 -= width / 2
	case "end":
		x0 -= width
	}
	fmt.Fprintf(b, `<rect class="paper" x="%s" y="%s" width="%s" height="17"/>`, px(x0-4), px(ty-12), px(width+8))
	fmt.Fprintf(b, `<text class="label" style="fill:%s" text-anchor="%s" x="%s" y="%s">%s</text></g>`+"\n", colour, anchor, px(tx), px(ty), escape(a.Label))
}

// px is a number with one decimal at most.
func px(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// escape makes text safe in XML. Characters that XML cannot hold become U+FFFD.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r', r == 0xfffe, r == 0xffff:
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

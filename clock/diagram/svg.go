package diagram

import (
	"fmt"
	"math"
	"strings"
)

// Colours of lines, readable on white and apart for those who see few colours.
var colours = []string{"#0b5c99", "#b4430b", "#0a7a57", "#8c2f7d", "#7a5a00", "#3f4fb0", "#a3263c", "#33666b"}

func (l *layout) colour(line int) string { return colours[line%len(colours)] }

const style = `text{font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;fill:#1b2430}
.title{font-size:20px;font-weight:600}
.sub{font-size:13px;fill:#5b6673}
.proc{font-size:16px;font-weight:600}
.name{font-size:15px;font-style:italic;font-weight:600;text-anchor:middle}
.stamp{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace;font-size:12px;text-anchor:middle;fill:#3d4855}
.name,.stamp{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}
.life{stroke-width:1.6;stroke-opacity:.55}
.msg{stroke-width:1.7;fill:none}
.mark:hover .dot{stroke-width:3;stroke:#1b2430}`

// SVG is the drawing, a file of its own.
func (c *Chart) SVG() []byte {
	l := arrange(c)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="img" aria-labelledby="t">`+"\n", px(l.width), px(l.height))
	fmt.Fprintf(&b, "<title id=\"t\">%s</title>\n<style>\n%s\n</style>\n", escape(strings.TrimSuffix(c.Title+" ("+c.Subtitle+")", " ()")), style)
	fmt.Fprintf(&b, `<rect width="%s" height="%s" rx="10" fill="#fff"/>`+"\n", px(l.width), px(l.height))
	fmt.Fprintf(&b, `<text class="title" x="%s" y="34">%s</text>`+"\n", px(left), escape(c.Title))
	if c.Subtitle != "" {
		fmt.Fprintf(&b, `<text class="sub" x="%s" y="54">%s</text>`+"\n", px(left), escape(c.Subtitle))
	}
	for i := range c.Lines {
		l.life(&b, i)
	}
	for _, bond := range c.Bonds {
		l.bond(&b, bond)
	}
	for _, a := range c.Arrows {
		l.arrow(&b, a)
	}
	for m := range c.Marks { // on top, so that nothing runs through text
		l.mark(&b, m)
	}
	y := l.height - 26
	fmt.Fprintf(&b, `<g stroke="#8a95a1" fill="none"><path d="M%s %sH%s"/>%s</g>`+"\n", px(l.width-118), px(y), px(l.width-36),
		head(point{l.width - 118, y}, point{l.width - 30, y}, 7, "#8a95a1"))
	fmt.Fprintf(&b, `<text class="sub" x="%s" y="%s" text-anchor="end">time</text>`+"\n", px(l.width-126), px(y+4))
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// life is the line of a process, and its name.
func (l *layout) life(b *strings.Builder, i int) {
	line, colour := l.Lines[i], l.colour(i)
	y := top + float64(i)*rowGap
	from, to := l.origin-42, l.width-30
	if line.Begin >= 0 {
		from = l.at(line.Begin).x
	}
	if line.End >= 0 {
		to = l.at(line.End).x
	}
	fmt.Fprintf(b, `<text class="proc" x="%s" y="%s" text-anchor="end" style="fill:%s">%s</text>`+"\n", px(l.nameX(from)), px(y+5.5), colour, escape(line.Name))
	fmt.Fprintf(b, `<path class="life" d="M%s %sH%s" stroke="%s"/>`+"\n", px(from), px(y), px(to), colour)
	if line.End >= 0 { // cut off
		fmt.Fprintf(b, `<path d="M%s %sv14" stroke="%s" stroke-width="2.4" stroke-linecap="round"/>`+"\n", px(to+11), px(y-7), colour)
		fmt.Fprintf(b, `<path class="life" d="M%s %sh11" stroke="%s"/>`+"\n", px(to), px(y), colour)
	}
}

// nameX is where a line's name ends: near where the line begins.
func (l *layout) nameX(from float64) float64 { return from - 14 }

// trim takes the dots off both ends of a line between two marks.
func trim(p, q point, a, b float64) (point, point) {
	d := math.Hypot(q.x-p.x, q.y-p.y)
	ux, uy := (q.x-p.x)/d, (q.y-p.y)/d
	return point{p.x + ux*a, p.y + uy*a}, point{q.x - ux*b, q.y - uy*b}
}

func (l *layout) arrow(b *strings.Builder, a Arrow) {
	p := l.at(a.From)
	colour := l.colour(l.Marks[a.From].Line)
	if a.To < 0 { // it gets lost on its way
		q := point{p.x + l.gap*0.42, p.y + rowGap*0.42}
		s, _ := trim(p, q, radius+1, 0)
		fmt.Fprintf(b, `<g stroke="%s"><title>%s</title><path class="msg" stroke-dasharray="2 4" d="M%s %sL%s %s"/><path stroke-width="1.7" d="M%s %sl8 8m0 -8l-8 8"/></g>`+"\n",
			colour, escape(a.Note), px(s.x), px(s.y), px(q.x), px(q.y), px(q.x-2), px(q.y-2))
		return
	}
	s, tip := trim(p, l.at(a.To), radius+1, radius+1.5)
	_, end := trim(p, l.at(a.To), radius+1, radius+9)
	dash := ""
	if a.Dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(b, `<g stroke="%s"><title>%s</title><path class="msg"%s d="M%s %sL%s %s"/>%s</g>`+"\n",
		colour, escape(a.Note), dash, px(s.x), px(s.y), px(end.x), px(end.y), head(s, tip, 11, colour))
}

// head is the head of an arrow from p to q.
func head(p, q point, size float64, colour string) string {
	d := math.Hypot(q.x-p.x, q.y-p.y)
	ux, uy := (q.x-p.x)/d, (q.y-p.y)/d
	base := point{q.x - ux*size, q.y - uy*size}
	w := size * 0.38
	return fmt.Sprintf(`<path stroke="none" fill="%s" d="M%s %sL%s %sL%s %sz"/>`, colour,
		px(q.x), px(q.y), px(base.x-uy*w), px(base.y+ux*w), px(base.x+uy*w), px(base.y-ux*w))
}

// bond is a rendezvous: a double line, without direction.
func (l *layout) bond(b *strings.Builder, bond Bond) {
	p, q := l.at(bond.A), l.at(bond.B)
	d := fmt.Sprintf("M%s %sL%s %s", px(p.x), px(p.y), px(q.x), px(q.y))
	fmt.Fprintf(b, `<g fill="none"><path d="%s" stroke="#3d4855" stroke-width="6"/><path d="%[1]s" stroke="#fff" stroke-width="3"/></g>`+"\n", d)
}

func (l *layout) mark(b *strings.Builder, m int) {
	p, mark := l.at(m), l.Marks[m]
	name, stamp := p.y-29, p.y-13
	if l.below[m] {
		name, stamp = p.y+24, p.y+40
	}
	fmt.Fprintf(b, `<g class="mark"><title>%s</title><circle class="dot" cx="%s" cy="%s" r="%s" fill="%s" stroke="#fff" stroke-width="1.5"/>`,
		escape(mark.Note), px(p.x), px(p.y), px(radius), l.colour(mark.Line))
	fmt.Fprintf(b, `<text class="name" x="%s" y="%s">%s</text><text class="stamp" x="%[1]s" y="%[4]s">%[5]s</text></g>`+"\n",
		px(p.x), px(name), escape(mark.Name), px(stamp), escape(mark.Label))
}

// px is a number with one decimal at most.
func px(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

// escape makes text safe in XML. Characters that XML cannot hold become U+FFFD.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < 0x20 || r == 0xfffe || r == 0xffff:
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

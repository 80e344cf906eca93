package picture

import (
	"fmt"
	"strings"

	"rebase/elle/graph"
)

// DOT is the cycle in the language of Graphviz: a record for each transaction with a port
// for each micro-operation.
func (p *Picture) DOT() []byte {
	var b strings.Builder
	b.WriteString("digraph cycle {\n")
	fmt.Fprintf(&b, "  label=%s; labelloc=t; fontname=Helvetica\n", quote(p.Title+": "+p.Subtitle))
	b.WriteString("  node [shape=record, fontname=Helvetica, fontsize=11]\n  edge [fontname=Helvetica, fontsize=10]\n")
	for i, r := range p.Rows {
		fields := []string{"<name> " + record(r.Name) + "\\n" + record(r.About)}
		for n, c := range r.Cells {
			fields = append(fields, fmt.Sprintf("<m%d> %s", n, record(c.Short)))
		}
		fmt.Fprintf(&b, "  n%d [label=\"%s\", color=\"%s\"]\n", i, strings.Join(fields, "|"), borders[r.Type])
	}
	for i, a := range p.Arrows {
		style := ""
		if a.Rel&graph.Data == 0 {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  n%d:%s -> n%d:%s [label=%s, tooltip=%s, color=\"%s\", fontcolor=\"%[7]s\"%[8]s]\n",
			i, port(a.From), (i+1)%len(p.Rows), port(a.To), quote(a.Label), quote(a.Because), colours[a.Rel], style)
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

func port(cell int) string {
	if cell < 0 {
		return "name"
	}
	return fmt.Sprintf("m%d", cell)
}

// quote writes a string of DOT.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
}

// record escapes what records give a meaning to.
func record(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "|", `\|`, "{", `\{`, "}", `\}`, "<", `\<`, ">", `\>`, " ", `\ `).Replace(s)
}

package rules

// A Rule is one rule of a document.
type Rule struct {
	Kind         string // ".read", ".write" or ".validate"
	Place        string // where it stands, as "/users/$uid"
	Line, Column int    // of the expression
	Text         string // the expression
}

// All returns every rule, each node's before those of its children, which come in
// the document's order, a wildcard last.
func (r *Rules) All() (list []Rule) {
	if r != nil {
		r.root.each(func(r *rule) { list = append(list, Rule{r.kind, r.place, r.line, r.column, r.text}) })
	}
	return list
}

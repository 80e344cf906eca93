package rules

import (
	"bytes"
	"slices"
	"strings"

	"rebase/query"
	"rebase/tree"
)

// Rules are a database's rules, ready to be asked.
type Rules struct {
	root    *node
	indexes []IndexDef
	strict  []byte
}

// node is a location of the rules tree, or all locations that a wildcard
// stands for.
type node struct {
	children map[string]*node
	keys     []string // of children, in the document's order
	wild     *node
	indexes  []query.Index
	below    bool // something is indexed here or below

	key          string // as the document has it, a wildcard with its name
	line, column int    // of the key

	read, write, validate *rule
	validates             bool // there is a .validate here or below
}

// rule is a .read, .write or .validate.
type rule struct {
	kind         string
	place        string // of its node, as "/users/$uid"
	line, column int
	text         string // of the expression
	root         *expr
}

// Wildcard stands in a pattern for a "$name" of the rules: any one key.
const Wildcard = "$"

// IndexDef is one declared index.
type IndexDef struct {
	Pattern []string // keys from the root, or Wildcard, of the node whose children are indexed
	Index   query.Index
}

// Parse reads a rules document. The error is an *[Error].
func Parse(text []byte) (*Rules, error) {
	p := &parser{data: text}
	doc, err := p.document()
	if err != nil {
		return nil, err
	}
	if doc.kind != '{' || len(doc.members) != 1 || doc.members[0].key != "rules" {
		at := doc.offset
		for _, m := range doc.members {
			if m.key != "rules" {
				at = m.offset
				break
			}
		}
		return nil, p.errorAt(at, `Expected an object with exactly one key, "rules"`)
	}
	c := compiler{parser: p, rules: &Rules{}}
	root, err := c.node(&doc.members[0].value)
	if err != nil {
		return nil, err
	}
	c.rules.root = root
	c.rules.strict = append(appendStrict(nil, &doc, 0), '\n')
	return c.rules, nil
}

// Strict returns the document as JSON without comments, members in their
// order, as a new slice.
func (r *Rules) Strict() []byte {
	if r == nil {
		return []byte("{\n  \"rules\": {}\n}\n")
	}
	return bytes.Clone(r.strict)
}

// Indexes returns every declared index once, in the document's order. By
// ".key" and ".priority" everything is ordered anyway, so those are not among
// them.
func (r *Rules) Indexes() []IndexDef {
	if r == nil {
		return nil
	}
	return slices.Clone(r.indexes)
}

// IndexesAt returns the indexes over the children of the node at p. The slice
// must not be modified.
func (r *Rules) IndexesAt(p tree.Path) []query.Index {
	if n := r.at(p); n != nil {
		return n.indexes
	}
	return nil
}

// HasIndexUnder reports whether an index is declared for p or for anything
// below it.
func (r *Rules) HasIndexUnder(p tree.Path) bool {
	n := r.at(p)
	return n != nil && n.below
}

func (r *Rules) at(p tree.Path) *node {
	if r == nil {
		return nil
	}
	n := r.root
	for n != nil && !p.IsRoot() {
		var key string
		key, p = p.Front()
		n = n.child(key)
	}
	return n
}

// child is the node for a key: that of the key itself, else the wildcard's.
func (n *node) child(key string) *node {
	if child, ok := n.children[key]; ok {
		return child
	}
	return n.wild
}

// compiler makes nodes of the parsed document.
type compiler struct {
	*parser
	rules     *Rules
	pattern   []string
	place     []string // the keys of the path, wildcards with their names
	names     []string // the wildcards of the path
	regexSize int      // of all regular expressions together
}

// maxRegexes bounds what all regular expressions of a document hold in memory.
const maxRegexes = 10 * maxRegexSize

func (c *compiler) node(v *value) (*node, error) {
	if v.kind != '{' {
		return nil, c.errorAt(v.offset, "Expected '{'")
	}
	n := &node{}
	for i := range v.members {
		m := &v.members[i]
		var err error
		switch {
		case m.key == ".indexOn":
			err = c.indexOn(n, &m.value)
		case m.key == ".read" || m.key == ".write" || m.key == ".validate":
			err = c.rule(n, m)
		case strings.HasPrefix(m.key, "."):
			err = c.errorAt(m.offset, "Unknown rule %s; the rules are .read, .write, .validate and .indexOn", quote(m.key))
		case strings.HasPrefix(m.key, "$"):
			err = c.wildcard(n, m)
		default:
			err = c.child(n, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (c *compiler) rule(n *node, m *member) error {
	v := &m.value
	r := &rule{kind: m.key, place: "/" + strings.Join(c.place, "/"), text: v.text}
	switch v.kind {
	case 't', 'f':
		r.root = &expr{op: opLiteral, typ: tBool, to: int32(len(v.text)), val: boolVal(v.kind == 't')}
	case '"':
		root, err := parseExpr(v.text)
		if err == nil {
			check := checker{wildcard: c.component, write: m.key != ".read"}
			err = check.rule(root)
		}
		if err == nil {
			err = c.countRegexes(root)
		}
		if err != nil {
			at := v.offset
			if e, ok := err.(*exprError); ok {
				at = c.inString(v.offset, e.at)
			}
			return c.errorAt(at, "%s", err.Error())
		}
		r.root = root
	default:
		return c.errorAt(v.offset, "Expected a string or a boolean as the value of %s", quote(m.key))
	}
	at := c.placeOf(v.offset)
	r.line, r.column = at.line, at.column
	switch m.key {
	case ".read":
		n.read = r
	case ".write":
		n.write = r
	case ".validate":
		n.validate = r
		n.validates = true
	}
	return nil
}

// component tells which key of the path a wildcard stands for.
func (c *compiler) component(name string) (int, bool) {
	i := slices.Index(c.place, name)
	return i, i >= 0
}

func (c *compiler) countRegexes(e *expr) error {
	if e.re != nil {
		if c.regexSize += e.re.size; c.regexSize > maxRegexes {
			return failAt(int(e.from), "The regular expressions of these rules are too large together")
		}
	}
	for _, a := range e.args {
		if err := c.countRegexes(a); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) child(n *node, m *member) error {
	if err := tree.CheckKey(m.key); err != nil {
		return c.errorAt(m.offset, "Invalid key %s: keys are 1 to %d bytes without control characters and . $ # [ ] /", quote(m.key), tree.MaxKeyBytes)
	}
	child, err := c.descend(m, m.key)
	if err != nil {
		return err
	}
	if n.children == nil {
		n.children = make(map[string]*node)
	}
	n.children[m.key] = child
	n.keys = append(n.keys, m.key)
	n.below = n.below || child.below
	n.validates = n.validates || child.validates
	return nil
}

func (c *compiler) wildcard(n *node, m *member) error {
	switch {
	case !isName(m.key[1:]):
		return c.errorAt(m.offset, "Invalid wildcard %s: it is $ and a name of letters, digits and _", quote(m.key))
	case n.wild != nil:
		return c.errorAt(m.offset, "Only one wildcard may stand beside others: %s is the second", quote(m.key))
	case slices.Contains(c.names, m.key):
		return c.errorAt(m.offset, "The wildcard %s is already used above", quote(m.key))
	}
	c.names = append(c.names, m.key)
	child, err := c.descend(m, Wildcard)
	if err != nil {
		return err
	}
	c.names = c.names[:len(c.names)-1]
	n.wild = child
	n.below = n.below || child.below
	n.validates = n.validates || child.validates
	return nil
}

func (c *compiler) descend(m *member, key string) (*node, error) {
	at := c.placeOf(m.offset)
	c.pattern = append(c.pattern, key)
	c.place = append(c.place, m.key)
	child, err := c.node(&m.value)
	if err == nil {
		child.key, child.line, child.column = m.key, at.line, at.column
	}
	c.pattern = c.pattern[:len(c.pattern)-1]
	c.place = c.place[:len(c.place)-1]
	return child, err
}

func isName(s string) bool {
	for _, r := range s {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return s != ""
}

func (c *compiler) indexOn(n *node, v *value) error {
	items := v.items
	switch v.kind {
	case '"':
		items = []value{*v}
	case '[':
	default:
		return c.errorAt(v.offset, "Expected a string or an array of strings as the value of .indexOn")
	}
	for i := range items {
		if items[i].kind != '"' {
			return c.errorAt(items[i].offset, "Expected a string in .indexOn")
		}
		ix, err := query.ParseIndex(items[i].text)
		if err != nil {
			return c.errorAt(items[i].offset, "Invalid index %s: it is .value or the path of a child", quote(items[i].text))
		}
		if ix.Kind == query.ByKey || ix.Kind == query.ByPriority || slices.Contains(n.indexes, ix) {
			continue
		}
		n.indexes = append(n.indexes, ix)
		n.below = true
		c.rules.indexes = append(c.rules.indexes, IndexDef{Pattern: slices.Clone(c.pattern), Index: ix})
	}
	return nil
}

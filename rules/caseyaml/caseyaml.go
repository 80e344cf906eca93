// Package caseyaml reads YAML as the JSON that it stands for, with the line of
// everything, for package ruletest.
//
// Keys are texts, whatever they look like; numbers, booleans and null are JSON's; dates
// stay texts. Anchors and merge keys (<<) work, up to a million values. What JSON cannot say
// (infinity, binary data, tags of one's own) is refused.
package caseyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"rebase/rules/ruletest"
	"rebase/tree"
)

const (
	// maxValues bounds what anchors can make of a short text.
	maxValues = 1_000_000
	// maxDepth bounds the recursion, as for JSON.
	maxDepth = 256
)

// Parse reads one document. The error is a *[ruletest.Error].
func Parse(text []byte) (*ruletest.Value, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &ruletest.Error{Line: 1, Column: 1, Msg: "there is nothing in it"}
	case err != nil:
		return nil, syntax(err)
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return nil, &ruletest.Error{Line: second.Line, Column: max(1, second.Column), Msg: "expected one document, but here is a second"}
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	var r reader
	return r.value(doc.Content[0], 0)
}

var inLine = regexp.MustCompile(`^yaml: line (\d+): (?s)(.*)$`)

// syntax finds the line in the library's message, the only place where it is.
func syntax(err error) error {
	e := &ruletest.Error{Line: 1, Column: 1, Msg: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := inLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Msg = m[2]
	}
	return e
}

type reader struct{ values int }

func errAt(n *yaml.Node, format string, args ...any) error {
	return &ruletest.Error{Line: n.Line, Column: n.Column, Msg: fmt.Sprintf(format, args...)}
}

func (r *reader) value(n *yaml.Node, depth int) (*ruletest.Value, error) {
	if r.values++; r.values > maxValues {
		return nil, errAt(n, "more than %d values: what do the anchors refer to?", maxValues)
	}
	if depth > maxDepth {
		return nil, errAt(n, "nested more than %d deep", maxDepth)
	}
	v := &ruletest.Value{Line: n.Line, Column: n.Column}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		v.Array = true
		for _, item := range n.Content {
			i, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			v.Items = append(v.Items, i)
		}
		return v, nil
	case yaml.MappingNode:
		v.Object = true
		return v, r.members(v, n, depth)
	}
	var err error
	v.JSON, err = leaf(n)
	return v, err
}

func (r *reader) members(v *ruletest.Value, n *yaml.Node, depth int) error {
	at := map[string]int{}
	var merged []ruletest.Member
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		m, err := r.value(value, depth+1)
		if err != nil {
			return err
		}
		if key.ShortTag() == "!!merge" {
			from := []*ruletest.Value{m}
			if m.Array {
				from = m.Items
			}
			for _, f := range from {
				if !f.Object {
					return errAt(value, "only objects can be merged")
				}
				merged = append(merged, f.Members...)
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return errAt(key, "a key must be a text")
		}
		if _, twice := at[key.Value]; twice {
			return errAt(key, "%q is here for the second time", key.Value)
		}
		at[key.Value] = len(v.Members)
		v.Members = append(v.Members, ruletest.Member{Key: key.Value, Line: key.Line, Column: key.Column, Value: m})
	}
	for _, m := range merged { // what is written out goes before what is merged, the first merged before others
		if _, there := at[m.Key]; !there {
			at[m.Key] = len(v.Members)
			v.Members = append(v.Members, m)
		}
	}
	return nil
}

func leaf(n *yaml.Node) ([]byte, error) {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return []byte("null"), nil
	case "!!str", "!!timestamp":
		return tree.AppendJSONString(nil, n.Value), nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, errAt(n, "%v", err)
		}
		return strconv.AppendBool(nil, b), nil
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return strconv.AppendInt(nil, i, 10), nil
		}
		fallthrough
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, errAt(n, "%s is not a number that JSON has", n.Value)
		}
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	default:
		return nil, errAt(n, "there is no %s here", tag)
	}
}

package query

import "rebase/tree"

// IndexKind says what children are ordered by.
type IndexKind uint8

const (
	ByPriority IndexKind = iota // the child's priority; the default of the protocol
	ByKey                       // the child's key
	ByValue                     // the child itself
	ByChild                     // the node at a path below the child
)

// An Index is what a query orders the children of its location by. The zero
// value is by priority. Indexes are comparable with ==.
type Index struct {
	Kind IndexKind
	Path tree.Path // for ByChild: relative to the child, never the root
}

// Names of the special indexes, on the wire and in rules.
const (
	priorityName = ".priority"
	keyName      = ".key"
	valueName    = ".value"
)

// String returns the name the index has on the wire and in ".indexOn":
// ".priority", ".key", ".value" or the child path.
func (ix Index) String() string {
	switch ix.Kind {
	case ByKey:
		return keyName
	case ByValue:
		return valueName
	case ByChild:
		return string(ix.Path)
	default:
		return priorityName
	}
}

// ParseIndex is the inverse of [Index.String]; slashes around or doubled
// within a child path are dropped. The error is an *[Error] or one of tree's.
func ParseIndex(s string) (Index, error) {
	switch s {
	case priorityName:
		return Index{Kind: ByPriority}, nil
	case keyName:
		return Index{Kind: ByKey}, nil
	case valueName:
		return Index{Kind: ByValue}, nil
	}
	p, err := tree.ParsePath(s)
	if err != nil {
		return Index{}, err
	}
	if p.IsRoot() {
		return Index{}, &Error{Msg: "an index must be .key, .value, .priority or the path of a child"}
	}
	return Index{Kind: ByChild, Path: p}, nil
}

// ValueOf returns what child is ordered by: its priority, itself, or the node
// at the index's path. It is nil for ByKey, and where there is nothing.
func (ix Index) ValueOf(key string, child *tree.Node) *tree.Node {
	switch ix.Kind {
	case ByKey:
		return nil
	case ByValue:
		return child
	case ByChild:
		return child.At(ix.Path)
	default:
		return child.Priority()
	}
}

package tree

import (
	"fmt"
	"strings"
)

// The limits of the Firebase Realtime Database on data.
const (
	MaxKeyBytes    = 768       // of UTF-8 in one key
	MaxDepth       = 32        // of components in the path of a leaf
	MaxStringBytes = 10 << 20  // of UTF-8 in one string value
	MaxWriteSDK    = 16 << 20  // of JSON in one write over a socket
	MaxWriteREST   = 256 << 20 // of JSON in one write over REST
	MaxPathBytes   = 768       // of a whole path, by the SDKs; a server only limits each key
)

// A LimitError says that data is larger or deeper than a limit allows.
type LimitError struct {
	Limit string // what is limited: "key bytes", "depth", "string bytes"
	Path  Path   // where, as far as it is known
	Got   int    // what was found, where it is known; at least Max+1
	Max   int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s at %s: %d exceeds the maximum of %d", e.Limit, printPath(e.Path), e.Got, e.Max)
}

// A KeyError says that a key is not allowed.
type KeyError struct {
	Key    string
	Reason string
	Path   Path // of the node that was to have the key, if known
	// Line and Column are where the key begins in the JSON text, from 1; 0 if it does not come from a JSON text.
	Line, Column int
}

func (e *KeyError) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf(" at %d:%d", e.Line, e.Column)
	}
	return fmt.Sprintf("invalid key %s%s: %s", quoteShort(e.Key), where, e.Reason)
}

// A ValueError says that a value cannot be stored.
type ValueError struct {
	Path   Path // of the value, relative to the text's root
	Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("invalid value at %s: %s", printPath(e.Path), e.Reason)
}

func printPath(p Path) string { return quoteShort("/" + string(p)) }

// quoteShort keeps messages readable whatever was sent.
func quoteShort(s string) string {
	const limit = 200
	if len(s) > limit {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:limit], ""))
	}
	return fmt.Sprintf("%q", s)
}

// CheckDepth returns a *LimitError if n placed at p would have a leaf deeper than MaxDepth.
func CheckDepth(p Path, n *Node) error {
	if n == nil {
		return nil
	}
	if d := p.Depth() + n.Depth(); d > MaxDepth {
		return &LimitError{Limit: "depth", Path: p, Got: d, Max: MaxDepth}
	}
	return nil
}

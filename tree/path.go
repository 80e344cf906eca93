package tree

import (
	"strings"
	"unicode/utf8"
)

// A Path names a node. It is in canonical form: keys joined by single slashes, none at either end; "" is the root. A Path
// from ParsePath has valid keys only.
type Path string

// PriorityKey is the last component of a path that means a node's priority. It is not a key.
const PriorityKey = ".priority"

// keyBad has true for the bytes that no key may contain.
var keyBad = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	for _, c := range []byte{'.', '$', '#', '[', ']', '/', 0x7F} {
		t[c] = true
	}
	return t
}()

// CheckKey returns a *KeyError or *LimitError unless key can be the key of a child: 1 to MaxKeyBytes bytes of UTF-8, without
// control characters and without . $ # [ ] /
func CheckKey(key string) error {
	if len(key)-1 >= MaxKeyBytes || len(key) == 0 {
		if key == "" {
			return &KeyError{Reason: "it is empty"}
		}
		return &LimitError{Limit: "key bytes", Path: Path(key), Got: len(key), Max: MaxKeyBytes}
	}
	var seen byte
	for i := range len(key) {
		c := key[i]
		if keyBad[c] {
			if c < 0x20 || c == 0x7F {
				return &KeyError{Key: key, Reason: "it contains a control character"}
			}
			return &KeyError{Key: key, Reason: "it contains one of . $ # [ ] /"}
		}
		seen |= c
	}
	if seen >= utf8.RuneSelf && !utf8.ValidString(key) {
		return &KeyError{Key: key, Reason: "it is not valid UTF-8"}
	}
	return nil
}

// ParsePath reads a path as it is written on the wire, in URLs (after unescaping) and in updates: leading, trailing and
// double slashes mean nothing. Errors are *KeyError and *LimitError.
func ParsePath(s string) (Path, error) {
	p := canonical(s)
	if err := checkPath(p); err != nil {
		return "", err
	}
	return p, nil
}

// ParseWritePath is ParsePath for a path that may end in ".priority", which is then cut off and reported.
func ParseWritePath(s string) (p Path, priority bool, err error) {
	p = canonical(s)
	if p.Base() == PriorityKey {
		p, priority = p.Parent(), true
	}
	if err := checkPath(p); err != nil {
		return "", false, err
	}
	return p, priority, nil
}

func canonical(s string) Path {
	s = strings.Trim(s, "/")
	if !strings.Contains(s, "//") {
		return Path(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if s[i] != '/' || s[i-1] != '/' {
			b.WriteByte(s[i])
		}
	}
	return Path(b.String())
}

func checkPath(p Path) error {
	depth := 0
	for rest := p; rest != ""; depth++ {
		var key string
		key, rest = rest.Front()
		if err := CheckKey(key); err != nil {
			return err
		}
	}
	if depth > MaxDepth {
		return &LimitError{Limit: "depth", Path: p, Got: depth, Max: MaxDepth}
	}
	return nil
}

// IsRoot reports whether p is the root.
func (p Path) IsRoot() bool { return p == "" }

// Depth returns the number of components.
func (p Path) Depth() int {
	if p == "" {
		return 0
	}
	return 1 + strings.Count(string(p), "/")
}

// Child returns the path of p's child with that key.
func (p Path) Child(key string) Path {
	if p == "" {
		return Path(key)
	}
	return p + "/" + Path(key)
}

// Join returns q, seen from p, as seen from where p is seen from.
func (p Path) Join(q Path) Path {
	switch {
	case p == "":
		return q
	case q == "":
		return p
	}
	return p + "/" + q
}

// Parent returns the path without its last component; the root is its own parent.
func (p Path) Parent() Path {
	return p[:max(0, strings.LastIndexByte(string(p), '/'))]
}

// Base returns the last component, "" for the root.
func (p Path) Base() string {
	return string(p[1+strings.LastIndexByte(string(p), '/'):])
}

// Front splits off the first component. It does not allocate.
func (p Path) Front() (first string, rest Path) {
	if i := strings.IndexByte(string(p), '/'); i >= 0 {
		return string(p[:i]), p[i+1:]
	}
	return string(p), ""
}

// Contains reports whether q is p or below p.
func (p Path) Contains(q Path) bool {
	return p == "" || strings.HasPrefix(string(q), string(p)) && (len(q) == len(p) || q[len(p)] == '/')
}

// Rel returns p as seen from base, which must contain it.
func (p Path) Rel(base Path) Path {
	if base == "" {
		return p
	}
	return p[min(len(p), len(base)+1):]
}

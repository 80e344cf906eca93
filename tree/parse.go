package tree

import (
	"encoding/binary"
	"strconv"
	"sync"
	"unicode/utf8"

	"rebase/jsonscan"
)

// ParseJSON reads a value in the form in which clients send it and exports have it:
//   - null, {} and [], at any depth, are nothing;
//   - an array is the object with the keys "0", "1", …, without those of its nulls;
//   - a member ".priority" (null, a number, a string or a server value) gives the object's priority, and with a member
//     ".value" the object stands for that leaf; ".value":null is as if it were not there;
//   - {".sv":"timestamp"} and {".sv":{"increment":<number>}} are server values.
//
// Of members with equal keys the last counts. Errors are *jsonscan.SyntaxError, *KeyError, *LimitError and *ValueError.
func ParseJSON(data []byte) (*Node, error) {
	p := parsers.Get().(*parser)
	defer p.put()
	var s jsonscan.Scanner
	s.Reset(data)
	p.s = &s
	n, err := p.value(0)
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, p.failed(err)
	}
	return n, nil
}

// ScanValue is ParseJSON for a value at the position of s; what follows the value is left alone.
func ScanValue(s *jsonscan.Scanner) (*Node, error) {
	p := parsers.Get().(*parser)
	defer p.put()
	p.s = s
	n, err := p.value(0)
	if err != nil {
		return nil, p.failed(err)
	}
	return n, nil
}

var parsers = sync.Pool{New: func() any { return &parser{scratch: make([]byte, 0, 1024)} }}

// A parser builds nodes from what a scanner reads. It is used again and again, for its buffers and its cache of keys.
type parser struct {
	s       *jsonscan.Scanner
	alloc   allocator
	stack   []Child // the children, so far, of the containers that are being read
	scratch []byte  // for strings with escapes
	keys    [keyCacheSize]string
}

// Keys repeat: the records of a collection all have the same. A small cache by length and a few bytes spares most of their
// allocations and checks. It holds checked keys only.
const (
	keyCacheSize = 256
	keyCacheMax  = 32 // bytes of the longest key worth keeping
)

// put keeps p for the next parse, but no node of this one.
func (p *parser) put() {
	p.alloc = allocator{}
	p.s = nil
	parsers.Put(p)
}

// failed drops what an interrupted parse left behind.
func (p *parser) failed(err error) error {
	clear(p.stack)
	p.stack = p.stack[:0]
	return err
}

// value reads one value at that depth.
func (p *parser) value(depth int) (*Node, error) {
	switch p.s.Peek() {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		text, err := p.s.StringBytes(p.scratch)
		if err != nil {
			return nil, err
		}
		if len(text) > MaxStringBytes {
			return nil, &LimitError{Limit: "string bytes", Got: len(text), Max: MaxStringBytes}
		}
		return p.alloc.string(text), nil
	case '0':
		text, err := p.s.Number()
		if err != nil {
			return nil, err
		}
		n := p.alloc.parseNumber(text)
		if n == nil {
			return nil, &ValueError{Reason: "the number is beyond the range of doubles"}
		}
		return n, nil
	case 't', 'f':
		v, err := p.s.Bool()
		if err != nil {
			return nil, err
		}
		return NewBool(v), nil
	}
	return nil, p.s.Null()
}

func (p *parser) array(depth int) (*Node, error) {
	if err := p.s.Enter('['); err != nil {
		return nil, err
	}
	base := len(p.stack)
	for i := 0; ; i++ {
		more, err := p.s.More(i == 0, ']')
		if err != nil {
			return nil, err
		}
		if !more {
			return p.pop(base, true), nil
		}
		key := indexKey(i)
		if depth >= MaxDepth {
			return nil, below(key, tooDeep())
		}
		child, err := p.value(depth + 1)
		if err != nil {
			return nil, below(key, err)
		}
		if child != nil {
			p.stack = append(p.stack, Child{key, child})
		}
	}
}

// pop makes an object of the children from base on.
func (p *parser) pop(base int, sorted bool) *Node {
	gathered := p.stack[base:]
	if len(gathered) == 0 {
		return nil
	}
	children := make([]Child, len(gathered))
	copy(children, gathered)
	clear(gathered)
	p.stack = p.stack[:base]
	if sorted {
		n := p.alloc.node()
		n.setChildren(children)
		return n
	}
	return NewObject(children)
}

func (p *parser) object(depth int) (*Node, error) {
	if err := p.s.Enter('{'); err != nil {
		return nil, err
	}
	var (
		base   = len(p.stack)
		sorted = true
		m      meta
	)
	for first := true; ; first = false {
		more, err := p.s.More(first, '}')
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		p.s.Peek()
		at := p.s.Offset()
		text, err := p.s.StringBytes(p.scratch)
		if err != nil {
			return nil, err
		}
		if len(text) > 0 && text[0] == '.' {
			if err := p.meta(text, at, &m); err != nil {
				return nil, err
			}
			continue
		}
		key, err := p.key(text)
		if err != nil {
			return nil, p.keyError(at, err)
		}
		if err := p.s.Colon(); err != nil {
			return nil, err
		}
		if depth >= MaxDepth {
			return nil, below(key, tooDeep())
		}
		child, err := p.value(depth + 1)
		if err != nil {
			return nil, below(key, err)
		}
		if sorted {
			if child == nil {
				// It matters only if it repeats a key, and then last: NewObject sees to it.
				sorted = false
			} else if len(p.stack) > base && CompareKeys(p.stack[len(p.stack)-1].Key, key) >= 0 {
				sorted = false
			}
		}
		p.stack = append(p.stack, Child{key, child})
	}
	n := p.pop(base, sorted)
	if m.leaf != nil {
		if n != nil {
			return nil, errLeafAndChildren(m.from)
		}
		n = m.leaf
	}
	if m.prio != nil {
		n = n.WithPriority(m.prio)
	}
	return n, nil
}

// meta is what the members of an object that begin with a dot say.
type meta struct {
	leaf *Node
	from string // the member that gave the leaf
	prio *Node
}

func errLeafAndChildren(from string) error {
	return &ValueError{Reason: from + " together with other members"}
}

// meta reads the colon and value of a member whose key, at that offset, begins with a dot.
func (p *parser) meta(key []byte, offset int, m *meta) error {
	var name string
	switch string(key) {
	case ".value":
		name = ".value"
	case ".sv":
		name = ".sv"
	case PriorityKey:
		name = PriorityKey
	default:
		return p.keyError(offset, unknownMeta(key))
	}
	if err := p.s.Colon(); err != nil {
		return err
	}
	return p.metaValue(name, m)
}

func unknownMeta(key []byte) *KeyError {
	return &KeyError{Key: string(key), Reason: "only .value, .priority and .sv begin with a dot"}
}

// metaValue reads the value of a ".value", ".sv" or ".priority" member.
func (p *parser) metaValue(name string, m *meta) error {
	if name == PriorityKey {
		n, err := p.value(MaxDepth - 1) // deep enough for what is needed to say that an object is wrong
		if err == nil {
			err = CheckPriority(n)
		}
		m.prio = n
		return err
	}
	var n *Node
	var err error
	if name == ".sv" {
		n, err = p.serverValue()
	} else if n, err = p.value(MaxDepth - 1); err == nil && n != nil && (n.kind == Object || n.prio != nil) {
		err = &ValueError{Reason: ".value must be a leaf"}
	}
	if err != nil || n == nil {
		return err
	}
	if m.leaf != nil && m.from != name {
		return errLeafAndChildren(name)
	}
	m.leaf, m.from = n, name
	return nil
}

// key returns text as a checked key.
func (p *parser) key(text []byte) (string, error) {
	if len(text) > keyCacheMax || len(text) == 0 {
		key := string(text)
		return key, CheckKey(key)
	}
	slot := &p.keys[keySlot(text)]
	if *slot != string(text) {
		key := string(text)
		if err := CheckKey(key); err != nil {
			return "", err
		}
		*slot = key
	}
	return *slot, nil
}

func keySlot(text []byte) uint32 {
	h := uint32(len(text))
	if len(text) >= 4 {
		h ^= binary.LittleEndian.Uint32(text) * 0x9E3779B1
		h = (h ^ h>>15) + binary.LittleEndian.Uint32(text[len(text)-4:])
	} else {
		for _, c := range text {
			h = h*31 + uint32(c)
		}
	}
	return h * 0x85EBCA6B >> 24 % keyCacheSize
}

// keyError adds to an error about a key where in the text the key is.
func (p *parser) keyError(offset int, err error) error {
	if e, ok := err.(*KeyError); ok {
		e.Line, e.Column = p.s.Position(offset)
	}
	return err
}

// CheckPriority returns a *ValueError unless n can be a priority: nil, or a number, string or server value that has no
// priority of its own.
func CheckPriority(n *Node) error {
	switch n.Kind() {
	case Null:
		return nil
	case Int, Float, String, ServerValue:
		if n.prio == nil {
			return nil
		}
	}
	return &ValueError{Reason: "a priority must be null, a number, a string or a server value"}
}

// serverValue reads the value of a ".sv" member.
func (p *parser) serverValue() (*Node, error) {
	malformed := &ValueError{Reason: `.sv must be "timestamp" or {"increment": <number>}`}
	switch p.s.Peek() {
	case '"':
		text, err := p.s.StringBytes(p.scratch)
		if err != nil {
			return nil, err
		}
		if string(text) == "timestamp" {
			return NewTimestamp(), nil
		}
	case '{':
		var delta *Node
		err := p.s.Object(func(key string) (err error) {
			if key != "increment" || delta != nil || p.s.Peek() != '0' {
				return malformed
			}
			delta, err = p.value(0)
			return err
		})
		if err != nil {
			return nil, err
		}
		if delta != nil {
			return NewIncrement(delta), nil
		}
	default:
		if err := p.s.Skip(); err != nil {
			return nil, err
		}
	}
	return nil, malformed
}

// below says that err was found under key.
func below(key string, err error) error {
	switch e := err.(type) {
	case *ValueError:
		e.Path = Path(key).Join(e.Path)
	case *KeyError:
		e.Path = Path(key).Join(e.Path)
	case *LimitError:
		if e.Limit == "string bytes" || e.Limit == "depth" {
			e.Path = Path(key).Join(e.Path)
		}
	}
	return err
}

func tooDeep() error { return &LimitError{Limit: "depth", Got: MaxDepth + 1, Max: MaxDepth} }

var indexKeys = func() (t [1024]string) {
	for i := range t {
		t[i] = strconv.Itoa(i)
	}
	return t
}()

// indexKey is the key of an array's element.
func indexKey(i int) string {
	if i < len(indexKeys) {
		return indexKeys[i]
	}
	return strconv.Itoa(i)
}

// checkString returns an error unless s may be a string value.
func checkString(s []byte) error {
	if len(s) > MaxStringBytes {
		return &LimitError{Limit: "string bytes", Got: len(s), Max: MaxStringBytes}
	}
	if !utf8.Valid(s) {
		return &ValueError{Reason: "the string is not valid UTF-8"}
	}
	return nil
}

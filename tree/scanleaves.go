package tree

import (
	"io"

	"rebase/jsonscan"
)

// ScanLeaves reads JSON of any size, in the forms that ParseJSON takes, in memory of a few times the largest leaf. It calls f
// for each leaf, with its priority, in the order of the text, and prio for the priority of each object that has a leaf.
//
// Where ".priority" is an object's first member, as in exports, prio is called before f is for what is in the object;
// otherwise after what stands before it in the text. Of keys that repeat in one object, each is reported.
//
// Errors are those of ParseJSON, errors of r, and those of the callbacks, which end the scan.
func ScanLeaves(r io.Reader, f func(p Path, leaf *Node) error, prio func(p Path, prio *Node) error) error {
	p := parsers.Get().(*parser)
	defer p.put()
	p.s = new(jsonscan.Scanner)
	l := leafScanner{in: stream{r: r, buf: make([]byte, 0, 64<<10), line: 1}, p: p, leaf: f, prio: prio}
	err := l.value("", 0)
	if err == nil {
		err = l.in.finish()
	}
	return p.failed(err)
}

// A leafScanner walks the text. What is in braces without being a leaf is read token by token, a leaf as a whole.
type leafScanner struct {
	in     stream
	p      *parser
	leaf   func(p Path, leaf *Node) error
	prio   func(p Path, prio *Node) error
	frames []frame
}

// A frame is an object that is being read.
type frame struct {
	path Path
	meta meta
	any  bool // a leaf of it was reported
}

// value reads the value at p, whose depth is given.
func (l *leafScanner) value(p Path, depth int) error {
	c, err := l.in.next()
	if err != nil {
		return err
	}
	if depth > MaxDepth {
		return &LimitError{Limit: "depth", Path: p, Got: depth, Max: MaxDepth}
	}
	switch c {
	case '{':
		return l.object(p, depth)
	case '[':
		return l.array(p, depth)
	}
	var n *Node
	if err := l.whole(p, func() (err error) { n, err = l.p.value(depth); return err }); err != nil || n == nil {
		return err
	}
	return l.emit(p, n)
}

// whole brings one value into memory and lets f read it with the parser.
func (l *leafScanner) whole(p Path, f func() error) error {
	from, err := l.in.token()
	if err != nil {
		if e, ok := err.(*LimitError); ok {
			e.Path = p
		}
		return err
	}
	l.p.s.Reset(l.in.buf[from:l.in.pos])
	l.p.alloc = allocator{} // each leaf for itself: who knows which are kept
	if err = f(); err == nil {
		err = l.p.s.End()
	}
	switch e := err.(type) {
	case *jsonscan.SyntaxError:
		return l.in.errorf(from+e.Offset, e.Msg)
	case *ValueError:
		e.Path = p.Join(e.Path)
	case *LimitError:
		e.Path = p.Join(e.Path)
	}
	return err
}

// emit reports a leaf, and before it the priorities of the objects it is in.
func (l *leafScanner) emit(p Path, n *Node) error {
	first := len(l.frames)
	for first > 0 && !l.frames[first-1].any {
		first--
	}
	// A frame further out can only have got a .value since; then it has a leaf already.
	for i := len(l.frames) - 1; i >= 0 && i >= first-1; i-- {
		if from := l.frames[i].meta.from; from != "" {
			err := errLeafAndChildren(from).(*ValueError)
			err.Path = l.frames[i].path
			return err
		}
	}
	for i := first; i < len(l.frames); i++ {
		fr := &l.frames[i]
		fr.any = true
		if fr.meta.prio != nil {
			if err := l.prio(fr.path, fr.meta.prio); err != nil {
				return err
			}
		}
	}
	return l.leaf(p, n)
}

func (l *leafScanner) array(p Path, depth int) error {
	l.in.pos++
	l.frames = append(l.frames, frame{path: p})
	for i := 0; ; i++ {
		more, err := l.in.more(i == 0, ']')
		if err != nil {
			return err
		}
		if !more {
			l.frames = l.frames[:len(l.frames)-1]
			return nil
		}
		if err := l.value(p.Child(indexKey(i)), depth+1); err != nil {
			return err
		}
	}
}

func (l *leafScanner) object(p Path, depth int) error {
	l.in.pos++
	l.frames = append(l.frames, frame{path: p})
	for first := true; ; first = false {
		more, err := l.in.more(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := l.member(p, depth); err != nil {
			return err
		}
	}
	top := l.frames[len(l.frames)-1]
	l.frames = l.frames[:len(l.frames)-1]
	if top.meta.leaf == nil {
		return nil
	}
	return l.emit(p, top.meta.leaf.WithPriority(top.meta.prio))
}

// member reads a key and its value.
func (l *leafScanner) member(p Path, depth int) error {
	if c, err := l.in.next(); err != nil {
		return err
	} else if c != '"' {
		return l.in.unexpected("a member's key in quotes")
	}
	var key, special string
	err := l.whole("", func() error {
		text, err := l.p.s.StringBytes(l.p.scratch)
		if err != nil {
			return err
		}
		if len(text) > 0 && text[0] == '.' {
			switch special = string(text); special {
			case ".value", ".sv", PriorityKey:
				return nil
			}
			err = unknownMeta(text)
		} else {
			key, err = l.p.key(text)
		}
		if e, ok := err.(*KeyError); ok {
			e.Path = p
			e.Line, e.Column = l.in.position(l.in.start)
		}
		return err
	})
	if err != nil {
		return err
	}
	if c, err := l.in.next(); err != nil {
		return err
	} else if c != ':' {
		return l.in.unexpected("':'")
	}
	l.in.pos++
	if special == "" {
		return l.value(p.Child(key), depth+1)
	}
	if _, err := l.in.next(); err != nil {
		return err
	}
	top := &l.frames[len(l.frames)-1]
	if err := l.whole(p, func() error { return l.p.metaValue(special, &top.meta) }); err != nil {
		return err
	}
	if !top.any {
		return nil
	}
	if top.meta.leaf != nil {
		err := errLeafAndChildren(special).(*ValueError)
		err.Path = p
		return err
	}
	if special == PriorityKey && top.meta.prio != nil {
		return l.prio(p, top.meta.prio)
	}
	return nil
}

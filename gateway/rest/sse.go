package rest

import (
	"sync"

	"rebase/db"
	"rebase/live"
	"rebase/tree"
)

// encoding is the part of a change that is the same for all streams: the data. It
// is made once per change and shared (live.MemoSSE); the path before it depends on
// the stream's URL.
type encoding struct {
	size int // about the bytes of data, known without encoding

	once sync.Once
	put  []byte // value of a put at the event's path, if that is what it is
	// patch is the members of a patch without braces, from which a stream that has
	// the event's path below its URL makes one.
	patch []byte
}

// encodingOf finds the shared encoding of ev, as yet without its data.
func encodingOf(ev *live.Event) *encoding {
	return ev.Memo(live.MemoSSE, func(ev *live.Event) any {
		e := &encoding{size: 64 + len(ev.Path) + ev.Value.SizeBytes()}
		for _, u := range ev.Updates {
			e.size += len(u.Path) + 4 + u.Value.SizeBytes()
		}
		return e
	}).(*encoding)
}

// data encodes at the first call.
func (e *encoding) data(ev *live.Event) *encoding {
	e.once.Do(func() { e.encode(ev.Kind, ev.Priority, ev.Value, ev.Updates) })
	return e
}

func (e *encoding) encode(kind live.EventKind, priority bool, value *tree.Node, updates []db.Update) {
	if kind == live.Put {
		if !priority { // priorities are not sent over REST streams
			e.put = tree.AppendValue(nil, value)
		}
		return
	}
	for _, u := range updates {
		switch {
		case u.Priority:
		case u.Path.IsRoot():
			e.put = tree.AppendValue(nil, u.Value)
		default:
			if len(e.patch) > 0 {
				e.patch = append(e.patch, ',')
			}
			e.patch = append(tree.AppendJSONString(e.patch, string(u.Path)), ':')
			e.patch = tree.AppendValue(e.patch, u.Value)
		}
	}
}

// appendEvent renders an event for a stream at base. It adds nothing if the change
// does not show in plain values.
func appendEvent(dst []byte, in queued, base tree.Path) []byte {
	var e *encoding
	var rel tree.Path
	if base.Contains(in.ev.Path) {
		e, rel = in.enc.data(in.ev), in.ev.Path.Rel(base)
	} else {
		e = cut(in.ev, base)
	}
	if e.put != nil {
		dst = appendHead(dst, "put", rel)
		dst = append(dst, e.put...)
		dst = append(dst, "}\n\n"...)
	}
	if len(e.patch) > 0 {
		dst = appendHead(dst, "patch", rel)
		dst = append(dst, '{')
		dst = append(dst, e.patch...)
		dst = append(dst, "}}\n\n"...)
	}
	return dst
}

// cut encodes what an event above base means for a stream at base.
func cut(ev *live.Event, base tree.Path) *encoding {
	e := &encoding{}
	if !ev.Path.Contains(base) {
		return e // beside it: nothing
	}
	below := base.Rel(ev.Path)
	if ev.Kind == live.Put {
		e.encode(live.Put, ev.Priority, ev.Value.At(below), nil)
		return e
	}
	var updates []db.Update
	for _, u := range ev.Updates {
		switch {
		case below.Contains(u.Path):
			u.Path = u.Path.Rel(below)
			updates = append(updates, u)
		case u.Path.Contains(below) && !u.Priority:
			updates = append(updates, db.Update{Value: u.Value.At(below.Rel(u.Path))})
		}
	}
	e.encode(live.Merge, false, nil, updates)
	return e
}

func appendHead(dst []byte, event string, rel tree.Path) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, event...)
	dst = append(dst, "\ndata: {\"path\":"...)
	dst = tree.AppendJSONString(dst, "/"+string(rel))
	return append(dst, `,"data":`...)
}

// appendPut renders the whole data of a stream.
func appendPut(dst []byte, n *tree.Node) []byte {
	dst = appendHead(dst, "put", "")
	dst = tree.AppendValue(dst, n)
	return append(dst, "}\n\n"...)
}

const (
	keepAliveEvent   = "event: keep-alive\ndata: null\n\n"
	cancelEvent      = "event: cancel\ndata: Permission denied\n\n"
	authRevokedEvent = "event: auth_revoked\ndata: credential is no longer valid\n\n"
	tooLargeEvent    = "event: cancel\ndata: The specified payload is too large, please request a location with less data.\n\n"
)

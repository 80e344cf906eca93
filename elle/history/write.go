package history

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
)

// WriteEDN writes h as Jepsen does: a map for each event.
func (h *History) WriteEDN(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	notes := h.Notes
	for at := range h.events {
		for len(notes) > 0 && int(notes[0].Before) <= at {
			h.noteEDN(out, notes[0])
			notes = notes[1:]
		}
		h.eventEDN(out, at)
	}
	for _, n := range notes {
		h.noteEDN(out, n)
	}
	return out.Flush()
}

func (h *History) noteEDN(w *bufio.Writer, n Note) {
	w.WriteString("{:type :" + n.Type + ", :f " + ednName(n.F) + ", :value " + h.Datum(n.Value).String() +
		", :process :" + n.Process + "}\n")
}

func ednName(f string) string {
	if f == "" {
		return "nil"
	}
	return ":" + f
}

func (h *History) eventEDN(w *bufio.Writer, at int) {
	op := int(h.events[at] >> 1)
	completion := h.events[at]&1 == 1
	w.WriteString("{:type :" + h.eventType(at) + ", :f " + ednName(h.F(op)) + ", :value ")
	if h.isTxn(op) {
		w.WriteByte('[')
		for i, m := range h.Mops(op) {
			if i > 0 {
				w.WriteByte(' ')
			}
			h.mopEDN(w, m, completion)
		}
		w.WriteByte(']')
	} else {
		w.WriteString(h.Datum(h.eventValue(op, completion)).String())
	}
	var buf [20]byte
	if p := h.Ops[op].Process; p != NoProcess {
		w.WriteString(", :process ")
		w.Write(strconv.AppendInt(buf[:0], h.Processes[p], 10))
	}
	if h.times != nil {
		w.WriteString(", :time ")
		w.Write(strconv.AppendInt(buf[:0], h.times[at], 10))
	}
	w.WriteString(", :index ")
	w.Write(strconv.AppendInt(buf[:0], h.Index(int32(at)), 10))
	w.WriteString("}\n")
}

func (h *History) mopEDN(w *bufio.Writer, m Mop, completion bool) {
	w.WriteString("[:" + m.Kind.String() + " ")
	h.valueEDN(w, h.keys[m.Key])
	w.WriteByte(' ')
	switch {
	case m.Kind.IsRead() && !completion:
		w.WriteString("nil")
	case m.Kind == ReadList:
		w.WriteByte('[')
		for i, v := range h.List(m) {
			if i > 0 {
				w.WriteByte(' ')
			}
			h.valueEDN(w, v)
		}
		w.WriteByte(']')
	default:
		h.valueEDN(w, m.Val)
	}
	w.WriteByte(']')
}

func (h *History) valueEDN(w *bufio.Writer, v Value) {
	if n, ok := v.Small(); ok {
		var buf [20]byte
		w.Write(strconv.AppendInt(buf[:0], int64(n), 10))
		return
	}
	w.WriteString(h.Datum(v).String())
}

func (h *History) eventType(at int) string {
	if h.events[at]&1 == 0 {
		return "invoke"
	}
	return h.Ops[h.events[at]>>1].Type.String()
}

func (h *History) eventValue(op int, completion bool) Value {
	if completion {
		return h.Ops[op].Val
	}
	return h.Ops[op].Arg
}

// isTxn tells whether an operation is written as a list of micro-operations.
func (h *History) isTxn(op int) bool {
	o := &h.Ops[op]
	return o.count > 0 || h.F(op) == "txn" && o.Val == None
}

// WriteJSON writes h as JSON lines: an object for each event. What EDN has and JSON has not
// is written as Datum.MarshalJSON says.
func (h *History) WriteJSON(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	notes := h.Notes
	for at := 0; at <= len(h.events); at++ {
		for len(notes) > 0 && (int(notes[0].Before) <= at || at == len(h.events)) {
			n := notes[0]
			notes = notes[1:]
			if err := writeLine(out, jsonEvent{Type: n.Type, F: n.F, Value: h.Datum(n.Value), Process: n.Process}); err != nil {
				return err
			}
		}
		if at == len(h.events) {
			break
		}
		if err := writeLine(out, h.jsonEvent(at)); err != nil {
			return err
		}
	}
	return out.Flush()
}

type jsonEvent struct {
	Type    string `json:"type"`
	F       string `json:"f,omitempty"`
	Value   any    `json:"value"`
	Process any    `json:"process,omitempty"`
	Time    *int64 `json:"time,omitempty"`
	Index   *int64 `json:"index,omitempty"`
}

func writeLine(w *bufio.Writer, e jsonEvent) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	w.Write(line)
	return w.WriteByte('\n')
}

func (h *History) jsonEvent(at int) jsonEvent {
	op := int(h.events[at] >> 1)
	completion := h.events[at]&1 == 1
	index := h.Index(int32(at))
	e := jsonEvent{Type: h.eventType(at), F: h.F(op), Index: &index}
	if h.times != nil {
		e.Time = &h.times[at]
	}
	if p := h.Ops[op].Process; p != NoProcess {
		e.Process = h.Processes[p]
	}
	if !h.isTxn(op) {
		e.Value = h.Datum(h.eventValue(op, completion))
		return e
	}
	value := [][3]any{}
	for _, m := range h.Mops(op) {
		micro := h.Micro(m)
		switch {
		case m.Kind.IsRead() && !completion:
			value = append(value, [3]any{"r", micro.Key, nil})
		case m.Kind == ReadList:
			value = append(value, [3]any{"r", micro.Key, ListDatum(micro.List...)})
		default:
			value = append(value, [3]any{m.Kind.String(), micro.Key, micro.Value})
		}
	}
	e.Value = value
	return e
}

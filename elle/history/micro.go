package history

import "fmt"

// Micro is a micro-operation as a Go program writes it.
type Micro struct {
	Kind  Kind
	Key   Datum
	Value Datum   // of Append, Write, Read
	List  []Datum // of ReadList
}

// AppendTo appends value to the list at key. Keys and values are what DatumOf takes.
func AppendTo(key, value any) Micro {
	return Micro{Kind: Append, Key: DatumOf(key), Value: DatumOf(value)}
}

// WriteTo sets the register at key.
func WriteTo(key, value any) Micro {
	return Micro{Kind: Write, Key: DatumOf(key), Value: DatumOf(value)}
}

// ReadOf reads key: its result is not known (in an invocation), or it was nil.
func ReadOf(key any) Micro { return Micro{Kind: Read, Key: DatumOf(key)} }

// ReadValue has read value from the register at key.
func ReadValue(key, value any) Micro {
	return Micro{Kind: Read, Key: DatumOf(key), Value: DatumOf(value)}
}

// ReadElements has read the list at key.
func ReadElements(key any, values ...any) Micro {
	m := Micro{Kind: ReadList, Key: DatumOf(key), List: make([]Datum, len(values))}
	for i, v := range values {
		m.List[i] = DatumOf(v)
	}
	return m
}

// DatumOf makes a Datum of nil, a bool, a whole number, a float, a string, a Datum, or a
// slice of such. It panics for anything else: that is a mistake in the program.
func DatumOf(v any) Datum {
	switch v := v.(type) {
	case nil:
		return Datum{}
	case Datum:
		return v
	case int:
		return IntDatum(int64(v))
	case int32:
		return IntDatum(int64(v))
	case int64:
		return IntDatum(v)
	case uint32:
		return IntDatum(int64(v))
	case string:
		return StringDatum(v)
	case bool:
		if v {
			return Datum{Sort: Bool, Int: 1}
		}
		return Datum{Sort: Bool}
	case float64:
		return Datum{Sort: Float, Text: fmt.Sprint(v)}
	case []any:
		d := Datum{Sort: List, Items: make([]Datum, len(v))}
		for i, item := range v {
			d.Items[i] = DatumOf(item)
		}
		return d
	case []Datum:
		return ListDatum(v...)
	}
	panic(fmt.Sprintf("history: a %T is neither a key nor a value", v))
}

// String is m as Jepsen writes it.
func (m Micro) String() string {
	result := m.Value
	if m.Kind == ReadList {
		result = ListDatum(m.List...)
	}
	return "[:" + m.Kind.String() + " " + m.Key.String() + " " + result.String() + "]"
}

// Micro is a micro-operation with its key and values as they were written.
func (h *History) Micro(m Mop) Micro {
	out := Micro{Kind: m.Kind, Key: h.KeyDatum(m.Key)}
	if m.Kind != ReadList {
		out.Value = h.Datum(m.Val)
		return out
	}
	list := h.List(m)
	out.List = make([]Datum, len(list))
	for i, v := range list {
		out.List[i] = h.Datum(v)
	}
	return out
}

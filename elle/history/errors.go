package history

import "fmt"

// Error is a mistake in a history: where it is, and what is wrong.
type Error struct {
	Line   int    // from 1; 0 if there are no lines
	Field  string // "type", "process", "value" …; "" if the entry as a whole is meant
	Reason string
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0 && e.Field == "":
		return e.Reason
	case e.Line == 0:
		return fmt.Sprintf("field %s: %s", e.Field, e.Reason)
	case e.Field == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d: field %s: %s", e.Line, e.Field, e.Reason)
}

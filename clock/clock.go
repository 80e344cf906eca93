package clock

import "fmt"

// Proc names a process, a replica or a node: whatever has one clock of its own.
// Numbers need not be dense. One that was used is never used again for another
// process: stamps would take the two for one.
type Proc uint64

// Limit is the highest count that decoders accept. A clock that has received it
// can still go on for longer than any machine runs, so no count ever overflows.
const Limit = 1 << 62

// Order is how one stamp stands to another.
type Order uint8

// The four cases. Those who only know total orders forget the last one.
const (
	Equal Order = iota
	Before
	After
	Concurrent
)

// String is the name of o.
func (o Order) String() string {
	switch o {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return fmt.Sprintf("Order(%d)", uint8(o))
}

// Reverse is the order of the two operands exchanged.
func (o Order) Reverse() Order {
	switch o {
	case Before:
		return After
	case After:
		return Before
	}
	return o
}

// FormatError says why bytes or text are no stamp.
type FormatError struct {
	What   string // the kind of stamp, as in "fidge stamp"
	Offset int    // in bytes
	Msg    string
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: byte %d: %s", e.What, e.Offset, e.Msg)
}

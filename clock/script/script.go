package script

import "fmt"

// Help is the language in short.
const Help = `One statement a line; "#" begins a comment. Events are in an order in which they could have happened.

  title TEXT                     what the picture is of
  process NAME...                processes that run from the beginning, from top to bottom
  skew PROCESS MS                its physical clock is off by so many milliseconds (for hlc)
  PROCESS EVENT                  an event that only the process knows of
  PROCESS EVENT send MESSAGE     a message leaves
  PROCESS EVENT receive MESSAGE  it arrives: in any order, or never
  PROCESS EVENT meet PROCESS EVENT    a rendezvous: both halves (for fidge-sync)
  PROCESS EVENT start PROCESS EVENT   a new process, and its first event
  PROCESS EVENT end              the last event of a process

Behind an event: by=N, the increment of the process's own component (fidge, fidge-sync);
at=MS, the true time (for hlc; otherwise one more than that of the event before).`

// Kind is what an event is.
type Kind uint8

// The kinds of events.
const (
	Local Kind = iota
	Send
	Receive
	Meet  // half of a rendezvous
	Start // of a process, at its parent
	Birth // the first event of a process that was started
	End   // the last event of a process
)

// Script is what happens.
type Script struct {
	Title     string
	Processes []Process
	Events    []Event
}

// Process is one process. Its place in Script.Processes is its number.
type Process struct {
	Name  string
	Skew  int64 // of its physical clock, in ms
	Birth int   // the event that is its first, or -1 if it runs from the beginning
	End   int   // the event that is its last, or -1 if it goes on
}

// Event is one event, or half of a rendezvous.
type Event struct {
	Name    string
	Process int
	Kind    Kind
	Message string // of Send and Receive
	Cause   int    // Receive: the send event; Birth: the Start event; otherwise -1
	Other   int    // Meet: the other half; Start: the Birth; otherwise -1
	By      uint64 // increment of the process's own component, at least 1
	At      int64  // true time in ms; never less than that of an earlier event

	Line, Column int // where the event is in the text, from 1; columns are characters
}

// Describe says what the event is, as the script does without names of events.
func (s *Script) Describe(i int) string {
	switch e := s.Events[i]; e.Kind {
	case Send:
		return "send " + e.Message
	case Receive:
		return "receive " + e.Message
	case Meet:
		return "meet " + s.Processes[s.Events[e.Other].Process].Name
	case Start:
		return "start " + s.Processes[s.Events[e.Other].Process].Name
	case Birth:
		return "started by " + s.Processes[s.Events[e.Cause].Process].Name
	case End:
		return "end"
	}
	return "local"
}

// Error is what is wrong with a script, and where.
type Error struct {
	Line, Column int // from 1; columns are characters
	Msg          string
}

// Error implements error: line:column: message.
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

// Errorf is an error at event i.
func (s *Script) Errorf(i int, format string, args ...any) *Error {
	return &Error{s.Events[i].Line, s.Events[i].Column, fmt.Sprintf(format, args...)}
}

package script

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"rebase/clock"
)

const (
	// MaxEvents is how many events a script may have: far more than anybody can look at.
	MaxEvents = 10_000
	// MaxProcesses is how many processes a script may have.
	MaxProcesses = 256

	maxName = 40      // characters
	maxTime = 1 << 42 // milliseconds; about the year 2109
)

// keywords cannot be names of processes: a line that begins with one is no event.
var keywords = map[string]bool{"title": true, "process": true, "skew": true}

type word struct {
	text   string
	column int
}

type parser struct {
	script    *Script
	line      int
	words     []word // of the line, not read yet
	end       int    // the column behind the line's last word
	processes map[string]int
	events    map[string]int
	sent      map[string]int // message -> send event
	received  map[string]int // message -> receive event
}

// Parse reads a script. Errors are *Error.
func Parse(text string) (*Script, error) {
	p := &parser{script: &Script{}, processes: map[string]int{}, events: map[string]int{}, sent: map[string]int{}, received: map[string]int{}}
	for line := range strings.Lines(text) {
		p.line++
		line = strings.TrimRight(line, "\r\n")
		if !utf8.ValidString(line) {
			return nil, &Error{p.line, 1, "line is not UTF-8"}
		}
		if p.line == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if err := p.statement(line); err != nil {
			return nil, err
		}
	}
	if len(p.script.Events) == 0 {
		return nil, &Error{max(p.line, 1), 1, "the script has no events"}
	}
	return p.script, nil
}

func split(line string) (words []word, end int) {
	column, start, from := 1, -1, 0
	for i, r := range line {
		if unicode.IsSpace(r) {
			if start >= 0 {
				words = append(words, word{line[start:i], from})
				start = -1
			}
		} else if start < 0 {
			start, from = i, column
		}
		column++
	}
	if start >= 0 {
		words = append(words, word{line[start:], from})
	}
	if len(words) > 0 {
		last := words[len(words)-1]
		return words, last.column + utf8.RuneCountInString(last.text)
	}
	return nil, 1
}

func (p *parser) statement(line string) error {
	code, _, _ := strings.Cut(line, "#")
	p.words, p.end = split(code)
	if len(p.words) == 0 {
		return nil
	}
	switch first := p.words[0]; first.text {
	case "title":
		if p.script.Title = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(code), "title")); p.script.Title == "" {
			return p.fail(word{"", p.end}, "expected the title's text")
		}
		return nil
	case "process":
		p.words = p.words[1:]
		if len(p.words) == 0 {
			return p.fail(word{"", p.end}, "expected the name of a process")
		}
		for len(p.words) > 0 {
			if _, err := p.newProcess(); err != nil {
				return err
			}
		}
		return nil
	case "skew":
		p.words = p.words[1:]
		i, err := p.process()
		if err != nil {
			return err
		}
		w := p.next()
		n, numErr := strconv.ParseInt(w.text, 10, 64)
		if numErr != nil || n > maxTime || n < -maxTime {
			return p.fail(w, "expected milliseconds, as in %q", "skew P1 -20")
		}
		p.script.Processes[i].Skew = n
		return p.done()
	}
	return p.event()
}

func (p *parser) fail(w word, format string, args ...any) error {
	return &Error{p.line, w.column, fmt.Sprintf(format, args...)}
}

// next is the next word, or an empty one behind the line.
func (p *parser) next() word {
	if len(p.words) == 0 {
		return word{"", p.end}
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *parser) done() error {
	if len(p.words) > 0 {
		return p.fail(p.words[0], "nothing is expected here, but there is %q", p.words[0].text)
	}
	return nil
}

// name is a word that can be a name of the given thing.
func (p *parser) name(what string) (word, error) {
	w := p.next()
	switch {
	case w.text == "":
		return w, p.fail(w, "expected the name of %s", what)
	case utf8.RuneCountInString(w.text) > maxName:
		return w, p.fail(w, "the name is longer than %d characters", maxName)
	case strings.Contains(w.text, "=") || strings.IndexFunc(w.text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return w, p.fail(w, "%q cannot be the name of %s", w.text, what)
	}
	return w, nil
}

func (p *parser) newProcess() (int, error) {
	w, err := p.name("a process")
	if err != nil {
		return 0, err
	}
	if keywords[w.text] {
		return 0, p.fail(w, "%q cannot be the name of a process", w.text)
	}
	if _, ok := p.processes[w.text]; ok {
		return 0, p.fail(w, "there is a process %s already", w.text)
	}
	if len(p.script.Processes) == MaxProcesses {
		return 0, p.fail(w, "more than %d processes", MaxProcesses)
	}
	i := len(p.script.Processes)
	p.processes[w.text] = i
	p.script.Processes = append(p.script.Processes, Process{Name: w.text, Birth: -1, End: -1})
	return i, nil
}

// process is a process that there is and that has not ended.
func (p *parser) process() (int, error) {
	w, err := p.name("a process")
	if err != nil {
		return 0, err
	}
	i, ok := p.processes[w.text]
	if !ok {
		return 0, p.fail(w, "there is no process %s; %q would declare it", w.text, "process "+w.text)
	}
	if end := p.script.Processes[i].End; end >= 0 {
		return 0, p.fail(w, "process %s has ended with event %s in line %d", w.text, p.script.Events[end].Name, p.script.Events[end].Line)
	}
	return i, nil
}

// newEvent adds an event, whose name is the next word.
func (p *parser) newEvent(process int) (int, error) {
	w, err := p.name("an event")
	if err != nil {
		return 0, err
	}
	if i, ok := p.events[w.text]; ok {
		return 0, p.fail(w, "there is an event %s already, in line %d", w.text, p.script.Events[i].Line)
	}
	if len(p.script.Events) == MaxEvents {
		return 0, p.fail(w, "more than %d events", MaxEvents)
	}
	i := len(p.script.Events)
	at := int64(0)
	if i > 0 {
		at = p.script.Events[i-1].At + 1
	}
	p.events[w.text] = i
	p.script.Events = append(p.script.Events, Event{
		Name: w.text, Process: process, Cause: -1, Other: -1, By: 1, At: at, Line: p.line, Column: w.column,
	})
	return i, nil
}

func (p *parser) event() error {
	process, err := p.process()
	if err != nil {
		return err
	}
	i, err := p.newEvent(process)
	if err != nil {
		return err
	}
	second := -1 // the event that the statement has besides
	if len(p.words) > 0 && !strings.Contains(p.words[0].text, "=") {
		if second, err = p.action(i, p.next()); err != nil {
			return err
		}
	}
	return p.options(i, second)
}

func (p *parser) action(i int, action word) (second int, err error) {
	second = -1
	process := p.script.Events[i].Process
	switch action.text {
	case "send", "receive":
		w, err := p.name("a message")
		if err != nil {
			return -1, err
		}
		e := &p.script.Events[i]
		e.Message = w.text
		sent, ok := p.sent[w.text]
		switch {
		case action.text == "send" && ok:
			return -1, p.fail(w, "message %s has been sent already, in line %d", w.text, p.script.Events[sent].Line)
		case action.text == "send":
			e.Kind = Send
			p.sent[w.text] = i
			return -1, nil
		case !ok:
			return -1, p.fail(w, "message %s has not been sent", w.text)
		case p.script.Events[sent].Process == process:
			return -1, p.fail(w, "message %s was sent by process %s itself", w.text, p.script.Processes[process].Name)
		}
		if r, ok := p.received[w.text]; ok {
			return -1, p.fail(w, "message %s has been received already, in line %d", w.text, p.script.Events[r].Line)
		}
		p.received[w.text] = i
		e.Kind, e.Cause = Receive, sent
	case "meet":
		at := p.end
		if len(p.words) > 0 {
			at = p.words[0].column
		}
		q, err := p.process()
		if err != nil {
			return -1, err
		}
		if q == process {
			return -1, p.fail(word{"", at}, "a process cannot meet itself")
		}
		if second, err = p.newEvent(q); err != nil {
			return -1, err
		}
		list := p.script.Events
		list[i].Kind, list[i].Other = Meet, second
		list[second].Kind, list[second].Other = Meet, i
	case "start":
		q, err := p.newProcess()
		if err != nil {
			return -1, err
		}
		if second, err = p.newEvent(q); err != nil {
			return -1, err
		}
		list := p.script.Events
		list[i].Kind, list[i].Other = Start, second
		list[second].Kind, list[second].Cause = Birth, i
		p.script.Processes[q].Birth = second
	case "end":
		p.script.Events[i].Kind = End
		p.script.Processes[process].End = i
	default:
		return -1, p.fail(action, "expected send, receive, meet, start or end, not %q", action.text)
	}
	return second, nil
}

// options reads by=N and at=MS. Both halves of a rendezvous have the same.
func (p *parser) options(i, second int) error {
	e := &p.script.Events[i]
	seen := map[string]bool{}
	for len(p.words) > 0 {
		w := p.next()
		name, value, ok := strings.Cut(w.text, "=")
		if !ok {
			return p.fail(w, "nothing is expected here, but there is %q", w.text)
		}
		if seen[name] {
			return p.fail(w, "%s is given twice", name)
		}
		seen[name] = true
		number := word{value, w.column + utf8.RuneCountInString(name) + 1}
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case name == "by" && (err != nil || n < 1 || n > clock.Limit/MaxEvents):
			return p.fail(number, "expected a number from 1, as in by=4")
		case name == "by":
			e.By = n
		case name == "at" && (err != nil || n > maxTime):
			return p.fail(number, "expected milliseconds, as in at=250")
		case name == "at":
			if i > 0 && int64(n) < p.script.Events[i-1].At {
				return p.fail(number, "time goes back: the event before, %s, is at=%d", p.script.Events[i-1].Name, p.script.Events[i-1].At)
			}
			e.At = int64(n)
		default:
			return p.fail(w, "expected by=N or at=MS, not %q", w.text)
		}
	}
	if second >= 0 {
		p.script.Events[second].By, p.script.Events[second].At = e.By, e.At
	}
	return nil
}

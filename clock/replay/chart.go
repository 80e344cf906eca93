package replay

import (
	"fmt"
	"slices"
	"strings"

	"rebase/clock/diagram"
	"rebase/clock/script"
)

// names are what people call the clocks.
var names = map[string]string{
	"lamport":    "Lamport’s clocks",
	"fidge":      "Fidge’s clocks, asynchronous",
	"fidge-sync": "Fidge’s clocks, synchronous",
	"vector":     "Mattern’s vector clocks",
	"hlc":        "hybrid logical clocks: milliseconds.counter",
}

// Chart is the space-time diagram of a script with the stamps that Run has given.
func Chart(s *script.Script, clock string, stamps []string) *diagram.Chart {
	c := &diagram.Chart{Title: s.Title, Subtitle: names[clock]}
	if c.Title == "" {
		c.Title = "Space-time diagram"
	}
	for _, p := range s.Processes {
		c.Lines = append(c.Lines, diagram.Line{Name: p.Name, Begin: p.Birth, End: p.End})
	}
	h := History(s)
	received := make([]bool, len(s.Events))
	for _, e := range s.Events {
		if e.Cause >= 0 {
			received[e.Cause] = true
		}
	}
	for i, e := range s.Events {
		// The past of an event, spelt out, is what the picture is looked at for. Of
		// large histories it would be most of the file.
		note := fmt.Sprintf("%s on %s: %s, %s", e.Name, s.Processes[e.Process].Name, s.Describe(i), stamps[i])
		if len(s.Events) <= 200 {
			var past []string
			for f := range s.Events {
				if h.Before(f, i) {
					past = append(past, s.Events[f].Name)
				}
			}
			slices.Sort(past)
			if len(past) > 0 {
				note += "\nafter " + strings.Join(past, ", ")
			} else {
				note += "\nafter nothing"
			}
		}
		c.Marks = append(c.Marks, diagram.Mark{Line: e.Process, Name: e.Name, Label: stamps[i], Note: note})
		switch {
		case e.Kind == script.Receive:
			c.Arrows = append(c.Arrows, diagram.Arrow{From: e.Cause, To: i, Note: "message " + e.Message})
		case e.Kind == script.Birth:
			c.Arrows = append(c.Arrows, diagram.Arrow{From: e.Cause, To: i, Dashed: true, Note: "start of " + s.Processes[e.Process].Name})
		case e.Kind == script.Send && !received[i]:
			c.Arrows = append(c.Arrows, diagram.Arrow{From: i, To: -1, Note: "message " + e.Message + ", never received"})
		case e.Kind == script.Meet && e.Other < i:
			c.Bonds = append(c.Bonds, diagram.Bond{A: e.Other, B: i})
		}
	}
	return c
}

package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"rebase/elle"
	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/elle/picture"
)

// File is a history that was checked.
type File struct {
	Name   string
	Result *elle.Result
	// Err is why it could not be; Result is nil then.
	Err error
}

//go:embed page.html
var text string

var page = template.Must(template.New("page").Parse(text))

// Write writes a page about files.
func Write(w io.Writer, files []File) error {
	var views []view
	for i, f := range files {
		v := view{ID: fmt.Sprintf("h%d", i+1), Name: f.Name}
		if f.Err != nil {
			v.Verdict, v.Class, v.Err = "not read", "unknown", f.Err.Error()
		} else {
			v.fill(f.Result)
		}
		views = append(views, v)
	}
	return page.Execute(w, views)
}

// view is what the page says of a history.
type view struct {
	ID, Name, Verdict, Class, Err string
	Workload                      string
	Not, AlsoNot, Possible        string
	Undecided                     string
	Decided                       []stat
	Notes                         []string
	Stats                         []stat
	Groups                        []group
}

type stat struct{ Name, Value string }

// group are the anomalies of one type.
type group struct {
	ID, Type, Meaning, Rules string
	Count                    int
	Shown                    []shown
}

type shown struct {
	Text    string
	Picture template.HTML
	Lists   *lists
}

func (v *view) fill(r *elle.Result) {
	switch r.Valid {
	case elle.Consistent:
		v.Verdict, v.Class = "no anomaly found", "good"
	case elle.Inconsistent:
		v.Verdict, v.Class = "anomalies found", "bad"
	default:
		v.Verdict, v.Class = "unknown", "unknown"
	}
	v.Workload = string(r.Workload)
	v.Not, v.AlsoNot, v.Possible = joined(r.Not), joined(r.AlsoNot), joined(r.Possible)
	v.Undecided = joined(r.Undecided)
	v.Notes = r.Warnings
	for _, d := range r.Decided {
		v.Decided = append(v.Decided, stat{string(d.Model), d.Verdict})
	}
	s := r.Stats
	v.Stats = []stat{
		{"operations", fmt.Sprint(s.Operations)}, {"committed", fmt.Sprint(s.OK)},
		{"failed", fmt.Sprint(s.Failed)}, {"in doubt", fmt.Sprint(s.InDoubt)},
		{"dependencies", fmt.Sprint(s.Edges)}, {"parts with cycles", fmt.Sprint(s.Components)},
	}
	for _, a := range r.Anomalies {
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Type != string(a.Type) {
			v.Groups = append(v.Groups, group{ID: v.ID + "-" + string(a.Type), Type: string(a.Type),
				Meaning: a.Type.Meaning(), Rules: joined(a.Type.Rules()), Count: max(r.Count(a.Type), 1)})
		}
		g := &v.Groups[len(v.Groups)-1]
		one := shown{Text: r.Explain(a), Lists: listsOf(a)}
		if p, ok := picture.Of(r.History(), a); ok {
			one.Picture = template.HTML(p.SVG()) // drawn by us, and everything in it escaped
		}
		g.Shown = append(g.Shown, one)
	}
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// lists are reads of one key that disagree, side by side.
type lists struct {
	Key  string
	Rows [][]element
}

type element struct {
	Text string
	Odd  bool // differs from the first list
}

// maxElements bounds how much of a list is shown, before and behind where they begin to
// differ.
const maxElements = 12

// listsOf are the lists of an anomaly that is about lists, or nil.
func listsOf(a anomaly.Anomaly) *lists {
	if a.Type != model.IncompatibleOrder {
		return nil
	}
	l := &lists{}
	var values []history.Datum
	for _, f := range a.Facts {
		switch d := f.Value.(type) {
		case history.Datum:
			if f.Name == "key" {
				l.Key = d.String()
			}
		case []history.Datum:
			values = d
		}
	}
	if len(values) == 0 {
		return nil
	}
	first := values[0].Items
	from := len(first)
	for _, v := range values {
		for i, d := range v.Items {
			if i < len(first) && d.String() != first[i].String() {
				from = min(from, i)
				break
			}
		}
	}
	from = max(0, from-maxElements)
	for _, v := range values {
		var row []element
		if from > 0 {
			row = append(row, element{"…", false})
		}
		for i := from; i < len(v.Items); i++ {
			if i == from+2*maxElements {
				row = append(row, element{"…", false})
				break
			}
			text := v.Items[i].String()
			row = append(row, element{text, i < len(first) && text != first[i].String()})
		}
		l.Rows = append(l.Rows, row)
	}
	return l
}

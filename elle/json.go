package elle

import (
	"bytes"
	"encoding/json"

	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// MarshalJSON writes the result with the names that Jepsen's checker uses. Strings stand
// for keywords.
func (r *Result) MarshalJSON() ([]byte, error) { return json.Marshal(r.object("")) }

// JSON is the result as one line, with the name of the file it is about.
func (r *Result) JSON(file string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // explanations are full of <
	err := e.Encode(r.object(file))
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// object is a result in JSON. Lists are there even if they are empty, but for those that
// are about something special.
type object struct {
	File      string                      `json:"file,omitempty"`
	Workload  Workload                    `json:"workload"`
	Valid     Verdict                     `json:"valid"`
	Types     []model.Anomaly             `json:"anomaly-types"`
	Anomalies map[model.Anomaly][]finding `json:"anomalies"`
	Counts    map[model.Anomaly]int       `json:"anomaly-counts,omitempty"`
	Not       []model.Model               `json:"not"`
	AlsoNot   []model.Model               `json:"also-not"`
	Possible  []model.Model               `json:"strongest-possible"`
	Undecided []model.Anomaly             `json:"not-decided,omitempty"`
	Decided   map[model.Model]string      `json:"decided,omitempty"`
	Warnings  []string                    `json:"warnings,omitempty"`
}

func (r *Result) object(file string) *object {
	o := &object{File: file, Workload: r.Workload, Valid: r.Valid, Types: list(r.Types),
		Anomalies: map[model.Anomaly][]finding{}, Counts: r.counts,
		Not: list(r.Not), AlsoNot: list(r.AlsoNot), Possible: list(r.Possible),
		Undecided: r.Undecided, Warnings: r.Warnings}
	// What makes a verdict unknown is told where what makes it false is.
	o.Types = append(o.Types, r.Unknown...)
	for _, d := range r.Decided {
		if o.Decided == nil {
			o.Decided = map[model.Model]string{}
		}
		o.Decided[d.Model] = d.Verdict
	}
	for _, a := range r.Anomalies {
		o.Anomalies[a.Type] = append(o.Anomalies[a.Type], r.finding(a))
	}
	return o
}

func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s[:len(s):len(s)]
}

type finding map[string]any

func (r *Result) finding(a anomaly.Anomaly) finding {
	f := finding{"type": a.Type}
	ops := make([]op, len(a.Ops))
	for i, n := range a.Ops {
		ops[i] = r.op(n)
	}
	if a.Steps == nil {
		f["ops"] = ops
	} else {
		f["cycle"] = ops
		steps := make([]step, len(a.Steps))
		for i, s := range a.Steps {
			steps[i] = jsonStep(s)
		}
		f["steps"] = steps
	}
	f["text"] = r.Explain(a)
	for _, fact := range a.Facts {
		if _, taken := f[fact.Name]; !taken {
			f[fact.Name] = fact.Value
		}
	}
	return f
}

type op struct {
	Index   int64  `json:"index"`
	Process *int64 `json:"process"`
	Type    string `json:"type"`
	F       string `json:"f,omitempty"`
	Value   any    `json:"value"`
	Time    *int64 `json:"time,omitempty"`
}

func (r *Result) op(n int) op {
	o := &r.h.Ops[n]
	event := o.Complete
	if event == history.NoEvent {
		event = o.Invoke
	}
	j := op{Index: r.h.Index(event), Type: o.Type.String(), F: r.h.F(n)}
	if o.Process != history.NoProcess {
		j.Process = &r.h.Processes[o.Process]
	}
	if t, ok := r.h.Time(event); ok {
		j.Time = &t
	}
	mops := r.h.Mops(n)
	if len(mops) == 0 {
		j.Value = r.h.Datum(o.Val)
		return j
	}
	value := make([][3]any, len(mops))
	for i, m := range mops {
		micro := r.h.Micro(m)
		value[i] = [3]any{m.Kind.String(), micro.Key, micro.Value}
		if m.Kind == history.ReadList {
			value[i][2] = history.ListDatum(micro.List...)
		}
	}
	j.Value = value
	return j
}

// step is a map because one of its keys, value', is no name that a struct's tag can have.
type step map[string]any

func jsonStep(s anomaly.Step) step {
	j := step{"type": s.Rel.String()}
	if s.A >= 0 {
		j["key"], j["a-mop-index"], j["b-mop-index"] = s.Key, s.A, s.B
		j["value"] = s.Value
		if !s.Next.IsNil() {
			j["value'"] = s.Next
		}
	}
	return j
}

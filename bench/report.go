package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Row is one figure.
type Row struct {
	Scenario string  `json:"scenario"`
	Metric   string  `json:"metric"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Aim      string  `json:"aim,omitempty"`
}

// Report is what a run has measured.
type Report struct {
	Target  string    `json:"target"`
	Started time.Time `json:"started"`
	CPUs    int       `json:"cpus"`
	Rows    []Row     `json:"rows"`
}

func (r *Report) add(scenario, metric string, value float64, unit, aim string) {
	r.Rows = append(r.Rows, Row{scenario, metric, value, unit, aim})
}

// WriteTable prints the figures for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "SCENARIO\tMETRIC\tVALUE\tUNIT\tAIM\n")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", row.Scenario, row.Metric, number(row.Value), row.Unit, row.Aim)
	}
	return t.Flush()
}

// WriteJSON prints the figures for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// quantile returns the q-quantile of the samples, which it sorts.
func quantile(samples []time.Duration, q float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	slices.Sort(samples)
	return samples[min(int(q*float64(len(samples))), len(samples)-1)]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

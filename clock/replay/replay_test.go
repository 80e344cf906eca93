package replay

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rebase/clock/script"
)

func parse(t testing.TB, text string) *script.Script {
	t.Helper()
	s, err := script.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, name string) *script.Script {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "clock", name))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// The scripts in the documentation give the stamps and the relations of the paper.
func TestFiguresOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../fidge/testdata/figures.json")
	if err != nil {
		t.Fatal(err)
	}
	var figures map[string]json.RawMessage
	if err := json.Unmarshal(text, &figures); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"3", "4", "7"} {
		var fig struct {
			Timestamps    map[string][]uint64
			HappensBefore map[string][]string `json:"happens_before"`
			RelationsES1  map[string][]string `json:"relations_ES1"`
		}
		if err := json.Unmarshal(figures["fig"+n], &fig); err != nil {
			t.Fatal(err)
		}
		s := read(t, "figure"+n+".events")
		clock, relation := "fidge", fig.HappensBefore
		if n == "7" {
			clock, relation = "fidge-sync", fig.RelationsES1
		}
		stamps, err := Run(s, clock)
		if err != nil {
			t.Fatal(err)
		}
		if len(stamps) != len(fig.Timestamps) {
			t.Errorf("figure %s: %d events, want %d", n, len(stamps), len(fig.Timestamps))
		}
		h := History(s)
		for i, e := range s.Events {
			want := strings.ReplaceAll(fmt.Sprint(fig.Timestamps[e.Name]), " ", ",")
			if stamps[i] != want {
				t.Errorf("figure %s: %s is %s, want %s", n, e.Name, stamps[i], want)
			}
			for f, g := range s.Events {
				if want := slices.Contains(relation[e.Name], g.Name); h.Before(i, f) != want {
					t.Errorf("figure %s: %s before %s: %t", n, e.Name, g.Name, !want)
				}
			}
		}
	}
}

const lives = `process A B
skew B 5
A a send m at=10 by=2
B b receive m
B c start C d
C e send n by=3
A f receive n at=30
C g end
`

func TestClocks(t *testing.T) {
	s := parse(t, lives)
	for clock, want := range map[string]string{
		"lamport": "1 2 3 4 5 6 6",
		"fidge":   "[2,0,0] [3,1,0] [3,2,0] [3,3,1] [3,3,4] [3,3,5] [3,3,5]",
		"vector":  "[1,0,0] [1,1,0] [1,2,0] [1,2,1] [1,2,2] [2,2,2] [1,2,3]",
		"hlc":     "10.0 16.0 17.0 17.1 17.2 30.0 31.0",
	} {
		stamps, err := Run(s, clock)
		if got := strings.Join(stamps, " "); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", clock, got, err, want)
		}
	}
	sync := parse(t, "process A B\nA a\nA b meet B c by=2\nB d start C e\nC f end\n")
	stamps, err := Run(sync, "fidge-sync")
	if got, want := strings.Join(stamps, " "), "[1,0,0] [3,2,0] [3,2,0] [3,3,1] [3,3,1] [3,3,2]"; err != nil || got != want {
		t.Errorf("fidge-sync: %s, %v; want %s", got, err, want)
	}
}

func TestWhatAClockDoesNotKnow(t *testing.T) {
	meet := "process A B\nA a\n  A b meet B c\n"
	for _, c := range []struct{ text, clock, want string }{
		{meet, "lamport", "3:5: event b is a rendezvous"},
		{meet, "fidge", "3:5: event b is a rendezvous"},
		{meet, "vector", "3:5: event b is a rendezvous"},
		{meet, "hlc", "3:5: event b is a rendezvous"},
		{lives, "fidge-sync", "3:3: event a is of a message"},
	} {
		_, err := Run(parse(t, c.text), c.clock)
		var at *script.Error
		if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.clock, err, c.want)
		}
	}
	if _, err := Run(parse(t, lives), "sundial"); err == nil || !strings.Contains(err.Error(), "lamport, fidge") {
		t.Errorf("an unknown clock: %v", err)
	}
}

func TestChart(t *testing.T) {
	for _, name := range []string{"figure3.events", "figure4.events", "figure7.events", "lifecycle.events"} {
		s := read(t, name)
		clock := "fidge"
		if name == "figure7.events" {
			clock = "fidge-sync"
		}
		stamps, err := Run(s, clock)
		if err != nil {
			t.Fatal(err)
		}
		c := Chart(s, clock, stamps)
		svg := string(c.SVG())
		if again := string(Chart(s, clock, stamps).SVG()); again != svg {
			t.Errorf("%s: drawn twice, it differs", name)
		}
		decoder := xml.NewDecoder(strings.NewReader(svg))
		circles := 0
		for {
			token, err := decoder.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: not XML: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
				circles++
			}
		}
		if circles != len(s.Events) {
			t.Errorf("%s: %d dots for %d events", name, circles, len(s.Events))
		}
		for i, e := range s.Events {
			if !strings.Contains(svg, ">"+e.Name+"</text>") || !strings.Contains(svg, ">"+stamps[i]+"</text>") {
				t.Errorf("%s: event %s, or its stamp %s, is not in the picture", name, e.Name, stamps[i])
			}
		}
	}
	// The pictures in the documentation are what the program draws.
	for script, picture := range map[string]string{"figure3.events": "clock-figure3.svg", "figure7.events": "clock-figure7.svg"} {
		s := read(t, script)
		clock := map[string]string{"figure3.events": "fidge", "figure7.events": "fidge-sync"}[script]
		stamps, err := Run(s, clock)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(filepath.Join("..", "..", "docs", "images", picture))
		if err != nil {
			t.Fatal(err)
		}
		if string(kept) != string(Chart(s, clock, stamps).SVG()) {
			t.Errorf("docs/images/%s is not what is drawn now: rebase clock replay docs/clock/%s --clock %s --svg docs/images/%s", picture, script, clock, picture)
		}
	}
	s := read(t, "figure3.events")
	stamps, _ := Run(s, "fidge")
	if note := Chart(s, "fidge", stamps).Marks[5].Note; note != "n on P2: receive wn, [2,3,3]\nafter a, l, m, v, w" {
		t.Errorf("note of n: %q", note)
	}
}

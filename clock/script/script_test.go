package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	s, err := Parse(`
title  Two of them # and a comment
process A B
skew B -20
A a send m by=3 at=10
B b receive m
A c start C d at=50
C e meet B f
C g end
A ende # a name that begins like a keyword
`)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", s.Title)
	for _, p := range s.Processes {
		fmt.Fprintf(&out, "%s skew=%d birth=%d end=%d\n", p.Name, p.Skew, p.Birth, p.End)
	}
	for i, e := range s.Events {
		fmt.Fprintf(&out, "%s on %d: %s cause=%d other=%d by=%d at=%d %d:%d\n",
			e.Name, e.Process, s.Describe(i), e.Cause, e.Other, e.By, e.At, e.Line, e.Column)
	}
	want := `Two of them
A skew=0 birth=-1 end=-1
B skew=-20 birth=-1 end=-1
C skew=0 birth=3 end=6
a on 0: send m cause=-1 other=-1 by=3 at=10 5:3
b on 1: receive m cause=0 other=-1 by=1 at=11 6:3
c on 0: start C cause=-1 other=3 by=1 at=50 7:3
d on 2: started by A cause=2 other=-1 by=1 at=50 7:13
e on 2: meet B cause=-1 other=5 by=1 at=51 8:3
f on 1: meet C cause=-1 other=4 by=1 at=51 8:12
g on 2: end cause=-1 other=-1 by=1 at=52 9:3
ende on 0: local cause=-1 other=-1 by=1 at=53 10:3
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: the script has no events"},
		{"process P", "1:1: the script has no events"},
		{"P a", `1:1: there is no process P; "process P" would declare it`},
		{"process P\nP", "2:2: expected the name of an event"},
		{"process P P", "1:11: there is a process P already"},
		{"process", "1:8: expected the name of a process"},
		{"process title", `1:9: "title" cannot be the name of a process`},
		{"process a=b", `1:9: "a=b" cannot be the name of a process`},
		{"process " + strings.Repeat("x", 41), "1:9: the name is longer than 40 characters"},
		{"title #", "1:6: expected the title's text"},
		{"process P\nskew P soon", `2:8: expected milliseconds, as in "skew P1 -20"`},
		{"process P\nskew P", `2:7: expected milliseconds, as in "skew P1 -20"`},
		{"process P\nskew P 1 2", `2:10: nothing is expected here, but there is "2"`},
		{"process P\nP a\n  P a", "3:5: there is an event a already, in line 2"},
		{"process P\nP a jump", `2:5: expected send, receive, meet, start or end, not "jump"`},
		{"process P\nP a send", "2:9: expected the name of a message"},
		{"process P\nP a receive m", "2:13: message m has not been sent"},
		{"process P\nP a send m\nP b send m", "3:10: message m has been sent already, in line 2"},
		{"process P\nP a send m\nP b receive m", "3:13: message m was sent by process P itself"},
		{"process P Q\nP a send m\nQ b receive m\nQ c receive m", "4:13: message m has been received already, in line 3"},
		{"process P\nP a meet P b", "2:10: a process cannot meet itself"},
		{"process P Q\nP a meet Q", "2:11: expected the name of an event"},
		{"process P Q\nP a meet Q a", "2:12: there is an event a already, in line 2"},
		{"process P\nP a start P b", "2:11: there is a process P already"},
		{"process P\nP a end\nP b", "3:1: process P has ended with event a in line 2"},
		{"process P Q\nP a end\nQ b meet P c", "3:10: process P has ended with event a in line 2"},
		{"process P\nP a by=0", "2:8: expected a number from 1, as in by=4"},
		{"process P\nP a by=x", "2:8: expected a number from 1, as in by=4"},
		{"process P\nP a by=2 by=2", "2:10: by is given twice"},
		{"process P\nP a at=-1", "2:8: expected milliseconds, as in at=250"},
		{"process P\nP a at=9\nP b at=8", "3:8: time goes back: the event before, a, is at=9"},
		{"process P\nP a of=1", `2:5: expected by=N or at=MS, not "of=1"`},
		{"process P\nP a by=1 end", `2:10: nothing is expected here, but there is "end"`},
		{"process Größe\nGröße ä jump", `2:9: expected send, receive, meet, start or end, not "jump"`},
		{"process P\nP \xff", "2:1: line is not UTF-8"},
	} {
		_, err := Parse(c.text)
		var at *Error
		if !errors.As(err, &at) || err.Error() != c.want {
			t.Errorf("%q\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString("process P\n")
	for i := range MaxEvents + 1 {
		fmt.Fprintf(&b, "P e%d\n", i)
	}
	if _, err := Parse(b.String()); err == nil || !strings.Contains(err.Error(), "10002:3: more than 10000 events") {
		t.Errorf("events: %v", err)
	}
	b.Reset()
	for i := range MaxProcesses + 1 {
		fmt.Fprintf(&b, "process P%d\n", i)
	}
	if _, err := Parse(b.String()); err == nil || !strings.Contains(err.Error(), "257:9: more than 256 processes") {
		t.Errorf("processes: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("process A B\nA a send m by=3 at=10\nB b receive m\nA c start C d\nC e meet B f\nC g end\n")
	f.Add("title x\r\nprocess P\nskew P -1 # c\nP a\n")
	f.Add("process ä\nä ö=ü")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("error %v has no place", err)
			}
			lines := strings.Split(text, "\n")
			if at.Line < 1 || at.Line > len(lines) || at.Column < 1 || at.Column > utf8.RuneCountInString(lines[at.Line-1])+1 {
				t.Fatalf("error %v is outside of the text", err)
			}
			return
		}
		ended := map[int]bool{}
		for i, e := range s.Events {
			switch {
			case e.Process < 0 || e.Process >= len(s.Processes) || e.By < 1 || e.Name == "":
				t.Fatalf("event %d: %+v", i, e)
			case i > 0 && e.At < s.Events[i-1].At:
				t.Fatalf("event %d: time goes back", i)
			case e.Cause >= i || (e.Cause >= 0) != (e.Kind == Receive || e.Kind == Birth):
				t.Fatalf("event %d: cause %d", i, e.Cause)
			case e.Kind == Meet && (s.Events[e.Other].Other != i || s.Events[e.Other].Process == e.Process):
				t.Fatalf("event %d: other %d", i, e.Other)
			case ended[e.Process]:
				t.Fatalf("event %d is of a process that has ended", i)
			}
			ended[e.Process] = e.Kind == End
		}
	})
}

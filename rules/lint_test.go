package rules

import (
	"fmt"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{"rules":{}}`, "1:1 no .read and no .write"},
		{`{"rules":{".read":true}}`, "1:19 Everyone reads"},
		{`{"rules":{".write":"auth != null"}}`, "1:20 Everyone who is signed in writes"},
		{"{\"rules\":{\"a\":{\".read\":\"true\",\n\"b\":{\".read\":\"auth != null\"}}}}", "2:14 no effect: everything here is readable already by the .read at line 1 (/a)"},
		{`{"rules":{"a":{".write":"auth.uid == 'x'","b":{".write":false}}}}`, "1:57 takes nothing back: what is granted by the .write at line 1 (/a)"},
		{`{"rules":{"a":{".write":"auth.uid == 'x'","b":{".write":"auth.uid == 'x'"}}}}`, "1:57 asks the same"},
		{`{"rules":{"a":{".write":"data.exists()","b":{".write":"data.exists()"}}}}`, ""},
		{`{"rules":{"a":{".read":false,"b":{".read":"auth != null"}}}}`, ""},
		{`{"rules":{"a":{".read":false,"b":{".read":false}}}}`, ""},
		{`{"rules":{"a":{".read":true,".validate":"newData.exists()"}}}`, "1:41 asked of nobody"},
		{`{"rules":{"a":{".validate":"newData.exists()","$b":{".write":"auth != null"}}}}`, ""},
		{`{"rules":{"a":{".write":"auth != null","x":{".validate":false,"y":{".validate":"newData.exists()"}}}}}`, "1:80 never asked: the one at line 1 (/a/x)"},
		{`{"rules":{"a":{".write":"query.limitToFirst == 1"}}}`, "1:25 query.limitToFirst has no value in a .write"},
		{`{"rules":{"a":{".read":"query.limitToFirst == 1","$x":{}}}}`, "1:50 $x has nothing below"},
		{`{"rules":{"u":{"$uid":{".write":"auth != null"}}}}`, "1:16 No rule below $uid asks for it"},
		{`{"rules":{"u":{"$uid":{".write":"auth.uid == $uid"}}}}`, ""},
		{`{"rules":{"u":{"$uid":{"a":{".write":"auth.uid == $uid"}}}}}`, ""},
		{`{"rules":{"u":{"$userId":{".read":true}}}}`, ""},
		{`{"rules":{"a":{".write":"data.child('owner').val() == auth.uid"}}}`, "1:25 null equals null"},
		{`{"rules":{"a":{".write":"!data.exists() || auth.token.org === data.val()"}}}`, "1:25 auth.token.org === data.val() is true also"},
		{`{"rules":{"a":{".write":"auth != null && data.child('owner').val() == auth.uid"}}}`, ""},
		{`{"rules":{"$a":{".write":"$a == auth.uid"}}}`, ""},
		{`{"rules":{"a":{".write":"auth != null","$other":{".validate":false}}}}`, ""},
	} {
		r, err := Parse([]byte(c.doc))
		if err != nil {
			t.Errorf("%s: %v", c.doc, err)
			continue
		}
		var got []string
		for _, w := range r.Warnings() {
			got = append(got, fmt.Sprintf("%d:%d %s", w.Line, w.Column, w.Msg))
		}
		place, text, _ := strings.Cut(c.want, " ")
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], place+" ") || !strings.Contains(got[0], text)) {
			t.Errorf("%s: %q, want %q", c.doc, got, c.want)
		}
	}
	if got := (*Rules)(nil).Warnings(); got != nil {
		t.Errorf("no rules: %v", got)
	}
}

// Places are right however they are asked for, and asking in order reads the text once.
func TestPlaces(t *testing.T) {
	text := "aé\n\nb😀c\nd"
	want := map[int]string{0: "1:1", 1: "1:2", 3: "1:3", 4: "2:1", 5: "3:1", 6: "3:2", 10: "3:3", 12: "4:1", 13: "4:2", 99: "4:2"}
	for from := range want {
		for to := range want {
			p := parser{data: []byte(text)}
			for _, offset := range []int{from, to} {
				at := p.placeOf(offset)
				if got := fmt.Sprintf("%d:%d", at.line, at.column); got != want[offset] {
					t.Errorf("offset %d after %d: %s, want %s", offset, from, got, want[offset])
				}
			}
		}
	}
}

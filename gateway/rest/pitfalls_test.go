package rest

import (
	"strings"
	"testing"
)

// TestPitfalls has a case for each thing that servers of this API are known to get
// wrong, as far as it shows over REST.
func TestPitfalls(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"missing data is null, not 404", []step{
			{"GET", "/m/x/y.json", "", nil, 200, `null`},
		}},
		{"paths are not cleaned by a redirect", []step{
			{"PUT", "//s//a.json", `1`, nil, 200, `1`},
			{"GET", "///s/a/.json", "", nil, 200, `1`},
		}},
		{"a 412 has the value as its body and a bare ETag", []step{
			{"PUT", "/c.json", `{"a":1}`, nil, 200, `{"a":1}`},
			{"PUT", "/c.json", `2`, []string{"if-match: x"}, 412, `{"a":1}`},
		}},
		{"shallow goes with limitToFirst and startAfter", []step{
			{"PUT", "/sh.json", `{"a":1,"b":{"c":1},"d":1}`, nil, 200, `{"a":1,"b":{"c":1},"d":1}`},
			{"GET", "/sh.json?shallow=true&limitToFirst=1&startAfter=a&timeout=9ms0", "", nil, 400, badTimeout},
			{"GET", "/sh.json?shallow=true&limitToFirst=1&startAfter=a&timeout=9000ms", "", nil, 200, `{"b":true}`},
		}},
		{"mock tokens have expired in 1970", []step{
			{"GET", "/none.json?auth=" + mockToken, "", nil, 200, `null`},
		}},
		{"integers beyond 2^53 are exact, integral doubles are integers", []step{
			{"PUT", "/n.json", `[9223372036854775807,-9223372036854775808,9007199254740993,2147483648.0,-0.0,1e3]`, nil, 200,
				`[9223372036854775807,-9223372036854775808,9007199254740993,2147483648,0,1000]`},
		}},
		{"keys: integers by number first, then UTF-16 order", []step{
			{"PUT", "/k.json", `{"b":1,"a":1,"10":1,"9":1,"00":1,"-1":1,"\uFFFD":1,"😀":1,"2147483648":1}`, nil, 200,
				`{"-1":1,"00":1,"9":1,"10":1,"2147483648":1,"a":1,"b":1,"😀":1,"` + "\uFFFD" + `":1}`},
		}},
		{"a leaf that becomes an object keeps its priority", []step{
			{"PUT", "/l.json", `{".value":1,".priority":5}`, nil, 200, `1`},
			{"PUT", "/l/child.json", `2`, nil, 200, `2`},
			{"GET", "/l.json?format=export", "", nil, 200, `{".priority":5,"child":2}`},
		}},
		{"a node whose last child goes vanishes, with its priority", []step{
			{"DELETE", "/l/child.json", "", nil, 200, `null`},
			{"PUT", "/l/child.json", `3`, nil, 200, `3`},
			{"GET", "/l.json?format=export", "", nil, 200, `{"child":3}`},
		}},
		{"deleting below a leaf leaves the leaf", []step{
			{"PUT", "/leaf.json", `"v"`, nil, 200, `"v"`},
			{"DELETE", "/leaf/x/y.json", "", nil, 200, `null`},
			{"GET", "/leaf.json", "", nil, 200, `"v"`},
		}},
		{"PATCH takes deep keys, and they are one write", []step{
			{"PATCH", "/d.json", `{"a/b/c":1,"a/b/d":null,"e":{".sv":{"increment":1}}}`, nil, 200, `{"a/b/c":1,"a/b/d":null,"e":1}`},
			{"PATCH", "/d.json", `{"e":{".sv":{"increment":1}},"a":5,"bad$":1}`, nil, 400, msgBadObject},
			{"GET", "/d.json", "", nil, 200, `{"a":{"b":{"c":1}},"e":1}`},
		}},
		{"arrays: by keys and density", []step{
			{"PUT", "/arr.json", `{"0":"a","1":"b"}`, nil, 200, `["a","b"]`},
			{"PUT", "/arr.json", `{"1":"b","2":"c"}`, nil, 200, `[null,"b","c"]`},
			{"PUT", "/arr.json", `{"5":"x"}`, nil, 200, `{"5":"x"}`},
			{"PUT", "/arr.json", `{"01":"x"}`, nil, 200, `{"01":"x"}`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, f, c.steps) })
	}
	// A double of 2^63 and more as bare digits breaks the Java client.
	for _, s := range []string{"9223372036854775808", "1e19", "1e300"} {
		if got := f.do("PUT", "/n.json", s).body; !strings.ContainsAny(got, ".eE") {
			t.Errorf("%s is written as %s", s, got)
		}
	}
}

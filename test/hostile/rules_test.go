package hostile

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rebase/test/harness"
)

// Rules and what is judged by them can be made to be as much work as anybody likes to give. The control client's answers tell
// that others do not wait for it: it writes and reads in a database beside.

// put sends a request and returns the answer.
func (a *target) put(path, body string) (int, string) {
	a.t.Helper()
	req, err := http.NewRequest("PUT", "http://"+a.Addr+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	client := &http.Client{Timeout: patience}
	resp, err := client.Do(req)
	if err != nil {
		a.t.Fatalf("PUT %s: %v", path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func rule(kind, expr string) string {
	text, err := json.Marshal(expr)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"rules": {".read": true, %q: %s}}`, kind, text)
}

// Documents and expressions that nest without end, or are very long, are refused with a place, or taken; nothing else.
func TestRulesThatAreBombsToParse(t *testing.T) {
	a := attacked(t, 300*mib)
	deep := func(open, middle, end string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	for name, doc := range map[string]string{
		"nested documents":       `{"rules":` + deep(`{"a":`, `{}`, `}`, 100_000) + `}`,
		"nested wildcards":       `{"rules":` + deep(`{"$a":`, `{}`, `}`, 20_000) + `}`,
		"brackets":               rule(".write", deep("(", "true", ")", 100_000)),
		"negations":              rule(".write", strings.Repeat("!", 200_000)+"true"),
		"choices":                rule(".write", strings.Repeat("true ? ", 50_000)+"true"+strings.Repeat(" : false", 50_000)),
		"choices to the right":   rule(".write", strings.Repeat("auth == null ? true : ", 40_000)+"false"),
		"a chain of sums":        rule(".write", "1"+strings.Repeat("+1", 100_000)+" > 0"),
		"a chain of ors":         rule(".write", "false"+strings.Repeat("||false", 100_000)),
		"a chain of children":    rule(".write", "root"+strings.Repeat(".child('a')", 50_000)+".exists()"),
		"a chain of parents":     rule(".write", "data"+strings.Repeat(".parent()", 50_000)+".exists()"),
		"nested calls":           rule(".write", deep("root.child(", "'a'", ").val()", 30_000)+" == 1"),
		"a wide hasChildren":     rule(".validate", "newData.hasChildren(["+strings.TrimSuffix(strings.Repeat("'x',", 150_000), ",")+"])"),
		"a long text":            rule(".write", "'"+strings.Repeat("x", 900_000)+"' == 'x'"),
		"a repetition":           rule(".write", "auth.uid.matches(/(a{1000}){1000}/)"),
		"nested repetitions":     rule(".write", "auth.uid.matches(/"+deep("(", "a", "){100}", 50)+"/)"),
		"nested groups":          rule(".write", "auth.uid.matches(/"+deep("(", "a", ")", 100_000)+"/)"),
		"many alternatives":      rule(".write", "auth.uid.matches(/"+strings.TrimSuffix(strings.Repeat("a|", 100_000), "|")+"/)"),
		"many patterns":          rule(".write", strings.TrimSuffix(strings.Repeat("auth.uid.matches(/(a|b){9999}/)||", 20_000), "||")),
		"many rules on one line": `{"rules":{` + manyRules(20_000) + `}}`,
		"more than a megabyte":   rule(".write", strings.Repeat(" ", 2_000_000)+"true"),
		"comments without end":   "{\"rules\":{}" + strings.Repeat("/*", 400_000) + "}",
	} {
		status, answer := a.put("/.settings/rules.json?ns=bombs", doc)
		switch status {
		case 200:
		case 400:
			if !strings.Contains(answer, `{"error":"`) {
				t.Errorf("%s: %d %.200s", name, status, answer)
			}
		default:
			t.Errorf("%s: %d %.200s", name, status, answer)
		}
	}
}

func manyRules(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"k%d":{".read":"auth!=null"}`, i))
	}
	return strings.Join(list, ",")
}

// Rules that are accepted cost a bounded amount, whatever they are asked about: each write gets its answer.
func TestRulesThatAreBombsToRun(t *testing.T) {
	a := attacked(t, 600*mib)
	long := strings.Repeat("a", 2_000_000)
	children := make([]string, 50_000)
	for i := range children {
		children[i] = fmt.Sprintf(`"k%d":"aaaaaaaaaaaaaaaaaaaaaaaa!"`, i)
	}
	wide := "{" + strings.Join(children, ",") + "}"
	quotedLong, _ := json.Marshal(long + "!")
	for name, c := range map[string]struct{ rules, value string }{
		"a pattern that backtracks":    {rule(".write", "newData.val().matches(/^(a+)+$/)"), string(quotedLong)},
		"two that do":                  {rule(".write", "newData.val().matches(/^(a|a)*$/) || newData.val().matches(/^(a|aa)+$/) || newData.val().matches(/(.*)*b/)"), string(quotedLong)},
		"a pattern counted high":       {rule(".write", "newData.val().matches(/^(a?){3000}a{3000}$/)"), string(quotedLong)},
		"a text that doubles":          {rule(".write", doubling(40)+".length == 0"), string(quotedLong)},
		"a text replaced by itself":    {rule(".write", "newData.val()"+strings.Repeat(".replace('a', 'aa')", 60)+".length == 0"), string(quotedLong)},
		"a long text, many times":      {rule(".write", strings.TrimSuffix(strings.Repeat("newData.val().toUpperCase().contains('b')||", 5000), "||")), string(quotedLong)},
		"wide data, each judged":       {`{"rules":{".write":true,".read":true,"$k":{".validate":"newData.val().matches(/^(a+)+$/)"}}}`, wide},
		"wide data, each looking far":  {`{"rules":{".write":true,".read":true,"$k":{".validate":"newData.parent().hasChildren(['k1','k2','nothing'])"}}}`, wide},
		"children that are not there":  {rule(".write", "newData.hasChildren(["+strings.TrimSuffix(strings.Repeat("'k1',", 50_000), ",")+"]) && false"), wide},
		"all children, for all of it":  {`{"rules":{".write":true,"$k":{".validate":"` + strings.TrimSuffix(strings.Repeat("newData.parent().child('k1').exists()&&", 500), "&&") + `"}}}`, wide},
		"a deep choice":                {rule(".write", choices(40)), "1"},
		"the root of the root's child": {rule(".write", strings.TrimSuffix(strings.Repeat("root.child('k1').parent().child('k2').parent().child('k3').exists()||", 5000), "||")), "1"},
	} {
		if status, answer := a.put("/.settings/rules.json?ns=bombs", c.rules); status != 200 {
			t.Errorf("%s: the rules: %d %.200s", name, status, answer)
			continue
		}
		for range 3 {
			status, answer := a.put("/data.json?ns=bombs&print=silent", c.value)
			if status != 204 && status != 401 {
				t.Errorf("%s: %d %.200s", name, status, answer)
			}
		}
	}
}

// doubling is a text that is twice as long with each of n steps.
func doubling(n int) string {
	s := "newData.val()"
	for range min(n, 12) {
		s = "(" + s + "+" + s + ")"
	}
	return s
}

func choices(n int) string {
	s := "true"
	for range n {
		s = "(data.exists() ? false : " + s + ")"
	}
	return s
}

// Claims are the client's to choose, up to a size: a large auth variable, or a deep one, is refused or judged, and its client
// answered.
func TestHugeClaims(t *testing.T) {
	a := attacked(t, 300*mib)
	if status, answer := a.put("/.settings/rules.json?ns=bombs", rule(".write", "auth.token.a.a.a.a != null || auth.token.list.k9 == 'x' || auth.uid.matches(/^(a+)+$/)")); status != 200 {
		t.Fatal(status, answer)
	}
	enc := base64.RawURLEncoding
	token := func(claims string) string {
		return enc.EncodeToString([]byte(`{"alg":"none","type":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims)) + "."
	}
	wide := make([]string, 50_000)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"k%d":"x"`, i)
	}
	for name, claims := range map[string]string{
		"deep":      `{"sub":"u","a":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + "}",
		"deep list": `{"sub":"u","a":` + strings.Repeat(`[`, 200_000) + strings.Repeat("]", 200_000) + "}",
		"wide":      `{"sub":"u","list":{` + strings.Join(wide, ",") + "}}",
		"long":      `{"sub":"` + strings.Repeat("a", 4_000_000) + `!"}`,
		"not JSON":  `{"sub":`,
		"number":    `{"sub":"u","a":1e999999999}`,
	} {
		c := a.dialNS("bombs")
		c.SetDeadline(time.Now().Add(patience))
		if _, err := send(c, "auth", fmt.Appendf(nil, `{"cred":%q}`, token(claims))); err != nil {
			continue // the connection was ended, which is an answer
		}
		for i := range 5 {
			if _, err := c.Call("p", fmt.Appendf(nil, `{"p":"/data/x","d":%d}`, i)); err != nil {
				t.Errorf("%s: a write after it: %v", name, err)
				break
			}
		}
		c.Close()
	}
}

// send sends a request in segments, as an SDK would, and reads until it is answered.
func send(c *harness.Conn, action string, body []byte) (harness.Message, error) {
	text := fmt.Appendf(nil, `{"t":"d","d":{"r":900,"a":%q,"b":%s}}`, action, body)
	const segment = 16384
	if n := (len(text) + segment - 1) / segment; n > 1 {
		if err := c.WriteFrame(harness.Text, fmt.Appendf(nil, "%d", n)); err != nil {
			return harness.Message{}, err
		}
	}
	for len(text) > 0 {
		n := min(len(text), segment)
		if err := c.WriteFrame(harness.Text, text[:n]); err != nil {
			return harness.Message{}, err
		}
		text = text[n:]
	}
	for {
		m, err := c.Next()
		if err != nil || m.Request == 900 {
			return m, err
		}
	}
}

package rest

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	const text = "{\n  // comments stay\n  \"rules\": { \".read\": true, /* as do these */ \"a\": {\".indexOn\": \"b\"} }\n}\n"
	run(t, f, []step{
		{"GET", "/.settings/rules.json?ns=one", "", nil, 200, openRules},
		{"PUT", "/.settings/rules.json?ns=one", text, []string{"Authorization: Bearer owner", "Content-Type: application/json; charset=utf-8"}, 200, `{"status":"ok"}`},
		{"GET", "/.settings/rules.json?ns=one", "", nil, 200, text},
		{"GET", "//.settings/rules/.json?ns=one", "", nil, 200, text},
		{"GET", "/.settings/rules.json?ns=two", "", nil, 200, openRules},
		// Only checked.
		{"PUT", "/.settings/rules.json?ns=one&dryRun=true", `{"rules":{}}`, nil, 200, `{"status":"ok"}`},
		{"GET", "/.settings/rules.json?ns=one", "", nil, 200, text},
		// Effective at once.
		{"GET", `/a.json?ns=one&orderBy="b"&limitToFirst=1`, "", nil, 200, `null`},
		{"GET", `/a.json?ns=one&orderBy="c"&limitToFirst=1`, "", nil, 400, `Index not defined, add ".indexOn": "c", for path "/a", to the rules`},
		{"PUT", "/.settings/rules.json?ns=one", "", nil, 400, msgNoData},
		{"PUT", "/.settings/rules.json", `{"rules":"` + strings.Repeat("x", maxRulesBytes) + `"}`, nil, 400, msgWriteTooBig},
		{"DELETE", "/.settings/rules.json", "", nil, 405, "Method not allowed."},
		{"POST", "/.settings/rules.json", `{"rules":{}}`, []string{"X-HTTP-Method-Override: PUT"}, 200, `{"status":"ok"}`},
	})
	// Strict is JSON without comments.
	strict := f.get("/.settings/rules.json?ns=one&format=strict")
	var doc map[string]map[string]any
	if err := json.Unmarshal([]byte(strict), &doc); err != nil || doc["rules"][".read"] != true {
		t.Errorf("%v: %s", err, strict)
	}
	if got := f.get("/.settings/rules.json?ns=two&format=strict"); !json.Valid([]byte(got)) {
		t.Errorf("%s", got)
	}
	line := regexp.MustCompile(`^Line \d+: .`)
	for _, dry := range []string{"", "&dryRun=true"} {
		for _, bad := range []string{`{`, `{"rules":`, `[]`, `{}`, `{"rulez":{}}`, `{"rules":{},"x":1}`, `not json`, "{\"rules\":{\n\n\".indexOn\":7}}"} {
			a := f.do("PUT", "/.settings/rules.json?ns=one"+dry, bad)
			if msg := errorText(t, a.body); a.status != 400 || !line.MatchString(msg) {
				t.Errorf("%q: %d %s", bad, a.status, a.body)
			}
		}
	}
	// What is not JSON is a parse error: the rules unit testing library looks for the words.
	for _, bad := range []string{`{`, `not json`, `{"rules":{]}`} {
		if a := f.do("PUT", "/.settings/rules.json", bad); !strings.Contains(a.body, "Parse error") {
			t.Errorf("%q: %s", bad, a.body)
		}
	}
	if got := f.get("/.settings/rules.json?ns=one"); got != text {
		t.Errorf("bad rules were stored: %s", got)
	}
}

func TestSettings(t *testing.T) {
	f := newFixture(t)
	run(t, f, []step{
		{"GET", "/.settings/defaultWriteSizeLimit.json", "", nil, 200, `"unlimited"`},
		{"GET", "/.settings/strictTriggerValidation.json", "", nil, 200, `true`},
		{"GET", "/.settings.json", "", nil, 200, `{"defaultWriteSizeLimit":"unlimited","strictTriggerValidation":true}`},
		{"PUT", "/.settings/strictTriggerValidation.json", "false", nil, 400, "The setting strictTriggerValidation cannot be changed."},
		{"GET", "/.settings/secrets.json", "", nil, 404, "There is no setting secrets."},
		{"PUT", "/.settings/secrets.json", "1", nil, 404, "There is no setting secrets."},
	})
}

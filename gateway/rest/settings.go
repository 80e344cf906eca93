package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"rebase/audit"
	"rebase/db"
	"rebase/rules"
	"rebase/tree"
)

// maxRulesBytes bounds the text of rules.
const maxRulesBytes = 1 << 20

// openRules and closedRules say what holds for a database that was never given rules.
const (
	openRules = `{
  "rules": {
    ".read": true,
    ".write": true
  }
}
`
	closedRules = `{
  "rules": {
    ".read": false,
    ".write": false
  }
}
`
)

// constantSettings are those that clients read, with what holds here. They cannot
// be changed.
var constantSettings = map[string]string{
	"defaultWriteSizeLimit":   `"unlimited"`,
	"strictTriggerValidation": "true",
}

// settings serves /.settings/…
func (q *request) settings(name string) error {
	if err := q.requireAdmin(); err != nil {
		return err
	}
	if name == "rules" {
		return q.rules()
	}
	if q.method != http.MethodGet && q.method != http.MethodHead {
		if _, known := constantSettings[name]; known || name == "" {
			return badRequest("The setting " + name + " cannot be changed.")
		}
		return notFound(name)
	}
	if value, ok := constantSettings[name]; ok {
		return q.respond([]byte(value))
	}
	if name == "" {
		doc := []byte{'{'}
		for _, k := range []string{"defaultWriteSizeLimit", "strictTriggerValidation"} {
			if len(doc) > 1 {
				doc = append(doc, ',')
			}
			doc = append(tree.AppendJSONString(doc, k), ':')
			doc = append(doc, constantSettings[k]...)
		}
		return q.respond(append(doc, '}'))
	}
	return notFound(name)
}

func notFound(name string) error {
	return &apiError{status: http.StatusNotFound, msg: "There is no setting " + name + "."}
}

// rules serves /.settings/rules.json.
func (q *request) rules() error {
	switch q.method {
	case http.MethodGet, http.MethodHead:
		if err := q.deadline().sync(); err != nil {
			return err
		}
		text, parsed := q.o.DB.Rules(q.ns)
		if len(text) == 0 {
			text = []byte(closedRules)
			if q.open {
				text = []byte(openRules)
			}
			var err error
			if parsed, err = rules.Parse(text); err != nil {
				return err
			}
		}
		if q.params.strict {
			text = parsed.Strict()
		}
		q.contentHeaders()
		q.out.header().Set("Content-Type", jsonType)
		q.out.Write(text)
		return q.out.finish(http.StatusOK)
	case http.MethodPut:
		text, err := q.readBody(maxRulesBytes)
		if err != nil {
			return err
		}
		if err := checkRules(text); err != nil {
			return err
		}
		if !q.params.dryRun {
			// Who may do this was settled before; on an open server everybody may.
			res := q.do(&db.Op{Kind: db.OpSetRules, NS: q.ns, Rules: text, Caller: db.Root})
			q.record(audit.RulesReplaced, "", res.Err, map[string]string{"bytes": strconv.Itoa(len(text))})
			if res.Err != nil {
				return res.Err
			}
		}
		return q.respond([]byte(`{"status":"ok"}`))
	}
	return q.methodNotAllowed("GET, HEAD, PUT, OPTIONS")
}

// checkRules parses rules. A text that is not JSON at all is answered with "Parse
// error" in the message, which the rules unit testing library looks for.
func checkRules(text []byte) error {
	_, err := rules.Parse(text)
	if err == nil {
		return nil
	}
	msg := err.Error()
	var at *rules.Error
	if !errors.As(err, &at) || !strings.HasPrefix(msg, "Line ") {
		msg = "Line 1: " + msg
	}
	return badRequest(msg)
}

// inspect serves /.inspect/databases.json, by which an export finds the databases.
func (q *request) inspect(name string) error {
	if err := q.requireAdmin(); err != nil {
		return err
	}
	if name != "databases" {
		return &apiError{status: http.StatusNotFound, msg: "There is nothing to inspect here."}
	}
	if q.method != http.MethodGet && q.method != http.MethodHead {
		return q.methodNotAllowed("GET, HEAD, OPTIONS")
	}
	names, err := q.o.DB.Store().Namespaces()
	if err != nil {
		return err
	}
	doc := []byte{'['}
	for _, n := range names {
		if strings.HasPrefix(n, "_") {
			continue // the server's own
		}
		if len(doc) > 1 {
			doc = append(doc, ',')
		}
		doc = append(tree.AppendJSONString(append(doc, `{"name":`...), n), '}')
	}
	return q.respond(append(doc, ']'))
}

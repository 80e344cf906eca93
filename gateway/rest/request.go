package rest

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"rebase/auth"
	"rebase/db"
	"rebase/gateway/limit"
	"rebase/gateway/ns"
	"rebase/tree"
)

// request is one request on its way through the server.
type request struct {
	*Server
	r           *http.Request
	out         *output
	method      string // after method override
	ns          string
	identity    auth.Identity
	caller      *db.Caller // the same, for the database
	revocations uint64     // how many there were before it was found out
	params      params
	limits      *limit.Client
	held        int64 // of the budget for bodies

	reading  int64 // of the budget for reads
	readSize int   // bytes of JSON that were read for the response, about
	grown    int   // size at which it was last asked
	streamed bool  // the answer is a stream of events

	path     tree.Path
	priority bool // the priority of the node at path is meant
}

// effectiveMethod applies the method override, with which clients behind proxies
// that know only GET and POST reach the other verbs.
// A verb that the API does not have becomes methodOther.
func effectiveMethod(r *http.Request) string {
	if r.Method != http.MethodPost {
		return knownMethod(r.Method)
	}
	m := r.Header.Get("X-HTTP-Method-Override")
	if m == "" {
		for _, pair := range splitQuery(r.URL.RawQuery) {
			if strings.EqualFold(pair.key, "x-http-method-override") {
				m = pair.value
			}
		}
	}
	if m == "" {
		return r.Method
	}
	return knownMethod(strings.ToUpper(strings.TrimSpace(m)))
}

// methodOther stands for all verbs unknown here, so that hostile ones don't
// become metric labels.
const methodOther = "OTHER"

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch,
		http.MethodPost, http.MethodDelete, http.MethodOptions:
		return m
	}
	return methodOther
}

const allowedMethods = "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS"

func (q *request) serve() error {
	q.cors()
	if q.method == http.MethodOptions {
		q.out.header().Set("Allow", allowedMethods)
		q.out.finish(http.StatusOK)
		return nil
	}
	name, ok := strings.CutSuffix(q.r.URL.Path, ".json")
	if !ok {
		return badRequest(msgNotJSON)
	}
	if !utf8.ValidString(name) {
		return badRequest(msgBadPath)
	}
	var err error
	if q.params, err = parseParams(q.r.URL.RawQuery); err != nil {
		return err
	}
	if q.ns, err = ns.Of(q.r); err != nil {
		return badRequest(err.Error())
	}
	q.revocations = q.Server.revocations.Load()
	id, rejected := q.authenticate()
	if err = q.admit(id); err != nil { // rejected ones count, too: as their address's
		return err
	}
	if rejected != nil {
		return rejected
	}
	q.identity = id
	if q.caller, err = db.NewCaller(q.identity.Admin, q.open, q.identity.Auth); err != nil {
		return err
	}
	if err = q.checkApp(); err != nil {
		return err
	}
	switch first, rest, _ := strings.Cut(strings.TrimLeft(name, "/"), "/"); first {
	case ".settings":
		return q.settings(strings.Trim(rest, "/"))
	case ".inspect":
		return q.inspect(strings.Trim(rest, "/"))
	}
	if q.path, q.priority, err = tree.ParseWritePath(name); err != nil {
		return badRequest(msgBadPath)
	}
	switch q.method {
	case http.MethodGet, http.MethodHead:
		if q.r.Method == http.MethodGet && wantsStream(q.r) {
			return q.stream()
		}
		return q.read()
	case http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete:
		return q.write()
	}
	return q.methodNotAllowed(allowedMethods)
}

func (q *request) methodNotAllowed(allow string) error {
	return &apiError{status: http.StatusMethodNotAllowed, msg: "Method not allowed.",
		header: http.Header{"Allow": {allow}}}
}

// cors lets pages of any origin use the API, as Firebase does: what protects the
// data is the credential in the request, never a cookie.
func (q *request) cors() {
	h := q.out.header()
	origin := q.r.Header.Get("Origin")
	if origin == "" {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
	}
	h.Set("Access-Control-Expose-Headers", "ETag")
	if q.method != http.MethodOptions {
		return
	}
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	if ask := q.r.Header.Get("Access-Control-Request-Headers"); ask != "" {
		h.Set("Access-Control-Allow-Headers", ask)
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	h.Set("Access-Control-Max-Age", "3600")
}

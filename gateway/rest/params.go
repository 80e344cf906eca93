package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// params are the parameters of a request other than credentials.
type params struct {
	values url.Values // all of them, for the query parser

	pretty, silent bool // print=
	export, strict bool // format=
	shallow        bool
	dryRun         bool
	callback       string
	download       string
	attach         bool          // download is given, perhaps without a name
	timeout        time.Duration // 0: none
	writeSize      int64         // bytes that a write may touch; 0: no limit but the body's
}

// queryNames are the parameters that select among children.
var queryNames = []string{"orderBy", "startAt", "startAfter", "endAt", "endBefore", "equalTo", "limitToFirst", "limitToLast"}

// isQuery tells whether the request selects among children.
func (p *params) isQuery() bool {
	for _, name := range queryNames {
		if p.values.Has(name) {
			return true
		}
	}
	return false
}

type queryPair struct{ key, value string }

// splitQuery takes a raw query apart. Unlike url.ParseQuery it gives up nothing:
// what cannot be unescaped is taken literally, and ';' is no separator. Dropping a
// parameter silently would answer a filtered read with everything.
func splitQuery(raw string) []queryPair {
	if raw == "" {
		return nil
	}
	parts := strings.Split(raw, "&")
	pairs := make([]queryPair, 0, len(parts))
	for _, part := range parts {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		pairs = append(pairs, queryPair{unescape(k), unescape(v)})
	}
	return pairs
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

func parseParams(raw string) (params, error) {
	p := params{values: make(url.Values)}
	for _, pair := range splitQuery(raw) {
		p.values.Add(pair.key, pair.value)
	}
	get := p.values.Get
	switch get("print") {
	case "pretty":
		p.pretty = true
	case "silent":
		p.silent = true
	}
	p.export = get("format") == "export"
	p.strict = get("format") == "strict"
	p.shallow = get("shallow") == "true"
	p.dryRun = get("dryRun") == "true"
	p.attach = p.values.Has("download")
	p.download = get("download")
	if p.values.Has("callback") {
		p.callback = get("callback")
		if !validCallback(p.callback) {
			return p, badRequest("callback must be the name of a JavaScript function")
		}
	}
	if p.values.Has("timeout") {
		var err error
		if p.timeout, err = parseTimeout(get("timeout")); err != nil {
			return p, err
		}
	}
	if p.values.Has("writeSizeLimit") {
		n, ok := writeSizes[get("writeSizeLimit")]
		if !ok {
			return p, badRequest("writeSizeLimit must be one of tiny, small, medium, large and unlimited")
		}
		p.writeSize = n
	}
	return p, nil
}

// writeSizes gives writeSizeLimit its meaning. Firebase estimates how long a write
// would hold up the database and compares with 1, 10, 30 and 60 seconds. Here the
// cost of a write is what it removes plus what it adds, and a second stands for 1 MiB.
var writeSizes = map[string]int64{
	"tiny":      1 << 20,
	"small":     10 << 20,
	"medium":    30 << 20,
	"large":     60 << 20,
	"unlimited": 0,
}

const maxTimeout = 15 * time.Minute

// parseTimeout reads "3ms", "3s" or "3min".
func parseTimeout(s string) (time.Duration, error) {
	bad := badRequest("timeout must be a number of ms, s or min, like 3s, above 0 and at most 15min")
	i := strings.LastIndexAny(s, "0123456789") + 1
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0, bad
	}
	unit, ok := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "min": time.Minute}[s[i:]]
	// Compared before the multiplication, which could overflow; NaN fails too.
	if !ok || !(n > 0) || n > float64(maxTimeout/unit) {
		return 0, bad
	}
	return max(1, time.Duration(n*float64(unit))), nil
}

// validCallback accepts names like f, a.b.c, $x and list[3]. Anything else could
// carry script into a page that trusts this origin.
func validCallback(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	start := true // of an identifier
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c == '_' || c == '$' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		switch {
		case letter:
			start = false
		case digit && !start:
		case c == '.' && !start:
			start = true
		case c == '[' && !start:
			j := i + 1
			for j < len(s) && '0' <= s[j] && s[j] <= '9' {
				j++
			}
			if j == i+1 || j == len(s) || s[j] != ']' {
				return false
			}
			if j+1 < len(s) && s[j+1] != '.' && s[j+1] != '[' {
				return false
			}
			i = j
		default:
			return false
		}
	}
	return !start
}

// wantsETag tells whether the response is to carry an ETag.
func wantsETag(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("X-Firebase-ETag"), "true")
}

// wantsStream tells whether the client asks for Server-Sent Events.
func wantsStream(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			media, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
				return true
			}
		}
	}
	return false
}

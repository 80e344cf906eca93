package rest

import (
	"net/http"
	"strings"

	"rebase/tree"
)

// nullETag is the ETag of a location without data.
const nullETag = "null_etag"

// etagOf is the ETag of a node: the hash that transactions of the SDKs use. It is
// sent without quotes, as clients of Firebase expect.
func etagOf(n *tree.Node) string { return etagOfHash(tree.Hash(n)) }

func etagOfHash(h string) string {
	if h == "" {
		return nullETag
	}
	return h
}

// hashOfETag is the inverse; it forgives quotes and the mark of a weak ETag, which
// proxies and HTTP libraries add.
func hashOfETag(tag string) string {
	tag = strings.TrimSpace(tag)
	tag = strings.TrimPrefix(tag, "W/")
	switch tag = strings.Trim(tag, `"`); tag {
	case nullETag:
		return ""
	case "":
		return "none" // the hash of nothing at all
	}
	return tag
}

// noneMatch tells whether the If-None-Match header names the node's ETag.
func noneMatch(r *http.Request, hash string) bool {
	for _, v := range r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(v, ",") {
			if strings.TrimSpace(tag) == "*" {
				if hash != "" {
					return true
				}
			} else if hashOfETag(tag) == hash {
				return true
			}
		}
	}
	return false
}

// setETag sets the header in the spelling of the real service.
func (q *request) setETag(n *tree.Node) { q.out.header()["ETag"] = []string{etagOf(n)} }

// checkConditions refuses conditional headers where they have no meaning.
func (q *request) checkConditions() error {
	has := func(name string) bool { return len(q.r.Header.Values(name)) > 0 }
	if has("If-Match") && q.method != http.MethodPut && q.method != http.MethodDelete {
		return badRequest(msgIfMatchMethod)
	}
	if wantsETag(q.r) && q.method == http.MethodPatch {
		return badRequest(msgETagMethod)
	}
	reading := q.method == http.MethodGet || q.method == http.MethodHead
	partial := q.priority || reading && (q.params.shallow || q.params.isQuery())
	if partial && (has("If-Match") || wantsETag(q.r) || reading && has("If-None-Match")) {
		return badRequest(msgETagQuery)
	}
	return nil
}

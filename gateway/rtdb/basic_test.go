package rtdb

import (
	"strings"
	"testing"
	"time"
)

// The names of these tests follow what naive servers of this protocol get wrong.

func TestHelloComesFirstWithTheRequestsHost(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	h := p.hello
	if h.V != "5" || len(h.S) != 32 || h.Host != strings.TrimPrefix(r.http.URL, "http://") {
		t.Fatalf("hello %+v", h)
	}
	if h.TS < time.Now().Add(-time.Minute).UnixMilli() || h.TS < 1<<31 {
		t.Fatalf("ts %d", h.TS)
	}
}

func TestPongCarriesData(t *testing.T) {
	p := newRig(t).dial()
	p.sendFrame(`0`)
	p.sendFrame(`{"t":"c","d":{"t":"p","d":{}}}`)
	p.expect(`{"t":"c","d":{"t":"o","d":null}}`)
}

func TestWriterGetsPushBeforeAnswer(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	if got := p.listen("/a"); got != data("a", "null") {
		t.Fatal(got)
	}
	n := p.request("p", `{"p":"/a/b","d":{"x":1,".priority":2}}`)
	p.expect(data("a/b", `{".priority":2,"x":1}`), ok(n))
	n = p.request("m", `{"p":"/a","d":{"b/x":null,"c":[1,2]}}`)
	p.expect(`{"t":"d","d":{"a":"m","b":{"p":"a","d":{"b/x":null,"c":{"0":1,"1":2}}}}}`, ok(n))
	if got := r.export("a"); got != `{"c":{"0":1,"1":2}}` {
		t.Fatal(got)
	}
}

func TestEveryActionIsAnswered(t *testing.T) {
	p := newRig(t).dial()
	for _, tc := range []struct{ action, body, status, payload string }{
		{"s", `{"c":{"sdk.js.12-19-0":1}}`, "ok", `""`},
		{"n", `{"p":"/nothing"}`, "ok", `""`},
		{"unauth", `{}`, "ok", `"unauthenticated"`},
		{"appcheck", `{"token":"x"}`, "ok", `""`},
		{"unappeck", `{}`, "ok", `""`},
		{"unappcheck", `{}`, "ok", `""`},
		{"gauth", `{"cred":"owner"}`, "ok", `{"auth":null}`},
		{"gauth", `{"cred":"owner","authvar":{"uid":"u"}}`, "ok", `{"auth":{"uid":"u"}}`},
		{"gauth", `{"cred":"owner","noauth":true}`, "ok", `{"auth":null}`},
		{"auth", `{"cred":"nonsense"}`, "invalid_token", `"the credential is not a JSON Web Token"`},
		{"brew", `{}`, "failure", `"unknown action \"brew\""`},
		{"brew", `7`, "failure", `"unknown action \"brew\""`},
		{"p", `{"d":1}`, "failure", `"the request has no path"`},
		{"p", `{"p":7,"d":1}`, "failure", `"member \"p\" of the request has the wrong type"`},
		{"p", `{"p":"/a"}`, "failure", `"the request has no data"`},
		{"p", `{"p":"/.info/connected","d":1}`, "permission_denied", `"Permission denied"`},
		{"m", `{"p":"/","d":{".info/x":1}}`, "permission_denied", `"Permission denied"`},
		{"m", `{"p":"/","d":7}`, "failure", `"an update must be an object"`},
		{"p", `{"p":"/gone/.priority","d":1}`, "failure", `"a node that does not exist cannot have a priority"`},
		{"g", `{"p":"/","q":{}}`, "ok", `null`},
		{"q", `{"p":"/","h":""}`, "ok", `{}`},
		{"oc", `{"p":"/a","d":null}`, "ok", `""`},
	} {
		n := p.request(tc.action, tc.body)
		p.expect(answerText(n, tc.status, tc.payload))
	}
}

func TestMockTokenIsNotCheckedForExpiry(t *testing.T) {
	p := newRig(t).dial()
	// {"alg":"none","type":"JWT"} . {"iat":0,"exp":3600,"sub":"alice"} . nothing
	n := p.request("auth", `{"cred":"eyJhbGciOiJub25lIiwidHlwZSI6IkpXVCJ9.eyJpYXQiOjAsImV4cCI6MzYwMCwic3ViIjoiYWxpY2UifQ."}`)
	p.expect(answerText(n, "ok", `{"auth":{"uid":"alice","token":{"exp":3600,"iat":0,"sub":"alice"}}}`))
}

func TestDataBeforeListenAnswer(t *testing.T) {
	r := newRig(t)
	r.set("a", `{"x":1}`)
	p := r.dial()
	n := p.request("q", `{"p":"/a","h":""}`)
	p.expect(data("a", `{"x":1}`), answerText(n, "ok", "{}"))
}

func TestTransactionStaleAnswerComesAfterTheMissingPush(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	p.listen("/n")
	r.set("n", `5`)
	n := p.request("p", `{"p":"/n","d":1,"h":""}`)
	p.expect(data("n", "5"), answerText(n, "datastale", `"Transaction hash does not match"`))
	n = p.request("p", `{"p":"/n","d":6,"h":"w28swksk9+tXf5jEdS9R5oSFAv8="}`)
	p.expect(data("n", "6"), ok(n))
}

func TestOnDisconnectRunsWhenTheConnectionCloses(t *testing.T) {
	r := newRig(t)
	watcher := r.dial()
	watcher.listen("/who")
	p := r.dial()
	n := p.request("o", `{"p":"/who/a","d":"gone"}`)
	p.expect(ok(n))
	n = p.request("om", `{"p":"/who","d":{"b":1}}`)
	p.expect(ok(n))
	p.conn.CloseNow()
	watcher.expect(`{"t":"d","d":{"a":"m","b":{"p":"who","d":{"a":"gone","b":1}}}}`)
}

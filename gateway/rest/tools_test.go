package rest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// The tests here send the requests of firebase-tools, in its order.

const owner = "Authorization: Bearer owner"

// TestToolsExportImport is an emulator hub's export, and an import elsewhere.
func TestToolsExportImport(t *testing.T) {
	f := newFixture(t)
	f.put("/.json?ns=shop", `{"items":["a","b",{".value":3,".priority":"p"}],"deep":{"x":{"y":{".priority":1,"z":true}}},"big":9007199254740993,"s":"ü😀"}`)
	f.put("/.json?ns=other", `1`)
	var names []struct {
		Name string `json:"name"`
	}
	a := f.do("GET", "/.inspect/databases.json?ns=shop", "", owner)
	if err := json.Unmarshal([]byte(a.body), &names); err != nil || len(names) != 2 || names[1].Name != "shop" {
		t.Fatalf("%v %v", err, a)
	}
	for _, n := range names {
		a := f.do("GET", "/.json?ns="+n.Name+"&shallow=true&limitToFirst=1", "", owner)
		if a.status != 200 || a.body == "null" {
			t.Fatalf("%+v", a)
		}
		export := f.do("GET", "/.json?ns="+n.Name+"&format=export", "", owner)
		if export.status != 200 {
			t.Fatalf("%+v", export)
		}
		a = f.do("PUT", "/.json?ns=copy-"+n.Name+"&disableTriggers=true&writeSizeLimit=unlimited", export.body, owner)
		if a.status != 200 {
			t.Fatalf("%+v", a)
		}
		if copied := f.do("GET", "/.json?ns=copy-"+n.Name+"&format=export", "", owner); copied.body != export.body {
			t.Errorf("got %s, want %s", copied.body, export.body)
		}
	}
}

// TestToolsRemove is database:remove of something too large for one request: it
// lists the keys page by page and deletes what fits with multi-path nulls.
func TestToolsRemove(t *testing.T) {
	f := newFixture(t)
	pad := strings.Repeat("x", 100_000)
	for i := range 30 {
		f.do("PUT", fmt.Sprintf("/big/k%02d.json?print=silent", i), `{"v":"`+pad+`"}`)
	}
	f.do("DELETE", "/big.json?writeSizeLimit=tiny&print=silent", "", owner).want(t, "whole", 400, msgWriteTooBig)
	rounds := 0
	for after := ""; ; rounds++ {
		target := "/big.json?shallow=true&limitToFirst=9&timeout=30000ms"
		if after != "" {
			target += "&startAfter=" + url.QueryEscape(after)
		}
		a := f.do("GET", target, "", owner)
		if a.status != 200 {
			t.Fatalf("%+v", a)
		}
		if a.body == "null" {
			break
		}
		keys := strings.Fields(keysOf(t, a.body))
		nulls := make([]string, len(keys))
		for i, k := range keys {
			nulls[i] = fmt.Sprintf("%q:null", k)
		}
		a = f.do("PATCH", "/big.json?print=silent&writeSizeLimit=tiny", "{"+strings.Join(nulls, ",")+"}", owner)
		if a.status != 204 {
			t.Fatalf("%+v", a)
		}
		after = keys[len(keys)-1]
	}
	if got := f.get("/big.json"); rounds != 4 || got != "null" {
		t.Errorf("%d rounds, left: %.100s", rounds, got)
	}
}

// TestToolsImportChunks is database:import, which cuts a file into PATCHes of deep
// paths.
func TestToolsImportChunks(t *testing.T) {
	f := newFixture(t)
	for _, chunk := range []string{`{"a/b/c":1,"a/b/d":{"e":[1,2]}}`, `{"a/f":"x","g":true}`} {
		a := f.do("PATCH", "/target.json?disableTriggers=true&print=silent&writeSizeLimit=medium", chunk, owner)
		if a.status != 204 {
			t.Fatalf("%+v", a)
		}
	}
	if got, want := f.get("/target.json"), `{"a":{"b":{"c":1,"d":{"e":[1,2]}},"f":"x"},"g":true}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

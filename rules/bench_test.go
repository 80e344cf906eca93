package rules

import (
	"fmt"
	"testing"

	"rebase/tree"
)

var benchTree = func() *tree.Node {
	var users []tree.Child
	for i := range 100 {
		user := tree.NewObject([]tree.Child{{Key: "admin", Node: tree.NewBool(i == 7)}, {Key: "name", Node: tree.NewString("somebody")}})
		users = append(users, tree.Child{Key: fmt.Sprint("u", i), Node: user})
	}
	return tree.NewObject([]tree.Child{{Key: "users", Node: tree.NewObject(users)}})
}()

// realistic are the rules of an app: about twenty, three levels deep, one look-up.
const realistic = `{"rules":{
	".read": "auth != null && auth.token.admin == true",
	"users": {"$uid": {
		".read": "auth != null && auth.uid == $uid", ".write": "auth != null && auth.uid == $uid",
		".validate": "newData.hasChildren(['name'])",
		"name": {".validate": "newData.isString() && newData.val().length < 100"},
		"email": {".validate": "newData.isString() && newData.val().matches(/^[^@]+@[^@]+$/)"},
		"admin": {".validate": "newData.val() == data.val()"},
		"$other": {".validate": false}}},
	"rooms": {"$room": {
		".read": "root.child('users/' + auth.uid + '/admin').val() == true",
		".write": "root.child('users/' + auth.uid + '/admin').val() == true",
		".validate": "newData.hasChildren(['title', 'time'])",
		"title": {".validate": "newData.isString() && newData.val().length <= 50"},
		"time": {".validate": "newData.val() <= now"},
		"members": {"$uid": {".validate": "newData.isBoolean()"}},
		"$other": {".validate": false}}},
	"log": {"$id": {".write": "!data.exists()", ".read": false, ".validate": "newData.hasChildren(['at', 'text'])",
		"at": {".validate": "newData.isNumber()"}, "text": {".validate": "newData.isString()"}}}
}}`

func benchmarks(t testing.TB) []struct {
	name  string
	write bool
	most  float64 // allocations
	rules *Rules
	req   *Request
} {
	auth := mustAuth(t, `{"uid":"u7","token":{"email":"x@example.org"}}`)
	state := TreeState(benchTree)
	with := func(p tree.Path, v *tree.Node) State { return TreeState(benchTree.Set(p, v)) }
	room := mustTree(t, `{"title":"A room","time":5,"members":{"u7":true,"u8":false}}`)
	app := mustParse(t, realistic)
	one := func(expr string) *Rules {
		return mustParse(t, `{"rules":{"users":{"$uid":{".read":`+quote(expr)+`}}}}`)
	}
	type row = struct {
		name  string
		write bool
		most  float64
		rules *Rules
		req   *Request
	}
	return []row{
		{"own", false, 0, one("auth != null && auth.uid == $uid"), &Request{Auth: auth, Path: "users/u7", State: state}},
		{"deep", false, 0, one("auth != null && auth.uid == $uid"), &Request{Auth: auth, Path: "users/u7/a/b/c/d", State: state}},
		{"data", false, 0, one("data.exists() && data.hasChildren() && now > 0 && $uid.length < 10"), &Request{Now: 10, Auth: auth, Path: "users/u7", State: state}},
		{"string", false, 0, one("auth.token.email.matches(/^[a-z]+@example\\.org$/) && auth.uid.beginsWith('u')"), &Request{Auth: auth, Path: "users/u7", State: state}},
		{"look-up", false, 1, one("root.child('users/'+auth.uid+'/admin').val() == true"), &Request{Auth: auth, Path: "users/u7", State: state}},
		{"look-ups", false, 1, one("root.child('users').child(auth.uid).child('admin').isBoolean() && root.child('users/'+auth.uid+'/admin').val() == true"), &Request{Auth: auth, Path: "users/u7", State: state}},
		{"app/read", false, 0, app, &Request{Auth: auth, Path: "users/u7", State: state}},
		{"app/leaf", true, 1, app, &Request{Auth: auth, Path: "users/u7/name", State: state, New: with("users/u7/name", tree.NewString("else"))}},
		{"app/room", true, 12, app, &Request{Auth: auth, Now: 10, Path: "rooms/r1", State: state, New: with("rooms/r1", room)}},
	}
}

func decide(r *Rules, req *Request, write bool) bool {
	if write {
		return r.Write(req).Allowed
	}
	return r.Read(req).Allowed
}

func BenchmarkDecide(b *testing.B) {
	for _, bench := range benchmarks(b) {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !decide(bench.rules, bench.req, bench.write) {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(realistic)))
	for b.Loop() {
		if _, err := Parse([]byte(realistic)); err != nil {
			b.Fatal(err)
		}
	}
}

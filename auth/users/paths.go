package users

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"rebase/tree"
)

// Namespace is the system tree.
const Namespace = "_auth"

// place is where the records of one project are.
type place tree.Path

func at(project string) place { return place(tree.Path("projects").Child(escape(project))) }

func (p place) child(keys ...string) tree.Path {
	path := tree.Path(p)
	for _, k := range keys {
		path = path.Child(escape(k))
	}
	return path
}

func (p place) users() tree.Path                   { return p.child("users") }
func (p place) user(uid string) tree.Path          { return p.child("users", uid) }
func (p place) email(address string) tree.Path     { return p.child("emails", address) }
func (p place) phone(number string) tree.Path      { return p.child("phones", number) }
func (p place) provider(id, raw string) tree.Path  { return p.child("providers", id, raw) }
func (p place) sessions(uid string) tree.Path      { return p.child("refresh", uid) }
func (p place) session(uid, hash string) tree.Path { return p.child("refresh", uid, hash) }
func (p place) revocations() tree.Path             { return p.child("revoked") }
func (p place) revocation(uid string) tree.Path    { return p.child("revoked", uid) }
func (p place) codes() tree.Path                   { return p.child("codes") }
func (p place) code(hash string) tree.Path         { return p.child("codes", hash) }

// maxKeyBytes is what an escaped key may have. Longer ones, which only providers' ids can be, become their hash.
const maxKeyBytes = 512

// escape writes any text as a key of the tree: what a key may not contain, and '%', becomes %XX.
func escape(s string) string {
	n := 0
	for i := range len(s) {
		if escapes(s[i]) {
			n++
		}
	}
	if s == "" {
		return "%"
	}
	if len(s)+2*n > maxKeyBytes {
		return "%%" + hashText(s)
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; escapes(c) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// escapes tells whether a byte is escaped. All that are not ASCII are: ids need not be UTF-8.
func escapes(c byte) bool {
	return c < 0x20 || c >= 0x7F || strings.IndexByte(".$#[]/%", c) >= 0
}

// unescape undoes escape, but for what has become a hash.
func unescape(key string) string {
	if strings.IndexByte(key, '%') < 0 {
		return key
	}
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		var c byte
		if key[i] == '%' && i+2 < len(key) {
			if _, err := fmt.Sscanf(key[i+1:i+3], "%02X", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		if key != "%" {
			b.WriteByte(key[i])
		}
	}
	return b.String()
}

// hashText is how a secret is kept: it has enough entropy not to need a salt.
func hashText(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

package tree

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePath(t *testing.T) {
	for in, want := range map[string]Path{
		"": "", "/": "", "///": "", "a": "a", "/a": "a", "a/": "a", "/a//b///c/": "a/b/c", "é ü%/😀": "é ü%/😀", "a b": "a b", "-1/00": "-1/00",
	} {
		if got, err := ParsePath(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"a.b", "$a", "a#", "a[0]", "a/\x00", "a/\x7f", ".priority", "a/.priority", "a/.value", ".info", "a\n", "\xff", "a/\xed\xa0\x80"} {
		_, err := ParsePath(in)
		var e *KeyError
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", in, err)
		}
	}
	deep := strings.Repeat("a/", MaxDepth)
	if p, err := ParsePath(deep); err != nil || p.Depth() != MaxDepth {
		t.Error(err)
	}
	long := strings.Repeat("k", MaxKeyBytes)
	if _, err := ParsePath(long + "/" + long); err != nil {
		t.Error(err)
	}
	for in, limit := range map[string]string{deep + "a": "depth", "a/" + long + "k": "key bytes"} {
		_, err := ParsePath(in)
		var e *LimitError
		if !errors.As(err, &e) || e.Limit != limit || e.Got != e.Max+1 {
			t.Errorf("%s: %v", limit, err)
		}
	}
}

func TestParseWritePath(t *testing.T) {
	for in, want := range map[string]struct {
		p    Path
		prio bool
	}{"a/b": {"a/b", false}, "/a/.priority": {"a", true}, ".priority": {"", true}, "/": {"", false}, "a//.priority/": {"a", true}} {
		p, prio, err := ParseWritePath(in)
		if err != nil || p != want.p || prio != want.prio {
			t.Errorf("%q: got %q %v %v", in, p, prio, err)
		}
	}
	for _, in := range []string{".priority/a", "a/.priority/b", ".priority/.priority", ".value", "a/.sv"} {
		if _, _, err := ParseWritePath(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for c := range rune(0x100) {
		bad := c < 0x20 || c == 0x7F || strings.ContainsRune(".$#[]/", c)
		if err := CheckKey("k" + string(c)); (err != nil) != bad {
			t.Errorf("%q: %v", c, err)
		}
	}
	if CheckKey("") == nil || CheckKey("a\xc3") == nil {
		t.Error("an empty or broken key is accepted")
	}
}

func TestPathParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := pathGen.Draw(t, "p"), pathGen.Draw(t, "q")
		key := keyGen.Draw(t, "key")
		if c := p.Child(key); c.Parent() != p || c.Base() != key || c.Depth() != p.Depth()+1 || !p.Contains(c) || c.Contains(p) {
			t.Fatalf("child %q of %q", c, p)
		}
		j := p.Join(q)
		if !p.Contains(j) || j.Rel(p) != q || j.Depth() != p.Depth()+q.Depth() {
			t.Fatalf("%q joined with %q is %q, back %q", p, q, j, j.Rel(p))
		}
		first, rest := j.Front()
		if Path(first).Join(rest) != j || strings.Contains(first, "/") {
			t.Fatalf("%q is split into %q and %q", j, first, rest)
		}
		if again, err := ParsePath("//" + strings.ReplaceAll(string(j), "/", "//") + "/"); err != nil || again != j {
			t.Fatalf("%q is read back as %q, %v", j, again, err)
		}
		if p.Contains(q) && q.Contains(p) != (p == q) {
			t.Fatalf("%q and %q", p, q)
		}
	})
	if Path("ab").Contains("abc") || Path("a/b").Contains("a/bc/d") || !Path("").Contains("") {
		t.Error("Contains compares bytes, not keys")
	}
	if Path("").Parent() != "" || Path("").Base() != "" || Path("").Depth() != 0 {
		t.Error("the root has a parent")
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"", "/a//b/", "a/.priority", "a.b", "\xff/", strings.Repeat("a/", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			return
		}
		if again, err := ParsePath(string(p)); err != nil || again != p {
			t.Fatalf("%q gives %q, which gives %q, %v", s, p, again, err)
		}
		var keys []string
		for key := range strings.SplitSeq(s, "/") {
			if key != "" {
				keys = append(keys, key)
			}
		}
		if string(p) != strings.Join(keys, "/") || p.Depth() != len(keys) || len(keys) > MaxDepth {
			t.Fatalf("%q gives %q", s, p)
		}
		if w, prio, err := ParseWritePath(s + "/.priority"); err != nil || w != p || !prio {
			t.Fatalf("%q: %q, %v, %v", s, w, prio, err)
		}
	})
}

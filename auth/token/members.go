package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// members returns the members of a JSON object. encoding/json would take the last of two members of one name, and into a struct also one
// whose name differs in case; other readers take the first, or only the exact one. A signed text must have one meaning,
// so names are exact here and a name that occurs twice is an error.
func members(b []byte, maxDepth int) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	// Before json.Valid, which recurses in no way but would go through 16 KiB of brackets all the same.
	if d := depth(b); d > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	if !json.Valid(b) {
		return nil, errors.New("not JSON")
	}
	i := space(b, 0)
	if i == len(b) || b[i] != '{' {
		return nil, errors.New("not an object")
	}
	m := make(map[string]json.RawMessage, 16)
	// From here on the text is known to be valid, so that the steps are few.
	for i = space(b, i+1); b[i] != '}'; {
		end := stringEnd(b, i)
		name, ok := text(b[i:end])
		if !ok {
			return nil, errors.New("not JSON")
		}
		if _, twice := m[name]; twice {
			return nil, errTwice
		}
		if len(m) == MaxMembers {
			return nil, fmt.Errorf("more than %d members", MaxMembers)
		}
		i = space(b, space(b, end)+1) // behind the colon
		end = valueEnd(b, i)
		m[name] = json.RawMessage(b[i:end:end])
		if i = space(b, end); b[i] == ',' {
			i = space(b, i+1)
		}
	}
	return m, nil
}

// depth counts brackets outside of strings. For a text that is not valid JSON it returns some number.
func depth(b []byte) int {
	n, most := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			n++
			most = max(most, n)
		case '}', ']':
			n--
		}
	}
	return most
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns where the string that begins at i ends.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns where the value that begins at i ends.
func valueEnd(b []byte, i int) int {
	n := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
			if n == 0 {
				return i + 1
			}
		case '{', '[':
			n++
		case '}', ']':
			if n == 0 {
				return i // of what encloses it
			}
			if n--; n == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if n == 0 {
				return i
			}
		}
	}
	return i
}

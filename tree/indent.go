package tree

// Indent appends the JSON text src in the layout of Firebase's print=pretty: two spaces for each object that is open, a
// space on either side of a colon, and arrays in one line. src must be valid JSON.
func Indent(dst, src []byte) []byte {
	depth := 0
	newline := func() {
		dst = append(dst, '\n')
		for range depth {
			dst = append(dst, "  "...)
		}
	}
	// open holds, for each container that is open, whether it is an object.
	var open []bool
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			from := i
			for i++; i < len(src) && src[i] != '"'; i++ {
				if src[i] == '\\' {
					i++
				}
			}
			dst = append(dst, src[from:min(i+1, len(src))]...)
		case '{', '[':
			dst = append(dst, c)
			open = append(open, c == '{')
			if empty, end := closes(src, i+1); empty {
				dst = append(dst, ' ', src[end])
				open = open[:len(open)-1]
				i = end
			} else if c == '{' {
				depth++
				newline()
			} else {
				dst = append(dst, ' ')
			}
		case '}':
			depth--
			newline()
			dst = append(dst, c)
			open = open[:max(0, len(open)-1)]
		case ']':
			dst = append(dst, ' ', c)
			open = open[:max(0, len(open)-1)]
		case ',':
			dst = append(dst, c)
			if len(open) > 0 && open[len(open)-1] {
				newline()
			} else {
				dst = append(dst, ' ')
			}
		case ':':
			dst = append(dst, " : "...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// closes reports whether nothing but white space comes before a closing bracket, and where that is.
func closes(src []byte, i int) (bool, int) {
	for ; i < len(src); i++ {
		switch src[i] {
		case ' ', '\t', '\n', '\r':
		case '}', ']':
			return true, i
		default:
			return false, 0
		}
	}
	return false, 0
}

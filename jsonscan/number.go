package jsonscan

import "strconv"

// Number reads a number and returns its text, which aliases the data and follows the grammar of RFC 8259.
func (s *Scanner) Number() ([]byte, error) {
	s.next()
	start, data := s.pos, s.data
	i := start
	if i < len(data) && data[i] == '-' {
		i++
	}
	first := i
	if i = digits(data, i); i == first {
		s.pos = i
		if i == start {
			return nil, s.unexpected("a number")
		}
		return nil, s.unexpected("a digit")
	}
	if data[first] == '0' && i > first+1 {
		s.pos = first + 1
		return nil, s.Errorf(first+1, "a number must not start with a superfluous zero")
	}
	if i < len(data) && data[i] == '.' {
		i++
		from := i
		if i = digits(data, i); i == from {
			s.pos = i
			return nil, s.unexpected("a digit")
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		from := i
		if i = digits(data, i); i == from {
			s.pos = i
			return nil, s.unexpected("a digit")
		}
	}
	s.pos = i
	return data[start:i:i], nil
}

// digits returns the index of the first byte from i on that is no digit.
func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// Int reads a number that has neither a fraction nor an exponent and fits in an int64.
func (s *Scanner) Int() (int64, error) {
	s.next()
	start := s.pos
	text, err := s.Number()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		s.pos = start
		return 0, s.Errorf(start, "expected an integer of at most 64 bits")
	}
	return v, nil
}

package history

import (
	"bufio"
	"io"
	"strings"
)

// eachLine calls f for each line of r, without the white space around it.
func eachLine(r io.Reader, f func(line string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		if err := f(strings.TrimSpace(lines.Text())); err != nil {
			if at, ok := err.(*Error); ok {
				at.Line = n
			}
			return err
		}
	}
	return lines.Err()
}

// word is what a word of a plain text means: a whole number or a string.
func word(s string) Datum {
	if d := atom(s); d.Sort == Int {
		return d
	}
	return StringDatum(s)
}

// readSessions reads histories of registers as tools for weak isolation levels write
// them: lines "r key value" and "w key value"; ----- ends a transaction, ===== a session.
// All transactions have committed. Nothing is known of real time: operations have a
// completion, but no invocation.
func readSessions(b *Builder, r io.Reader) error {
	e := Entry{Type: "ok", F: "txn", Txn: true}
	end := func() error {
		if len(e.Micros) == 0 {
			return nil
		}
		err := b.Add(e)
		e.Micros = nil
		return err
	}
	err := eachLine(r, func(line string) error {
		switch {
		case line == "":
			return nil
		case strings.Trim(line, "-") == "":
			return end()
		case strings.Trim(line, "=") == "":
			err := end()
			e.Process++
			return err
		}
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "r" && f[0] != "w" {
			return wrong("", "%q is none of \"r key value\", \"w key value\", \"-----\", \"=====\"", clip(line))
		}
		m := Micro{Kind: Write, Key: word(f[1]), Value: word(f[2])}
		if f[0] == "r" {
			m.Kind = Read
		}
		if m.Value.IsNil() && m.Kind == Write {
			return wrong("value", "nil cannot be written")
		}
		e.Micros = append(e.Micros, m)
		return nil
	})
	if err != nil {
		return err
	}
	return end()
}

// readLog reads lines of Jepsen's log, as "INFO  jepsen.util - 3 :invoke :write 4". Other
// lines are left out.
func readLog(b *Builder, r io.Reader) error {
	return eachLine(r, func(line string) error {
		_, text, ok := strings.Cut(line, " - ")
		f := strings.Fields(text)
		if !ok || len(f) < 4 {
			return nil
		}
		e := Entry{Type: strings.TrimPrefix(f[1], ":"), F: strings.TrimPrefix(f[2], ":")}
		p := ednParser{}
		p.b, p.buf = b, []byte(strings.Join(f[3:], " ")+" ")
		d, err := p.datum()
		if err != nil {
			return inField(err, "value")
		}
		e.Value = d
		if process := atom(f[0]); process.Sort == Int {
			e.Process = process.Int
		} else {
			e.Note = strings.TrimPrefix(f[0], ":")
		}
		return b.Add(e)
	})
}

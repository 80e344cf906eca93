package tree

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// sampleJSON is an ordinary payload: records of an app.
var sampleJSON = func() string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 500 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%d":{"active":%v,"mail":"user%d@example.org","name":"User Number %d","score":%d.25,"seen":17000000%05d,`+
			`"tags":["red","green"],"text":"The quick brown fox jumps over the lazy dog, and %d more."}`, i, i%2 == 0, i, i, i, i, i)
	}
	b.WriteByte('}')
	return b.String()
}()

// telemetryJSON is nearly all numbers.
var telemetryJSON = func() string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 2000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%d":{"t":%d,"x":%d.5,"y":-%d}`, i, 1_700_000_000_000+int64(i), i, i)
	}
	b.WriteByte('}')
	return b.String()
}()

var payloads = []struct{ name, text string }{
	{"records", sampleJSON},
	{"telemetry", telemetryJSON},
	{"chat message", `{"from":"alice","text":"See you at eight, then.","at":{".sv":"timestamp"}}`},
	{"long string", `"` + strings.Repeat("0123456789abcdef", 4096) + `"`},
}

func each(b *testing.B, f func(b *testing.B, text []byte, n *Node)) {
	for _, p := range payloads {
		n := mustParse(b, p.text)
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(int64(len(p.text)))
			b.ReportAllocs()
			f(b, []byte(p.text), n)
			if leaves := n.CountLeaves(); leaves > 1 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(leaves), "ns/leaf")
			}
		})
	}
}

func BenchmarkParseJSON(b *testing.B) {
	each(b, func(b *testing.B, text []byte, _ *Node) {
		for b.Loop() {
			if _, err := ParseJSON(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendExport(b *testing.B) {
	each(b, func(b *testing.B, text []byte, n *Node) {
		buf := make([]byte, 0, 2*len(text))
		for b.Loop() {
			AppendExport(buf, n)
		}
	})
}

// The binary benchmarks give bytes of JSON a second, so that they compare with those above.

func BenchmarkAppendBinary(b *testing.B) {
	each(b, func(b *testing.B, text []byte, n *Node) {
		buf := make([]byte, 0, 2*len(text))
		for b.Loop() {
			AppendBinary(buf, n)
		}
	})
}

func BenchmarkDecodeBinary(b *testing.B) {
	each(b, func(b *testing.B, _ []byte, n *Node) {
		data := AppendBinary(nil, n)
		for b.Loop() {
			if _, _, err := DecodeBinary(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHash(b *testing.B) {
	each(b, func(b *testing.B, _ []byte, n *Node) {
		for b.Loop() {
			Hash(n)
		}
	})
}

func BenchmarkScanLeaves(b *testing.B) {
	each(b, func(b *testing.B, text []byte, _ *Node) {
		nothing := func(Path, *Node) error { return nil }
		for b.Loop() {
			if err := ScanLeaves(bytes.NewReader(text), nothing, nothing); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	n := mustParse(b, sampleJSON)
	v := NewString("new")
	b.ReportAllocs()
	for b.Loop() {
		n.Set("250/name", v)
	}
}

package server

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"rebase/transfer"
	"rebase/tree"
)

// BenchmarkImport measures an import with client and server in one process:
// 100,000 small leaves, ten to a node, into an empty place.
func BenchmarkImport(b *testing.B) {
	var nodes []tree.Child
	for i := range 10_000 {
		var leaves []tree.Child
		for j := range 10 {
			leaves = append(leaves, tree.Child{Key: fmt.Sprintf("field%d", j), Node: tree.NewInt(int64(i * j))})
		}
		nodes = append(nodes, tree.Child{Key: fmt.Sprintf("item%06d", i), Node: tree.NewObject(leaves)})
	}
	doc := tree.AppendExport(nil, tree.NewObject(nodes))
	for _, replace := range []bool{false, true} {
		b.Run(fmt.Sprintf("replace=%t", replace), func(b *testing.B) {
			s, err := Start(context.Background(), Options{Data: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Shutdown(context.Background())
			c := &transfer.Client{}
			b.ResetTimer()
			for i := range b.N {
				to, err := transfer.ParseURL(fmt.Sprintf("%s/at%d", s.URL(), i))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Import(context.Background(), bytes.NewReader(doc), false, to, transfer.ImportOptions{Replace: replace}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "leaves/s")
		})
	}
}

package learnedsort_test

import (
	"fmt"
	"math/rand/v2"

	"rebase/learnedsort"
)

func ExampleSort() {
	x := []float64{2.5, -1, 40, 0}
	learnedsort.Sort(x)
	fmt.Println(x)
	// Output: [-1 0 2.5 40]
}

func ExampleSortRecords() {
	// Records whose key is not an unsigned number: Order makes it one.
	x := []learnedsort.Record{
		{Key: learnedsort.Order(3.5), Value: 1},
		{Key: learnedsort.Order(-2.0), Value: 2},
	}
	learnedsort.SortRecords(x)
	fmt.Println(x[0].Value, x[1].Value)
	// Output: 2 1
}

func ExampleSortStable() {
	type event struct {
		at   int64
		what string
	}
	x := []event{{30, "open"}, {10, "boot"}, {30, "read"}, {20, "login"}}
	learnedsort.SortStable(x, func(e event) int64 { return e.at })
	fmt.Println(x)
	// Output: [{10 boot} {20 login} {30 open} {30 read}]
}

// One model is trained, and used four times.
func ExampleTrain() {
	r := rand.New(rand.NewPCG(1, 2))
	latencies := make([]float64, 100_000)
	for i := range latencies {
		latencies[i] = r.ExpFloat64() * 10
	}

	model := learnedsort.Train(latencies)
	fmt.Printf("half take up to %.0f ms, all but one of a hundred up to %.0f\n", model.Quantile(0.5), model.Quantile(0.99))

	for _, bound := range model.Split(4) {
		fmt.Printf("split at %.1f\n", bound)
	}

	model.Sort(latencies)
	index := model.Index(latencies)
	at, _ := index.Search(latencies, 23.0)
	lo, hi := index.Position(23.0)
	fmt.Println("found at", at, "among", hi-lo+1, "places")
	// Output:
	// half take up to 7 ms, all but one of a hundred up to 46
	// split at 2.9
	// split at 6.9
	// split at 13.8
	// found at 89927 among 14 places
}

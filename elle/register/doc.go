// Package register finds isolation anomalies in histories of transactions that read and write registers.
//
// A register shows no more than its last value, so a read says which write it saw (if no value is written twice to
// one key), but nothing about what was there before. Check follows Elle ("Elle: Inferring
// Isolation Anomalies from Experimental Observations", Kingsbury and Alvaro, VLDB 2020): it makes a partial order of each
// key's versions from what the caller is willing to assume about single keys (Options), and from it a graph of
// transactions, in which others look for cycles. Every edge holds in every
// execution that could have been observed so, given the assumptions.
//
// Decide assumes nothing about keys. It asks whether there is any order of the versions under which a model
// holds: it derives what is forced (saturation), removes what is impossible, and searches among the
// rest within a bound. It says "proved" where it has found such an order, "refuted" where there is none, with the
// cycle, and "not decided" otherwise. For read atomic and causal consistency, which need no order of versions but what reads force, the
// answer is always exact, in time proportional to the reads times the sessions (after Biswas and Enea, "On the
// Complexity of Checking Transactional Consistency", OOPSLA 2019).
//
// Operations in doubt count as committed if and only if somebody read what they wrote. The caller
// owns the history and must not change it. The package starts no goroutine and knows neither files nor clocks.
package register

// Package simple checks histories of objects for which looking at each operation is enough: sets, counters,
// bank accounts, and two probes for one anomaly each.
//
//	set        add and read: the last read has all that was acknowledged and nothing that was never added
//	set-full   the same, element by element, over all reads: a read that begins when an element is known has it
//	set-strict the same, and no read may miss an element that is known, even if later ones have it
//	counter    add and read: each read lies between what must and what may have been added
//	bank       transfer and read: every read sums to the same total, and nobody is in debt
//	long-fork  each key is written once: of two reads of the same keys one saw all that the other did
//	comments   write and read: who sees a write also sees those that had ended before it began
//
// Operations that failed have not happened; those in doubt may have, at any time from their invocation on.
// The package starts no goroutine and knows neither files nor clocks.
package simple

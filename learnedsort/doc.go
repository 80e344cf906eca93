// Package learnedsort sorts numbers, records and strings by a model of where each
// key belongs, and offers that model as a value of its own.
//
// The idea is that of "The Case for a Learned Sorting Algorithm" (Kristo, Vaidya,
// Çetintemel, Misra, Kraska; SIGMOD 2020): the position of a key in sorted order is
// n·F(key), where F is the cumulative distribution function of the keys. Learn F
// from a sample, put every key near where it belongs, and touch up. As in the
// authors' later redesign, which withstands duplicates, keys go into buckets that
// are sorted one by one while they are in the cache, and a bucket of equal keys is
// done. The model is a monotonic one, as in "Balanced Learned Sort" (Ferragina,
// Odorisio, 2024): buckets never overlap, so that nothing has to be repaired across
// them, and no input can make the repair quadratic.
//
// Which one to take:
//
//   - [Sort] for numbers, [SortRecords] for pairs of a key and a value,
//     [SortStable] for anything that has a number as its key, [SortStrings] for
//     strings.
//   - [Train] for a [CDF]: sort by it, ask for quantiles, split a key space into
//     parts of equal weight; [CDF.Index] makes it an index over a sorted run.
//   - Package learnedsort/external for files larger than memory.
//
// # What it promises
//
// The result is what slices.Sort gives, for any input: NaNs come first, -0 equals 0,
// all 64 bits of a key count. SortRecords and SortStable keep the order of equal
// keys. Every function is deterministic: the same input takes the same steps.
//
// A sample and a scan decide the way (see plan.go): runs that are there already,
// an order of arrival that is nearly right, few distinct keys, keys as even as
// hashes, a learned model, or a radix sort where a model would mislead. Whatever the
// sample says, the work is bounded by a constant number of visits of each key: a
// misleading sample costs time, never a power of it.
//
// # What the caller does
//
// There must be memory for the keys once more, and a quarter of that on top: Sort is
// not in place. Up to 128 MiB of it stay for the next sort, until two garbage collections
// have gone by without one. Below about a hundred elements it calls slices.Sort.
// Everything runs in the caller's goroutine; to use more of them, split the
// input with [CDF.Split] or [CDF.Part] and sort the parts, which needs no merging.
//
// # What it does not know
//
// No input or output, no time, no random numbers, no goroutines, nothing but the
// standard library. It does not sort by a comparison function: it must see the number.
package learnedsort

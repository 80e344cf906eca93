// Package external sorts files of records that may be larger than memory.
//
// It is the external sort of ELSAR (Kristo and Kraska, 2023): a model of the keys, learned from a sample, divides the
// file into ordered ranges of about equal size, in one pass; each range is sorted in memory; the
// results are written one after the other. There is no merge: every record is read and written twice, in
// long stretches, and what the order needs is decided by the model and not by comparing the heads of runs.
//
// # What it promises
//
// The result is sorted and stable: records with equal keys keep their order. It appears under its name
// when it is complete and on disk, or not at all. A range that does not fit into memory, because the
// sample misled or keys repeat, is divided again; a range of equal keys is copied.
//
// # What the caller does
//
// There must be disk space for the file twice more: for the ranges, and for the result. Ranges lie in the
// folder of the result unless another one is named, and are removed at the end, also after an error; not
// after the process was killed, where they remain as learnedsort-*.
//
// # What it does not know
//
// It does no parallel work. It does not check what is in the records; the key is eight bytes at a fixed
// place, and whatever else is in a record has no influence on the order.
package external

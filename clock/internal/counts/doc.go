// Package counts is a sparse vector of counters: the common clay of Fidge's
// stamps, Mattern's vectors and version vectors, and the codec of all stamps.
//
// It is internal because it compares component by component, which is right for
// some of the types that are made of it and wrong for others.
package counts

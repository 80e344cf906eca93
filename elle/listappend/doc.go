// Package listappend checks histories of transactions over lists: each micro-operation
// appends a value to the list at a key, or reads a list. No value is appended twice to a
// key.
//
// Such histories say the most that can be learnt from outside of a database. A value tells
// which transaction appended it (recoverability), and a list tells every version that came
// before it, in order (traceability). So the order of versions is not guessed: the longest
// list that was read of a key is its order, and every other must be a prefix of it. From
// this order follow the dependencies between transactions (Kingsbury and Alvaro, "Elle",
// VLDB 2020, §4 and §5), and every anomaly that is found exists in whatever really
// happened.
//
//	ww  a transaction appended an element, the other the next one
//	wr  a transaction appended the last element of a list that the other read
//	rw  a transaction read a list, the other appended the next element
//
// An element that nobody has read comes after all that were read, in no order to others of
// its kind. What failed is in no dependency: that it was read is an anomaly by itself. What
// is in doubt may be depended upon once it was read, since then it happened; what it read
// itself proves nothing.
package listappend

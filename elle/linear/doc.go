// Package linear decides whether single objects are linearizable: whether there is an order of all
// operations, in agreement with real time, in which each returns what it would if they ran one after the other
// (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", 1990).
//
// The search is porcupine's. Of transactions every key is looked at alone: what a transaction does to it
// is one operation. That all keys are linearizable is necessary for strict serializability, and
// not enough.
//
// Deciding this takes exponential time at worst, so there is a bound in time, after which the answer is "not decided". This is the one
// package of the checker that starts goroutines and looks at a clock, which is why it is one of its own.
package linear

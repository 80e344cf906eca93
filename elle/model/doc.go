// Package model knows the consistency models of transactions, how they imply each other,
// and which anomalies each of them forbids. So it can say which models a set of anomalies
// rules out, and which are the strongest that are left.
//
// The tables are those of the literature: Adya's thesis (PL-1 … PL-3, PL-SI, G0 … G2),
// Bailis et al. on highly available transactions, Cerone, Bernardi and Gotsman's framework
// (read atomic, causal, prefix, parallel snapshot isolation), Cerone and Gotsman's
// "Analysing snapshot isolation" for G-nonadjacent, Daudjee and Salem, and Breitbart et al.
// for the strong and the strong-session variants. Names are the ones that testers know
// from Elle.
//
// Everything is a constant of the program; results are in a fixed order.
package model

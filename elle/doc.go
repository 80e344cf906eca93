// Package elle says which isolation anomalies a history of transactions contains, why, and
// which consistency models are thereby ruled out. It is for everyone who tests a database,
// whatever it is: package history reads what clients saw, and nothing is asked of the
// database itself.
//
// What it reports is there: an anomaly is in every execution that could have given the
// history. What it does not report may be there all the same, unseen by the clients, with
// one exception: where Result.Decided says that a model is proved, some execution of that
// model explains the history.
//
// It stands on work that others published: Adya, "Weak Consistency" (1999); Kingsbury and
// Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020);
// Cerone and Gotsman, "Analysing Snapshot Isolation" (PODC 2016); Biswas and Enea, "On the
// Complexity of Checking Transactional Consistency" (OOPSLA 2019). Anomalies and models
// have the names that Jepsen's checker of the same name gives them.
//
// Check does no input or output and starts no goroutine; it may be called by many.
package elle

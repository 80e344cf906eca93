// Package cycle finds, names and explains the cycles among the transactions of a history,
// given the dependencies that the checker of a workload inferred from its data. It adds the
// order within processes and in real time, both at linear cost.
//
// A cycle is named by its most telling form. The search goes from the plain dependencies to
// those with the order of processes to those with real time, and at each of these levels
// from few rw edges to many; what is implied by a cycle found in the same component is not
// looked for again. So a cycle called "-realtime" is one that data and sessions alone do
// not close, and a cycle with two rw is one that needs both.
//
// The only bound on the work is Options.Budget; where it is reached, and only there, an
// anomaly is reported as not decided, while the models that other cycles rule out stay
// ruled out.
package cycle

// Package shrink makes a history small that has some property, such as to show an anomaly, by leaving out what the
// property does not need: keys, operations, and steps of transactions (Zeller and Hildebrandt, "Simplifying and
// Isolating Failure-Inducing Input", 2002).
//
// What remains happened, in the same order, by the same processes, with the same indexes and times. Where an append is left
// out, so is its element from all lists that were read: as if it had never been. A cycle through it becomes shorter
// by that and stays of its kind, so that what the small history shows the large one does, too.
//
// The result is minimal in that nothing can be left out alone. The package does not look at what the property is.
package shrink

// Package report writes what a check has found as one page of HTML that needs nothing else:
// no script, no font, no picture from elsewhere. Verdicts and models come first, then each
// anomaly with what its name means, the operations, the argument in words and, for cycles,
// the picture.
//
// It is a view of elle.Result and adds no judgement.
package report

// Package hlc is the hybrid logical clock of S. Kulkarni, M. Demirbas, D. Madappa,
// B. Avva and M. Leone, "Logical Physical Clocks", OPODIS 2014: a stamp of 64 bits
// that is close to the time of day and higher than that of every event before it.
//
// It promises: if one event happened before another, its stamp is lower; a stamp's time
// is never behind the node's own physical clock, and ahead of it by no more than the
// physical clocks of the nodes are apart, the offset that Update tolerates, or the
// window of the persisted bound after a restart. A stamp is never given twice, restarts
// included, if Options.Save is durable.
//
// It cannot tell that two events are independent: take it to order writes, as
// "the last writer wins" does, not to find conflicts (clock/version).
//
// The caller passes in the time of day, sends the stamp of each event with the messages
// that the event sends, hands it to Update at the receiver, and drops messages that
// Update refuses: one device whose clock is set to 2099 would otherwise carry everybody
// along.
package hlc

// Package striped is a loglet over several others: the StripedLoglet of "Virtual Consensus in Delos" (OSDI 2020, section 4.3). Over native loglets on the
// same servers, with another sequencer for each, it shares out the work of the sequencer; over loglets on other servers, that of the disks.
//
// Slot L of the log is slot L/n of stripe L mod n. One Append is one entry of one stripe, all its payloads together, so positions are sparse: those of slot L
// are L<<20 + 1 and so on (position.go). A stripe is dense, and so the tail of the whole is the first slot that its stripe has not filled.
//
// An Append at slot L is acknowledged when every slot below L is filled: then it lies below every Tail asked for from then on, and everything that is appended later
// lies above it. Slots that nobody fills while somebody waits are filled with nothing (append.go).
//
// It is sealed as a whole. Whoever meets a stripe that is sealed seals the others, too, so that an abandoned seal is always completed. Appends that stood
// above a slot which no stripe can fill any more were never acknowledged, and are not part of the log.
//
// What it promises: what vlog.Loglet asks for, with sparse positions. Its limit is that of its stripes, and 2^20 payloads in one Append.
//
// What the caller must do: give it stripes that do not share their storage: what tells them apart is LogletSpec.Stripe or their configurations.
//
// What it must not know: of which kind the stripes are.
package striped

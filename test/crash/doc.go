// Package crash kills a real server at random moments, damages its files, and
// fills its disk, and checks what it promises after it has been started again:
//
//   - every acknowledged write is there;
//   - of the writes of one client that were under way, the first few are there,
//     whole, and none behind them;
//   - the onDisconnect operations of all connections have run, once;
//   - a client that sends its unanswered writes again has each of them once;
//   - the state is what replaying the log from its first entry into an empty
//     store gives, byte for byte;
//   - damage is reported, with the place, and never served or repaired in silence.
//
// The tests print their seed; REBASE_SEED repeats it, though not the moments at
// which the operating system ends a process. REBASE_CRASH_KILLS sets the number of
// kills: a few in the ordinary run, at least a hundred in a soak.
package crash

package vlog

// mistakes are traps of the virtual log that tests put back, to see that the simulation falls into them.
type mistakes uint32

const (
	mistakeSealedTail    mistakes = 1 << iota // a tail of a sealed Loglet is passed on
	mistakeTailFirst                          // the tail is asked for before the seal
	mistakeNoCondition                        // a chain is installed whatever the register holds
	mistakeReadBeyond                         // what a Loglet holds beyond its segment's end is read
	mistakeUnknownIsWin                       // T8: a conditional write without an answer is taken for a success
	mistakeUnknownIsLoss                      // T8: one is taken for a failure, and what was made for it is deleted
	mistakeNoRoll                             // T9: nobody goes on where a reconfigurer has died
	mistakeParked                             // a reader stays with the Loglet at whose tail it waits, sealed or not
)

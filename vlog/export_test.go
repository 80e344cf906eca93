package vlog

// What the simulation puts back.
const (
	MistakeSealedTail    = mistakeSealedTail
	MistakeTailFirst     = mistakeTailFirst
	MistakeNoCondition   = mistakeNoCondition
	MistakeReadBeyond    = mistakeReadBeyond
	MistakeUnknownIsWin  = mistakeUnknownIsWin
	MistakeUnknownIsLoss = mistakeUnknownIsLoss
	MistakeNoRoll        = mistakeNoRoll
	MistakeParked        = mistakeParked
)

// WithMistakes returns o with mistakes put in.
func (o Options) WithMistakes(m mistakes) Options {
	o.mistakes = m
	return o
}

// Mistakes is the type of the constants.
type Mistakes = mistakes

// Package graph holds the dependencies between transactions and finds cycles in them.
//
// Vertices are numbers: those below Txns are transactions (the operations of a history, by
// number), those above are hubs. Edges carry one relation each. A hub stands for many
// edges: a transaction's edge into a hub has a relation, and everything that hubs and then
// Via edges lead to is related to it by that relation. So "each of a thousand readers
// precedes each of a thousand writers" costs two thousand edges, and real-time order among
// any number of clients costs one or two edges an operation. Whoever adds hubs sees to it
// that no way through them leads from a transaction back to itself, and that every way that
// enters a hub means the relation it was entered by.
//
// Nothing here takes more than polynomial time, and nothing has a time-out. A cycle is
// looked for as a walk over pairs of a vertex and the state of a small automaton (how many
// rw edges so far, was the last one rw), of which there are few; never over paths, of which
// there are exponentially many. That such a cycle exists at all is decided in linear time
// first.
//
// A Graph does not change once it is built. It knows nothing of histories.
package graph
